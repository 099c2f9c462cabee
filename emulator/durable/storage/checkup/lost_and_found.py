"""`<state>/../lost+found`: where files go that nobody can use and nobody should lose. Nothing here is ever deleted."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from durable.storage.file_copy import copy_bytes
from durable.storage.layout import StateLayout, make_folder, sync_folder

_PARTS = ("", "-wal", "-times", "-restoring", "-draft")
"""What follows a database's path in the names of the files that belong to its contents."""


class LostAndFound:
    """Of one state directory."""

    def __init__(self, layout: StateLayout) -> None:
        self.folder = layout.deleted_folder.parent / "lost+found"
        self._state = layout.state

    def keep_copy(self, path: Path) -> str:
        """Copy a damaged database with what belongs to it; what was kept before stays. Returns where it is now.

        Empty when there is no file to copy: a link is not followed.
        """
        parts = [Path(f"{path}{part}") for part in _PARTS if _is_file(f"{path}{part}")]
        if not parts:
            return ""
        target = self._place(path, parts)
        if not target.exists():
            make_folder(target)
            for part in parts:
                copy_bytes(part, target / part.name, None)
                # Its times tell this copy from the next one.
                facts = part.stat()
                os.utime(target / part.name, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            sync_folder(target)
        return str(target)

    def move(self, path: Path) -> str:
        """Take a database with what belongs to it out of the state. Returns where it is now."""
        parts = [Path(f"{path}{part}") for part in (*_PARTS, "-shm") if os.path.lexists(f"{path}{part}")]
        target = self._place(path, parts, is_move=True)
        make_folder(target)
        for part in reversed(parts):
            # The log first: without its file it is read by nobody.
            os.rename(part, target / part.name)
        sync_folder(target)
        sync_folder(path.parent)
        return str(target)

    def _place(self, path: Path, parts: Iterable[Path], *, is_move: bool = False) -> Path:
        """A folder for this database: one that is free, or that holds these very files."""
        wanted = self.folder / path.relative_to(self._state)
        number, place = 1, wanted
        while place.exists() and (is_move or not _holds(place, parts)):
            number += 1
            place = wanted.with_name(f"{wanted.name}.{number}")
        return place


def _is_file(path: str) -> bool:
    return os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode)


def _holds(folder: Path, parts: Iterable[Path]) -> bool:
    return all(_same(folder / part.name, part) for part in parts)


def _same(kept: Path, part: Path) -> bool:
    try:
        one, other = kept.stat(), part.stat()
    except OSError:
        return False
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
