"""What a disk may hold after a power cut, built from the log of what was done to it.

What was synced is there. Of everything else each write may be lost, whole, or torn at sectors; the names in a folder
stand as they stood after some change or other (file systems keep an order there), each folder on its own. Cuts must be
asked for in rising order.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.disk_log import (
    FOLDER,
    DiskLog,
    Entry,
    FileSynced,
    FolderSynced,
    Renamed,
    Resized,
    Written,
)

SECTOR_BYTES = 512
_KEPT = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How likely an unsynced change survives; one of these for each image."""


@dataclass(slots=True)
class _Contents:
    """One file: what is safe, and what may or may not come on top, in order."""

    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[_Change] = field(default_factory=list["_Change"])


@dataclass(slots=True)
class _Change:
    index: int
    what: Written | Resized
    is_safe: bool = False
    is_doomed: bool = False


@dataclass(slots=True)
class _NameChange:
    index: int
    what: Renamed
    unsynced: set[str]
    """Folders that still have to be synced."""


class CrashImages:
    """Images of one log."""

    def __init__(self, log: DiskLog) -> None:
        self._log = log
        self._at = 0
        self._files: dict[int, _Contents] = {}
        self._names: dict[str, int] = {}
        self._name_changes: list[_NameChange] = []

    def build(self, cut: int, choice: random.Random, folder: Path) -> None:
        """Write the state directory as it may stand when the power went after `cut` entries."""
        self._advance(cut)
        kept = choice.choice(_KEPT)
        torn = choice.choice((0.0, 0.5))
        self._write(self._surviving_names(choice, kept), lambda: choice.random() < kept, choice, torn, folder)

    def build_whole(self, folder: Path) -> None:
        """Everything as it was last: what the running program saw, if the log has missed nothing."""
        self._advance(len(self._log.entries))
        names = dict(self._names)
        for change in self._name_changes:
            _apply_names(names, change.what)
        self._write(names, lambda: True, random.Random(0), 0.0, folder)

    # --- up to the cut ------------------------------------------------------------------------------------------------
    def _advance(self, cut: int) -> None:
        assert cut >= self._at, "cuts must come in rising order"
        for index in range(self._at, cut):
            self._take(index, self._log.entries[index])
        self._at = cut

    def _take(self, index: int, entry: Entry) -> None:
        if isinstance(entry, (Written, Resized)):
            self._files.setdefault(entry.file, _Contents()).unsafe.append(_Change(index, entry))
        elif isinstance(entry, Renamed):
            folders = {os.path.dirname(path) for path, _ in entry.names}
            self._name_changes.append(_NameChange(index, entry, folders))
        elif isinstance(entry, FileSynced):
            self._file_synced(entry)
        else:
            self._folder_synced(entry)

    def _file_synced(self, entry: FileSynced) -> None:
        contents = self._files.setdefault(entry.file, _Contents())
        for change in contents.unsafe:
            if change.index < entry.began and not change.is_doomed:
                change.is_safe, change.is_doomed = not entry.failed, entry.failed
        # Only from the front: what lies under something unsafe has to be laid down before it.
        done = 0
        for change in contents.unsafe:
            if not change.is_safe:
                break
            _apply(contents.safe, change.what)
            done += 1
        del contents.unsafe[:done]

    def _folder_synced(self, entry: FolderSynced) -> None:
        for change in self._name_changes:
            if change.index < entry.began:
                change.unsynced.discard(entry.folder)
        done = 0
        for change in self._name_changes:
            if change.unsynced:
                break
            _apply_names(self._names, change.what)
            done += 1
        del self._name_changes[:done]

    # --- the cut ------------------------------------------------------------------------------------------------------
    def _surviving_names(self, choice: random.Random, kept: float) -> dict[str, int]:
        names = dict(self._names)
        behind: set[str] = set()
        for change in self._name_changes:
            folders = {os.path.dirname(path) for path, _ in change.what.names}
            if change.unsynced and (choice.random() >= kept or folders & behind):
                behind |= folders
            else:
                _apply_names(names, change.what)
        return names

    def _write(
        self, names: dict[str, int], survives: Callable[[], bool], choice: random.Random, torn: float, folder: Path
    ) -> None:
        root = self._log.root
        written: dict[int, str] = {}
        reachable = {root}
        for path in sorted(names):
            if path.rpartition("/")[0] not in reachable:
                continue  # the folder's own name was lost
            target = f"{folder}{path[len(root) :]}"
            file = names[path]
            if file == FOLDER:
                os.mkdir(target)
                reachable.add(path)
            elif file in written:
                os.link(written[file], target)
            else:
                written[file] = target
                with open(target, "wb", buffering=0) as stream:
                    stream.write(self._surviving_contents(file, survives, choice, torn))
                os.utime(target, (0, 0))  # when a file was changed is what a disk knows last

    def _surviving_contents(
        self, file: int, survives: Callable[[], bool], choice: random.Random, torn: float
    ) -> bytes | bytearray:
        contents = self._files.get(file)
        if contents is None:
            return b""
        if not contents.unsafe:
            return contents.safe
        data = bytearray(contents.safe)
        for change in contents.unsafe:
            if change.is_safe or survives():
                _apply(data, change.what)
            elif isinstance(change.what, Written) and choice.random() < torn:
                for sector in _sectors(change.what):
                    if choice.random() < 0.5:
                        _apply(data, sector)
        return data


def _sectors(what: Written) -> Iterator[Written]:
    start = what.offset
    end = start + len(what.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield Written(what.file, start, what.data[start - what.offset : stop - what.offset])
        start = stop


def _apply(data: bytearray, what: Written | Resized) -> None:
    if isinstance(what, Written):
        if what.offset > len(data):
            data.extend(bytes(what.offset - len(data)))
        data[what.offset : what.offset + len(what.data)] = what.data
    elif what.size < len(data):
        del data[what.size :]
    else:
        data.extend(bytes(what.size - len(data)))


def _apply_names(names: dict[str, int], what: Renamed) -> None:
    for path, file in what.names:
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file
