"""What lies in an object's history folder, by number. Reads names and sizes; changes nothing.

<id>.history/head                current segment, and what the object's file looked like when it began
             00000007.wal        an archived log      00000007.times   when its commits were
             00000008.base       a copy of the file as segment 8 began
             undo                restores done: {"<nonce>": [segment, frame]} of the state before
             break               the next segment does not continue the last one
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct


class Era(Struct, frozen=True):
    """A base with the segments that follow it, up to the next base; segment 0 needs no file as its base."""

    base: int
    segments: tuple[int, ...]
    bytes: int


class HistoryFolder:
    """Paths inside; the folder itself may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head = path / "head"
        self.undo = path / "undo"
        self.break_marker = path / "break"

    def log(self, segment: int) -> Path:
        return self.path / f"{segment:08}.wal"

    def times(self, segment: int) -> Path:
        return self.path / f"{segment:08}.times"

    def base(self, segment: int) -> Path:
        return self.path / f"{segment:08}.base"

    def _numbered(self, kind: str) -> Iterator[tuple[int, int]]:
        """(number, bytes) of the files of one kind, in the order of their numbers."""
        found: list[tuple[int, int]] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    number, _, suffix = entry.name.partition(".")
                    if suffix == kind and number.isdecimal():
                        found.append((int(number), entry.stat(follow_symlinks=False).st_size))
        except FileNotFoundError:
            pass
        return iter(sorted(found))

    def segments(self) -> list[int]:
        return [number for number, _ in self._numbered("wal")]

    def bases(self) -> list[int]:
        """Segments that a restore can begin with."""
        found = [number for number, _ in self._numbered("base")]
        return [0, *found] if self.log(0).exists() else found

    def last_segment(self) -> int:
        """Number of the newest archived log; -1 without one."""
        return max(self.segments(), default=-1)

    def bytes_since_base(self) -> int:
        """Size of the archived logs that a restore to now would replay."""
        newest = max(self.bases(), default=0)
        return sum(size for number, size in self._numbered("wal") if number >= newest)

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        try:
            with os.scandir(self.path) as entries:
                return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
        except FileNotFoundError:
            return 0

    def eras(self) -> list[Era]:
        """Oldest first."""
        sizes = dict(self._numbered("wal"))
        base_sizes = dict(self._numbered("base"))
        bases = self.bases()
        found: list[Era] = []
        for base, following in zip(bases, [*bases[1:], None], strict=True):
            segments = tuple(each for each in sizes if each >= base and (following is None or each < following))
            found.append(Era(base, segments, base_sizes.get(base, 0) + sum(sizes[each] for each in segments)))
        return found
