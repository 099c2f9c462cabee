"""From a bookmark or a moment to a state that can be restored, or to a sentence that says why not. Changes nothing."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from durable.errors import StorageError
from durable.storage.history.archive import History, log_bytes
from durable.storage.history.bookmark import Position, bookmark_at, parse_bookmark
from durable.storage.history.moments import Moment, Times, read_times

_FRAME_HEADER: Final = struct.Struct(">II8s")
"""Page number, size of the database after a commit or 0, the log's salts (SQLite file format, §4.1)."""


class Plan(NamedTuple):
    """How to make a state: copy a base, replay whole segments, then `frame` frames of the last one."""

    base: int
    whole: tuple[int, ...]
    target: Position


class Reach(Struct, frozen=True):
    """What of an object's history there is: moments in wall milliseconds (None: not known), and what it takes."""

    oldest_ms: int | None
    newest_ms: int | None
    segments: int
    bytes: int
    bookmark: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class Resolution:
    """Of one object, whose log has `frames` frames now."""

    def __init__(self, history: History, frames: int) -> None:
        self._history = history
        self.now: Final = Position(history.segment, frames)

    # --- bookmarks --------------------------------------------------------------------------------------------
    def position_of(self, text: str) -> Position:
        """The state that a bookmark names. Raises StorageError when there is no way there."""
        bookmark = parse_bookmark(text, self._history.object_id)
        position = bookmark.position
        if bookmark.nonce:
            undone = read_undo(self._history.archive.undo).get(bookmark.nonce)
            if undone is None:
                raise StorageError(
                    f"the bookmark {text} undoes a restore that was not made yet, or one that is no longer remembered;"
                    " make the restore first, then use it"
                )
            position = undone
        if position > self.now:
            newest = bookmark_at(self.now, self._history.object_id)
            raise StorageError(f"the bookmark {text} is newer than the object, whose newest one is {newest}")
        self.plan(position)
        if position.frame and not _ends_commit(self.log_of(position.segment), position.frame):
            raise StorageError(
                f"the bookmark {text} names frame {position.frame}, where no commit ends; use one as it was returned"
            )
        return position

    # --- moments ----------------------------------------------------------------------------------------------
    def position_at(self, ms: int, now_ms: int) -> Position:
        """The last state at or before a moment. Raises StorageError when that is not known."""
        if ms > now_ms:
            raise StorageError(f"{moment_text(ms)} is in the future: now it is {moment_text(now_ms)}")
        newer: int | None = None
        for segment, times in self._times():
            found = times.at(ms)
            if found is None:
                newer = segment
                continue
            position = Position(segment, found.frame)
            if newer is not None and newer > segment + 1 and ms > found.ms and found == _last(times):
                self._refuse_gap(ms, position, found.ms, newer)
            self.plan(position)
            return position
        if self.now == (0, 0):
            return self.now  # nothing was ever written: that is a state, too
        raise StorageError(f"{moment_text(ms)} is older than the history of the object, which {self._beginning()}")

    def moment_of(self, position: Position) -> int | None:
        """When the state came about; None when that was not written down."""
        for segment, times in self._times():
            if segment == position.segment:
                return next((moment.ms for moment in times.moments if moment.frame == position.frame), None)
        return None

    def _times(self) -> Iterator[tuple[int, Times]]:
        """Of every segment whose times are known, newest first."""
        history = self._history
        written = read_times(history.times_file)
        live = [Moment(ms, frame) for ms, frame in history.moments.items()]
        yield history.segment, Times(b"", [*(written.moments if written is not None else ()), *live])
        for segment in reversed(history.archive.segments()):
            times = read_times(history.archive.times(segment))
            if times is not None and times.moments:
                yield segment, times

    def _refuse_gap(self, ms: int, position: Position, before_ms: int, newer: int) -> None:
        before = bookmark_at(position, self._history.object_id)
        after = bookmark_at(Position(newer, 0), self._history.object_id)
        raise StorageError(
            f"what the object held at {moment_text(ms)} is not known: its history has a gap, because point-in-time"
            f" recovery was off or another program changed the file. Before it: {before}, of {moment_text(before_ms)};"
            f" behind it: {after}"
        )

    def _beginning(self) -> str:
        oldest = self.reach().oldest_ms
        return f"begins at {moment_text(oldest)}" if oldest is not None else "begins with its next write"

    # --- ways there -------------------------------------------------------------------------------------------
    def plan(self, position: Position) -> Plan:
        """How to restore a state. Raises StorageError when a piece is missing."""
        bases = self._bases()
        base = max((each for each in bases if each <= position.segment), default=None)
        if base is None:
            raise StorageError(
                f"the bookmark {self._text(position)} is older than the history of the object,"
                f" which {self._beginning()}"
            )
        whole = tuple(range(base, position.segment))
        needed = [*whole, *([position.segment] if position.frame else [])]
        for segment in needed:
            if not self.log_of(segment).exists():
                raise StorageError(
                    f"the bookmark {self._text(position)} lies in a gap of the object's history: {self.log_of(segment)}"
                    " was not kept, because point-in-time recovery was off or another program changed the file"
                )
        return Plan(base, whole, position)

    def _bases(self) -> list[int]:
        history = self._history
        if history.segment == 0:
            return [] if history.broken else [0]
        return [base for base in history.archive.bases() if base <= history.segment]

    def _text(self, position: Position) -> str:
        return str(bookmark_at(position, self._history.object_id))

    def log_of(self, segment: int) -> Path:
        history = self._history
        return history.log_file if segment == history.segment else history.archive.log(segment)

    def reach(self) -> Reach:
        """From when to when, and at what cost."""
        history = self._history
        oldest: int | None = None
        newest: int | None = None
        bases = self._bases()
        for segment, times in self._times():
            if times.moments and bases and segment >= bases[0]:
                oldest = min(moment.ms for moment in times.moments)
                newest = max(oldest, _last(times).ms) if newest is None else newest
        size = history.archive.size + sum(_size(file) for file in (history.log_file, history.times_file))
        return Reach(oldest, newest, len(history.archive.segments()) + 1, size, self._text(self.now))


def read_undo(path: Path) -> dict[int, Position]:
    """What the object looked like before the restores of these nonces; oldest first."""
    try:
        content: Any = json.loads(path.read_bytes())
        return {int(nonce, 16): Position(int(place[0]), int(place[1])) for nonce, place in content.items()}
    except (FileNotFoundError, ValueError, TypeError, LookupError, AttributeError):
        return {}


def moment_text(ms: int) -> str:
    """`2026-01-31T12:00:00.123Z`"""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def _last(times: Times) -> Moment:
    return max(times.moments, key=lambda moment: moment.frame)


def _ends_commit(log: Path, frame: int) -> bool:
    try:
        with open(log, "rb", buffering=0) as stream:
            salts = stream.read(log_bytes(0))[16:24]
            stream.seek(log_bytes(frame - 1))
            _, pages, own_salts = _FRAME_HEADER.unpack(stream.read(_FRAME_HEADER.size))
    except (OSError, struct.error):
        return False
    return bool(pages) and own_salts == salts


def _size(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0
