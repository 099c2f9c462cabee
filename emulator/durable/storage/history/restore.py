"""Bringing one object's file back to an earlier state: build that state beside the file, then decide for it.

The draft is complete and on disk before anything is decided; what comes then is `durable.storage.history.decision`.
The object's file is closed all the while.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import apsw

from durable.errors import StorageCorruptError, StorageError
from durable.failpoints import failpoint
from durable.storage.failure import translate
from durable.storage.file_copy import copy_bytes, sync_path
from durable.storage.history.archive import History, log_bytes
from durable.storage.history.bookmark import Bookmark, Position, bookmark_at
from durable.storage.history.decision import Decision, decide, discard_draft, draft_of
from durable.storage.history.moments import read_times
from durable.storage.history.resolution import Plan, Resolution
from durable.storage.layout import FILE_MODE, sync_folder
from durable.storage.schema import ALARM_KEY, APPLICATION_ID, METADATA_TABLE, RESTORE_KEY, TABLE_EXISTS, empty_file
from durable.storage.vfs import vfs_name

_NANOSECONDS: Final = 1_000_000
HARDENING: Final = (
    # Closing must not make a checkpoint that was not asked for, nor remove the log.
    (apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1),
    # What the draft was made from may be anybody's: no code in its schema may run.
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
)


class Restore:
    """One restore of an object whose file is closed: `build`, then `decide`."""

    def __init__(self, history: History, frames: int, target: Position, undo: Bookmark) -> None:
        """`frames` is the number of frames in the live log; `target` was found by a `Resolution`."""
        self.target = bookmark_at(target, history.object_id)
        self.undo = undo
        """Of the state that the restore ends."""
        self._history = history
        self._resolution = Resolution(history, frames)
        self._plan = self._resolution.plan(target)
        self._place = (history.segment, frames)
        self._draft = draft_of(history.file)

    def build(self) -> int | None:
        """Make the draft; returns the alarm in it, in milliseconds. Raises StorageError; nothing is changed then."""
        try:
            return self._build(self._plan)
        except apsw.Error as error:
            raise translate(error, self._history.file) from error
        except OSError as error:
            raise StorageError(f"{self._draft} cannot be made: {error.strerror}") from error

    def _build(self, plan: Plan) -> int | None:
        self.discard()
        history = self._history
        if plan.base:
            copy_bytes(history.archive.base(plan.base), self._draft, None, sync=False)
        else:
            write_new(self._draft, empty_file())
        failpoint("restore.base_copied")
        for segment in plan.whole:
            self._replay_whole(segment)
        alarm = self._replay_last(plan.target)
        sync_path(self._draft)
        sync_folder(self._draft.parent)
        failpoint("restore.built")
        return alarm

    def _replay_whole(self, segment: int) -> None:
        times = read_times(self._history.archive.times(segment))
        expected = max((moment.frame for moment in times.moments), default=None) if times is not None else None
        log = Path(f"{self._draft}-wal")
        # The same file under a second name: a passive checkpoint only reads it.
        os.link(self._history.archive.log(segment), log)
        try:
            with opened_draft(self._draft) as connection:
                frames = frames_of(connection)
                if expected is not None and frames != expected:
                    raise _damaged(self._history.archive.log(segment), expected, frames)
                empty_log(connection, self._draft)
        finally:
            log.unlink()

    def _replay_last(self, target: Position) -> int | None:
        log = Path(f"{self._draft}-wal")
        try:
            if target.frame:
                source = self._resolution.log_of(target.segment)
                copy_bytes(source, log, log_bytes(target.frame), sync=False)
            with opened_draft(self._draft) as connection:
                frames = frames_of(connection)
                if frames != target.frame:
                    raise _damaged(self._resolution.log_of(target.segment), target.frame, frames)
                if connection.execute("PRAGMA application_id").get != APPLICATION_ID:
                    raise StorageCorruptError(str(self._draft), "was restored to something that durable did not write")
                alarm = settle_metadata(connection)
                empty_log(connection, self._draft)
        finally:
            log.unlink(missing_ok=True)
        return alarm

    def decide(self, now_ms: int) -> None:
        """Make the draft the object's state.

        Raises StorageError: then nothing has changed, or the next opener finishes it.
        """
        segment, frame = self._place
        decide(self._history.file, Decision(segment, frame, self.undo.nonce, now_ms))

    def discard(self) -> None:
        """Remove the draft, also what is left of an earlier one."""
        discard_draft(self._history.file)


# --- SQLite on the draft ----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def opened_draft(path: Path) -> Generator[Any]:
    """A connection to a draft that nothing leaves by itself: neither a checkpoint nor a sync. Raises apsw's errors."""
    connection: Any = apsw.Connection(
        str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW, vfs=vfs_name()
    )
    try:
        for option, value in HARDENING:
            connection.config(option, value)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # The draft is synced once, when it is complete.
        connection.execute("PRAGMA synchronous = OFF")
        connection.set_wal_hook(_no_checkpoint)
        yield connection
    finally:
        connection.close(True)


def _no_checkpoint(connection: Any, name: str, frames: int) -> int:
    return apsw.SQLITE_OK


def frames_of(connection: Any) -> int:
    """How many frames SQLite recovered."""
    connection.execute("PRAGMA schema_version").get  # noqa: B018 - reading is what opens the log
    return int(connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0])


def empty_log(connection: Any, file: Path) -> None:
    """Move the draft's log into the draft. Raises StorageError."""
    frames, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    if frames != copied:
        raise StorageError(f"{file}: only {copied} of {frames} frames could be replayed")


def settle_metadata(connection: Any) -> int | None:
    """Take out the wish to be restored that led here, if it is in the state itself; returns the alarm."""
    if not connection.execute(TABLE_EXISTS, (METADATA_TABLE,)).get:
        return None
    if connection.execute(f"SELECT 1 FROM {METADATA_TABLE} WHERE key = {RESTORE_KEY}").get:
        connection.execute(f"DELETE FROM {METADATA_TABLE} WHERE key = {RESTORE_KEY}")
    nanoseconds = connection.execute(f"SELECT value FROM {METADATA_TABLE} WHERE key = {ALARM_KEY}").get
    return None if nanoseconds is None else int(nanoseconds) // _NANOSECONDS


def _damaged(log: Path, expected: int, found: int) -> StorageCorruptError:
    return StorageCorruptError(
        str(log),
        f"is damaged: SQLite recovers {found} of the {expected} frames that were committed; nothing was changed",
    )


def write_new(path: Path, content: bytes) -> None:
    """Make a file that is not there. Raises OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
