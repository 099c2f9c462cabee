"""The history of one object: which life of its log this is, archiving it, base copies, and what breaks the chain.

    segment k   one life of the object's `-wal`, from its first frame to the checkpoint after which it is put aside
    base k      a copy of the object's file as it stood when segment k began; segment 0 begins with an empty file

A state is base + whole segments + a piece of one: SQLite recovers it by itself. Putting a log aside is a rename, so
history costs no copying but that of the bases. The chain breaks when the file changed without its log being kept:
another program made a checkpoint, or point-in-time recovery was off. Then a new base is made at once, and a gap
in the segments' numbers keeps anyone from replaying over it. Whoever calls this sees to it that the file is closed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from durable.clock import Clock
from durable.errors import StorageError
from durable.failpoints import failpoint
from durable.limits import HISTORY_BASE_BYTES
from durable.storage.file_copy import copy_bytes, copy_file, replace_file, sync_path, write_zeros
from durable.storage.history.bookmark import Bookmark, Position, bookmark_at, chain_of
from durable.storage.history.folder import HistoryFolder
from durable.storage.history.head import Head, read_head, write_head
from durable.storage.history.moments import SALTS_BYTES, Moment, append_times, drop_times_behind, read_last
from durable.storage.history.retention import prune
from durable.storage.layout import FOLDER_MODE, sync_folder
from durable.storage.schema import PAGE_BYTES, empty_file

_NO_FILE: Final = 0
"""Time of modification in the head of an object that was removed because it stored nothing."""
_LOG_HEADER_BYTES: Final = 32
_FRAME_BYTES: Final = PAGE_BYTES + 24
_LOG_MAGIC: Final = b"\x37\x7f\x06"
_SALTS: Final = slice(16, 24)
"""Of a log's header (SQLite file format, §4.1)."""


