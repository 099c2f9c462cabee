"""What of a history may go: whole eras, a base with its segments, oldest first. The newest era always stays."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shutil
from pathlib import Path
from typing import Final

from durable.limits import HISTORY_BYTES_MAX, HISTORY_FILE_MULTIPLE
from durable.storage.history.folder import Era, HistoryFolder
from durable.storage.history.head import read_head
from durable.storage.history.moments import read_times
from durable.storage.layout import sync_folder

DAY_MS: Final = 24 * 60 * 60 * 1000


def prune(archive: HistoryFolder, file_bytes: int, *, keep_days: int, now_ms: int) -> int:
    """Delete eras that are too old or too much; returns the bytes freed. Raises OSError."""
    eras = archive.eras()
    size = sum(era.bytes for era in eras)
    size_max = max(HISTORY_BYTES_MAX, HISTORY_FILE_MULTIPLE * file_bytes)
    freed = 0
    for era, following in itertools.pairwise(eras):
        # An era is needed until the base after it is old enough to reach every moment of the days that are kept.
        began_ms = _began_ms(archive, following.base)
        is_old = began_ms < now_ms - keep_days * DAY_MS
        if not is_old and size - freed <= size_max:
            break
        _delete(archive, era)
        freed += era.bytes
    if freed:
        sync_folder(archive.path)
    return freed


def _began_ms(archive: HistoryFolder, base: int) -> float:
    """When a base was made, or something that came later.

    The time of its file does not say: a copied state directory and a power cut change it.
    """
    for segment in archive.segments():
        times = read_times(archive.times(segment)) if segment >= base else None
        if times is not None and times.moments:
            return times.moments[0].ms
    head = read_head(archive)
    return head.began_ms if head is not None else math.inf


def _delete(archive: HistoryFolder, era: Era) -> None:
    # The base last: while it is there the era is found again, and what a crash left of it goes then.
    for segment in era.segments:
        archive.times(segment).unlink(missing_ok=True)
        if segment:
            archive.log(segment).unlink(missing_ok=True)
    archive.base(era.base).unlink(missing_ok=True)
    archive.log(era.base).unlink(missing_ok=True)


def prune_folder(folder: Path, *, keep_days: int, now_ms: int) -> int:
    """The same for every sleeping object of one folder, those that are gone included; returns the bytes freed."""
    freed = 0
    for path in sorted(folder.glob("*.history")):
        archive = HistoryFolder(path)
        file = path.with_suffix(".sqlite")
        with contextlib.suppress(OSError):
            if file.exists():
                freed += prune(archive, file.stat().st_size, keep_days=keep_days, now_ms=now_ms)
            elif _is_forgotten(archive, now_ms - keep_days * DAY_MS):
                freed += archive.size
                shutil.rmtree(path)
    return freed


def _is_forgotten(archive: HistoryFolder, oldest_ms: int) -> bool:
    """Whether nothing was added to the history of a removed object for as long as history is kept."""
    with os.scandir(archive.path) as entries:
        return all(entry.stat(follow_symlinks=False).st_mtime_ns // 1_000_000 < oldest_ms for entry in entries)
