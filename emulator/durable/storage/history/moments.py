"""Which commit was when: the `-times` file beside a write-ahead log, and archived with it.

    8 bytes `DurTimes` · the log's two salts (bytes 16 to 24 of the log) · records of 12 bytes: wall ms u64, frame u32

Little endian. The salts tie the file to one life of the log. Records are appended about once a second and not synced,
so that a crash may lose the last ones: a moment then resolves to the commit before. Frame 0 stands for the segment's
beginning. The wall clock may have been set back, so records are in the order of their frames and not of their times.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from durable.storage.layout import FILE_MODE

MAGIC: Final = b"DurTimes"
SALTS_BYTES: Final = 8
_HEADER_BYTES: Final = len(MAGIC) + SALTS_BYTES
_RECORD: Final = struct.Struct("<QI")


class Moment(NamedTuple):
    """A commit that ended with `frame` was made at `ms`."""

    ms: int
    frame: int


class Times(NamedTuple):
    """The contents of one file. `salts` are those of the log it belongs to."""

    salts: bytes
    moments: list[Moment]

    def at(self, ms: int) -> Moment | None:
        """The last commit at or before `ms`."""
        return max(
            (moment for moment in self.moments if moment.ms <= ms), key=lambda moment: moment.frame, default=None
        )


def read_times(path: Path) -> Times | None:
    """None when there is no such file, or nothing that can be used in it. What a crash left half written is ignored."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) < _HEADER_BYTES or not data.startswith(MAGIC):
        return None
    whole = (len(data) - _HEADER_BYTES) // _RECORD.size * _RECORD.size
    records = _RECORD.iter_unpack(data[_HEADER_BYTES : _HEADER_BYTES + whole])
    return Times(data[len(MAGIC) : _HEADER_BYTES], [Moment(ms, frame) for ms, frame in records])


def read_last(path: Path) -> tuple[bytes, Moment | None] | None:
    """The salts and the last record, read without the others; None as for `read_times`."""
    try:
        with open(path, "rb", buffering=0) as stream:
            header = stream.read(_HEADER_BYTES)
            whole = (stream.seek(0, os.SEEK_END) - _HEADER_BYTES) // _RECORD.size
            if len(header) < _HEADER_BYTES or not header.startswith(MAGIC):
                return None
            if not whole:
                return header[len(MAGIC) :], None
            stream.seek(_HEADER_BYTES + (whole - 1) * _RECORD.size)
            return header[len(MAGIC) :], Moment(*_RECORD.unpack(stream.read(_RECORD.size)))
    except (OSError, struct.error):
        return None


def append_times(path: Path, salts: bytes, moments: Iterable[tuple[int, int]]) -> None:
    """Add (ms, frame) records; makes the file when it is missing. Raises OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        size = os.fstat(descriptor).st_size
        data = b"".join(_RECORD.pack(ms, frame) for ms, frame in moments)
        if size < _HEADER_BYTES:
            os.ftruncate(descriptor, 0)
            data = MAGIC + salts + data
        elif torn := (size - _HEADER_BYTES) % _RECORD.size:
            os.ftruncate(descriptor, size - torn)
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def drop_times_behind(path: Path, frame: int) -> None:
    """Forget commits that a power cut took: those that end behind `frame`. Raises OSError."""
    times = read_times(path)
    if times is not None:
        kept = [moment for moment in times.moments if moment.frame <= frame]
        draft = Path(f"{path}.new")
        draft.unlink(missing_ok=True)
        append_times(draft, times.salts, kept)
        os.rename(draft, path)