class History:
    """For one object whose history is kept; used by one thread at a time."""

    def __init__(self, file: Path, *, clock: Clock, keep_days: int) -> None:
        self.file = file
        self.log_file = Path(f"{file}-wal")
        self.times_file = Path(f"{file}-times")
        self.next_log = Path(f"{file}-next")
        self.archive = HistoryFolder(file.with_suffix(".history"))
        self.object_id = file.stem
        self.keep_days = keep_days
        self.segment = 0
        """Number of the live log, once `begin` has looked."""
        self.broken = ""
        """Why the live log does not continue what is archived; empty when it does."""
        self.was_kept = False
        """Whether there is history that a break cuts off."""
        self.begun = False
        self._first_page: Callable[[], bytes] = bytes
        self.moments: dict[int, int] = {}
        """Frames of commits that are not in the times file yet, by wall milliseconds; the last of each."""
        self._clock = clock

    # --- joining the chain --------------------------------------------------------------------------------------
    def begin(self, frames: int, first_page: Callable[[], bytes]) -> None:
        """Find out which segment the live log is and whether it continues the history.

        `frames` is the number of frames that SQLite found in the log when it opened the file; `first_page` reads the
        file's first page, through SQLite's own descriptor if it has one. Raises StorageError.
        """
        self.broken = ""
        self._first_page = first_page
        try:
            self.segment = 0
            head, last, is_damaged, is_marked = None, -1, False, False
            if self.archive.path.is_dir():
                head = read_head(self.archive)
                # A power cut may have taken the contents of one that was not settled yet.
                is_damaged = head is None and self.archive.head.exists() and self.archive.head.stat().st_size > 0
                is_marked = self.archive.break_marker.exists()
                last = self.archive.last_segment()
                self._finish_rotation(last)
                self.segment = max(head.segment if head is not None else 0, last + 1, *self.archive.bases())
                if head is not None and head.segment != self.segment:
                    head = None
            times = read_last(self.times_file)
            self.was_kept = times is not None or last >= 0 or head is not None
            if is_damaged:
                self.broken = f"{self.archive.head} is damaged"
            elif is_marked:
                self.broken = "point-in-time recovery was off for a while"
            else:
                self.broken = self._find_break(times, frames, head, last)
            if not self.broken:
                self._begin_times(frames, head)
        except OSError as error:
            raise StorageError(f"the history of {self.file} cannot be read: {error.strerror}") from error
        self.begun = True

    def _finish_rotation(self, last: int) -> None:
        """The process died between moving the log and moving its times."""
        times = read_last(self.times_file) if last >= 0 else None
        if times is not None and times[0] == read_salts(self.archive.log(last)):
            os.rename(self.times_file, self.archive.times(last))

    def _find_break(self, times: tuple[bytes, Moment | None] | None, frames: int, head: Head | None, last: int) -> str:
        if times is not None:
            salts, newest = times
            if salts != read_salts(self.log_file):
                return "its write-ahead log was replaced by another program, or while point-in-time recovery was off"
            # A power cut may have taken a tail that the times still speak of.
            if newest is not None and newest.frame > frames:
                drop_times_behind(self.times_file, frames)
            return ""
        if head is not None:
            return self._compare(head)
        if last >= 0 or self._is_pristine():
            return ""
        return "it was written without history"

    def _compare(self, head: Head) -> str:
        try:
            facts = self.file.stat()
        except FileNotFoundError:
            return "" if head.mtime_ns == _NO_FILE else "its file is missing"
        if head.mtime_ns == _NO_FILE:
            # It was removed because it stored nothing, and made again.
            unchanged = self._is_pristine()
        else:
            # Older is as good: the time of a change is no part of what SQLite syncs, and a power cut may take it back.
            unchanged = facts.st_size == head.size and facts.st_mtime_ns <= head.mtime_ns
        return "" if unchanged else "its file was changed by another program"

    def _is_pristine(self) -> bool:
        """Whether everything ever written is in the first log: the file itself is as it was made."""
        try:
            return self.file.stat().st_size == PAGE_BYTES and self._first_page() == empty_file()
        except FileNotFoundError:
            return True

    def _begin_times(self, frames: int, head: Head | None) -> None:
        now = self._clock.wall_ms()
        times = read_last(self.times_file)
        newest = times[1] if times is not None else None
        if times is None and head is not None:
            self.moments[head.began_ms] = 0
        elif times is None and self.segment:
            # The process died between archiving a log and writing the head.
            self._write_head(now)
            self.moments[now] = 0
        if frames > (newest.frame if newest is not None else 0):
            # A process that was killed did not get to write down when: by now, at least.
            self.moments[now] = frames

    # --- what was when --------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Write down the times of the commits so far. Failing costs precision, and nobody's commit."""
        if self.broken:
            self.moments.clear()
        elif self.moments:
            with contextlib.suppress(OSError):
                salts = read_salts(self.log_file)
                if len(salts) == SALTS_BYTES:  # else nothing was committed since the segment began
                    moments, self.moments = self.moments, {}
                    append_times(self.times_file, salts, moments.items())

    def fail(self, reason: str) -> None:
        """The history cannot be looked at; it begins anew when it can."""
        self.broken, self.begun = reason, True

    def close(self) -> None:
        """The file is being closed; whoever opens it looks again."""
        if self.begun:
            self.flush()
            self.begun = False
        self.moments.clear()

    def bookmark(self, frame: int) -> Bookmark:
        """Of the state after the commit that ended with `frame` of the live log."""
        return bookmark_at(Position(self.segment, frame), self.object_id)

    # --- rotation -------------------------------------------------------------------------------------------------
    def prepare(self) -> None:
        """Before a rotation, while the object goes on: make the file that the next log is written into.

        A log that grows costs each sync a change of the file's metadata: in `full` half of the throughput.
        """
        with contextlib.suppress(OSError):  # without it the next log grows
            size = self.log_file.stat().st_size
            if not self.broken and not (self.next_log.exists() and self.next_log.stat().st_size >= size // 2):
                write_zeros(self.next_log, size)

    def seal(self, frames: int) -> None:
        """Before the checkpoint: write down what must be known about the segment that ends."""
        # The last record says how many frames a whole replay must find.
        if frames and self.moments.get(next(reversed(self.moments), 0)) != frames:
            self.moments[self._clock.wall_ms()] = frames
        self.flush()
        with contextlib.suppress(OSError):
            # The checkpoint changes the file: after a power cut in the middle of it only the times say that the log is
            # this history's, and not another program's.
            sync_path(self.times_file)
            sync_folder(self.times_file.parent)
        times = read_last(self.times_file)
        if not self.broken and times is not None and times[0] != read_salts(self.log_file):
            self.broken = "its write-ahead log was begun anew"
        failpoint("rotation.sealed")

    def rotate(self, frames: int) -> None:
        """The log is in the file, and the file is closed: put the log aside and begin the next segment.

        `settle` must follow, when the object goes on. Raises StorageError; the log is then where it was or archived,
        and `begin` finds out which.
        """
        self.begun = False
        now = self._clock.wall_ms()
        try:
            failpoint("rotation.checkpointed")
            self._make_folder()
            if self.broken:
                self._begin_after_break()
            else:
                self._put_log_aside(frames)
                if self._base_is_due():
                    # Its name comes when it is on disk.
                    copy_bytes(self.file, self._base_draft(self.segment + 1), None, sync=False)
            self.segment += 1
            self._write_head(now, sync=bool(self.broken))
            self.archive.break_marker.unlink(missing_ok=True)
            failpoint("rotation.head_written")
        except OSError as error:
            raise StorageError(f"the history of {self.file} cannot be kept: {error.strerror}") from error
        self.moments = {now: 0}
        self.broken = ""
        self.begun = True

    def settle(self) -> None:
        """After a rotation, while the object goes on already: put on disk what nobody's answer waits for, and delete
        what is too old. Raises StorageError."""
        segment = self.segment
        try:
            times = self.archive.times(segment - 1)
            if times.exists():
                sync_path(times)
            draft = self._base_draft(segment)
            if draft.exists():
                sync_path(draft)
                os.rename(draft, self.archive.base(segment))
                failpoint("rotation.base_made")
            for left_over in self.archive.path.glob("*.base.new"):
                left_over.unlink()  # of a process that died right here
            sync_path(self.archive.head)
            sync_folder(self.archive.path)
            prune(self.archive, self.file.stat().st_size, keep_days=self.keep_days, now_ms=self._clock.wall_ms())
        except OSError as error:
            raise StorageError(f"the history of {self.file} cannot be kept: {error.strerror}") from error
        failpoint("rotation.settled")

    def _put_log_aside(self, frames: int) -> None:
        # What a rollback left behind the last commit, and the rest of a prepared file, is no part of the history.
        os.truncate(self.log_file, log_bytes(frames))
        os.rename(self.log_file, self.archive.log(self.segment))
        failpoint("rotation.log_moved")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.times_file, self.archive.times(self.segment))
        failpoint("rotation.times_moved")
        # The object's own folder is synced with the first commit into the new log.
        sync_folder(self.archive.path)
        failpoint("rotation.log_synced")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.next_log, self.log_file)

    def _begin_after_break(self) -> None:
        # The base first: until the head says so the segment does not exist, and a crash makes another base.
        copy_file(self.file, self.archive.base(self.segment + 1))
        failpoint("rotation.base_made")
        # Not archived: without what went before it this log leads to no state. It is in the file, which is the base.
        self.log_file.unlink(missing_ok=True)
        self.times_file.unlink(missing_ok=True)
        self.next_log.unlink(missing_ok=True)
        sync_folder(self.file.parent)

    def remove(self) -> None:
        """The object stores nothing, its file is closed and about to be removed: the next one begins empty.

        Raises StorageError.
        """
        try:
            self.next_log.unlink(missing_ok=True)
            if not self.archive.path.is_dir():
                return  # nothing was ever committed, or the log that says so is not worth a folder
            replace_file(self.archive.base(self.segment), empty_file())
            self._write_head(self._clock.wall_ms(), is_removed=True)
            self.times_file.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"the history of {self.file} cannot be kept: {error.strerror}") from error

    def _base_is_due(self) -> bool:
        return self.archive.bytes_since_base() >= max(HISTORY_BASE_BYTES, self.file.stat().st_size)

    def _base_draft(self, segment: int) -> Path:
        return Path(f"{self.archive.base(segment)}.new")

    def _make_folder(self) -> None:
        folder = self.archive.path
        if not folder.is_dir():
            folder.mkdir(FOLDER_MODE)
            sync_folder(folder.parent)

    # --- the head -------------------------------------------------------------------------------------------------
    def _write_head(self, now: int, *, is_removed: bool = False, sync: bool = True) -> None:
        size, mtime_ns = PAGE_BYTES, _NO_FILE
        if not is_removed:
            facts = self.file.stat()
            size, mtime_ns = facts.st_size, facts.st_mtime_ns
        head = Head(chain_of(self.object_id), self.segment, now, size, mtime_ns)
        write_head(self.archive, head, sync=sync)


def mark_break(file: Path) -> None:
    """Before a checkpoint that keeps no log: let whoever keeps history again know that a piece is missing."""
    archive = HistoryFolder(file.with_suffix(".history"))
    if archive.path.is_dir() and not archive.break_marker.exists():
        try:
            replace_file(archive.break_marker, b"")
        except OSError as error:
            raise StorageError(f"{archive.break_marker} cannot be written: {error.strerror}") from error


def read_salts(log: Path) -> bytes:
    """What tells one life of a log from the next; empty when there is no log yet. Raises OSError."""
    # The log carries no locks of SQLite's: opening and closing it here costs nobody any.
    try:
        with open(log, "rb", buffering=0) as stream:
            header = stream.read(_LOG_HEADER_BYTES)
    except FileNotFoundError:
        return b""
    return header[_SALTS] if header.startswith(_LOG_MAGIC) else b""


def log_bytes(frames: int) -> int:
    """Size of a log of so many frames."""
    return _LOG_HEADER_BYTES + frames * _FRAME_BYTES
