"""Bringing one object's file back to an earlier state: build it beside the file, decide, and then finish for certain.

    <id>.sqlite-draft       the state to come, complete and on disk before anything is decided
    <id>.sqlite-restoring   the decision: from then on every opener finishes what is written there, however often it
                            dies

Until the decision nothing has changed; after it the new state is the only one. What the object was is not lost: its
log is archived like any other, and the restored file is the base of the next segment, so a restore can be undone by
another. The object's file is closed all the while.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from durable.errors import StorageCorruptError, StorageError
from durable.failpoints import failpoint
from durable.limits import HISTORY_UNDO_MAX
from durable.storage.failure import translate
from durable.storage.file_copy import copy_bytes, copy_file, replace_file, sync_path
from durable.storage.history.archive import History, log_bytes
from durable.storage.history.bookmark import Bookmark, Position, bookmark_at, chain_of
from durable.storage.history.folder import HistoryFolder
from durable.storage.history.head import FORMAT, Head, write_head
from durable.storage.history.moments import read_times
from durable.storage.history.resolution import Plan, Resolution, read_undo
from durable.storage.layout import FILE_MODE, FOLDER_MODE, sync_folder
from durable.storage.schema import ALARM_KEY, APPLICATION_ID, METADATA_TABLE, RESTORE_KEY, TABLE_EXISTS, empty_file
from durable.storage.vfs import vfs_name

_NANOSECONDS: Final = 1_000_000
_DECISION: Final = "-restoring"


@dataclass(frozen=True, slots=True)
class Decision:
    """`{"format": 1, "segment": 7, "frame": 42, "nonce": 3735928559, "ms": 1700000000000}`

    `segment` and `frame` are the state that ends; `nonce` is that of the bookmark which undoes the restore.
    """

    segment: int
    frame: int
    nonce: int
    ms: int
    format: int = FORMAT


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
        self._decision = (history.segment, frames, undo.nonce)
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
            _write(self._draft, empty_file())
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
            with _opened(self._draft) as connection:
                frames = _frames(connection)
                if expected is not None and frames != expected:
                    raise _damaged(self._history.archive.log(segment), expected, frames)
                _empty_log(connection, self._draft)
        finally:
            log.unlink()

    def _replay_last(self, target: Position) -> int | None:
        log = Path(f"{self._draft}-wal")
        try:
            if target.frame:
                source = self._resolution.log_of(target.segment)
                copy_bytes(source, log, log_bytes(target.frame), sync=False)
            with _opened(self._draft) as connection:
                frames = _frames(connection)
                if frames != target.frame:
                    raise _damaged(self._resolution.log_of(target.segment), target.frame, frames)
                if connection.execute("PRAGMA application_id").get != APPLICATION_ID:
                    raise StorageCorruptError(str(self._draft), "was restored to something that durable did not write")
                alarm = _settle_metadata(connection)
                _empty_log(connection, self._draft)
        finally:
            log.unlink(missing_ok=True)
        return alarm

    def decide(self, now_ms: int) -> None:
        """Make the draft the object's state.

        Raises StorageError: then nothing has changed, or the next opener finishes it.
        """
        segment, frame, nonce = self._decision
        try:
            replace_file(
                decision_of(self._history.file), json.dumps(asdict(Decision(segment, frame, nonce, now_ms))).encode()
            )
        except OSError as error:
            raise StorageError(f"the restore of {self._history.file} cannot be decided: {error.strerror}") from error
        failpoint("restore.decided")
        finish_restore(self._history.file)

    def discard(self) -> None:
        """Remove the draft, also what is left of an earlier one."""
        for path in (self._draft, Path(f"{self._draft}-wal")):
            path.unlink(missing_ok=True)


def draft_of(file: Path) -> Path:
    return Path(f"{file}-draft")


def decision_of(file: Path) -> Path:
    return Path(f"{file}{_DECISION}")


def is_decided(file: Path) -> bool:
    """Whether a restore of `file` was decided and not finished; asked at every opening, so no Path is made."""
    return os.path.lexists(f"{file}{_DECISION}")


# --- finishing --------------------------------------------------------------------------------------------------------
def finish_restore(file: Path) -> None:
    """Carry out what was decided for `file`; to be called before it is opened when there is a decision.

    Every step can be done twice, because any of them may be the last that this process does. Raises StorageError.
    """
    decision_file = decision_of(file)
    try:
        content: Any = json.loads(decision_file.read_bytes())
        decision = Decision(**content)
    except (ValueError, TypeError) as error:
        raise StorageCorruptError(str(decision_file), f"is damaged: {error}") from error
    except OSError as error:
        raise StorageError(f"{decision_file} cannot be read: {error.strerror}") from error
    try:
        # Without a draft all but the last step is done.
        if draft_of(file).exists():
            _archive_old_state(file, decision)
            _begin_new_segment(file, decision)
            os.rename(draft_of(file), file)
            failpoint("restore.draft_renamed")
            sync_folder(file.parent)
        decision_file.unlink()
        sync_folder(file.parent)
    except OSError as error:
        raise StorageError(f"the restore of {file} cannot be finished: {error.strerror}") from error
    failpoint("restore.finished")


def _archive_old_state(file: Path, decision: Decision) -> None:
    archive = HistoryFolder(file.with_suffix(".history"))
    archive.path.mkdir(FOLDER_MODE, exist_ok=True)
    for live, archived in (
        (Path(f"{file}-wal"), archive.log(decision.segment)),
        (Path(f"{file}-times"), archive.times(decision.segment)),
    ):
        with contextlib.suppress(FileNotFoundError):
            # A process that was killed may have left commits that nobody ever synced.
            sync_path(live)
            os.rename(live, archived)
        failpoint(f"restore.moved{archived.suffix}")
    undo = read_undo(archive.undo)
    undo[decision.nonce] = Position(decision.segment, decision.frame)
    kept = list(undo.items())[-HISTORY_UNDO_MAX:]
    replace_file(archive.undo, json.dumps({f"{nonce:08x}": place for nonce, place in kept}).encode())
    failpoint("restore.undo_noted")


def _begin_new_segment(file: Path, decision: Decision) -> None:
    archive = HistoryFolder(file.with_suffix(".history"))
    copy_file(draft_of(file), archive.base(decision.segment + 1))
    failpoint("restore.base_made")
    facts = os.stat(draft_of(file))
    head = Head(chain_of(file.stem), decision.segment + 1, decision.ms, facts.st_size, facts.st_mtime_ns)
    write_head(archive, head)
    sync_folder(file.parent)
    failpoint("restore.head_written")


# --- SQLite on the draft ----------------------------------------------------------------------------------------------
@contextlib.contextmanager
def _opened(path: Path) -> Generator[Any]:
    connection: Any = apsw.Connection(
        str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW, vfs=vfs_name()
    )
    try:
        # Closing must not make a checkpoint that was not asked for, nor remove the log.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # The draft is synced once, when it is complete.
        connection.execute("PRAGMA synchronous = OFF")
        connection.set_wal_hook(_no_checkpoint)
        yield connection
    finally:
        connection.close(True)


def _no_checkpoint(connection: Any, name: str, frames: int) -> int:
    return apsw.SQLITE_OK


def _frames(connection: Any) -> int:
    """How many frames SQLite recovered."""
    connection.execute("PRAGMA schema_version").get  # noqa: B018 - reading is what opens the log
    return int(connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0])


def _empty_log(connection: Any, file: Path) -> None:
    frames, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    if frames != copied:
        raise StorageError(f"{file}: only {copied} of {frames} frames could be replayed")


def _settle_metadata(connection: Any) -> int | None:
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


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
