"""Everything one actor's code can do to its file: SQL, keys, the alarm, transactions, and deleting it all.

The file is opened by the first use and made by the first that needs one, so an actor that keeps everything in memory
costs no file. Knows nothing of gates, epochs or other objects.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import apsw

from durable.clock import Clock
from durable.errors import StorageError
from durable.limits import CHECKPOINT_LOG_FRAMES, CHECKPOINT_RETRY_FRAMES, INSPECT_BYTES_MAX
from durable.storage.alarm import Alarm
from durable.storage.database import Database
from durable.storage.failure import translate
from durable.storage.file_check import stores_nothing
from durable.storage.history.archive import History, mark_break
from durable.storage.history.recovery import Recovery
from durable.storage.history.restore import Restore
from durable.storage.kv import Kv
from durable.storage.schema import (
    KV_TABLE,
    MIGRATIONS_TABLE,
    TABLE_EXISTS,
    USER_OBJECTS,
    quoted,
)
from durable.storage.schema_record import SchemaRecord
from durable.storage.sql.execution import Sql
from durable.storage.sql.inspection import Inspection, inspect
from durable.storage.sql.parameters import Parameters
from durable.storage.transaction import Transaction, has_file

DELETED: Final = "SQLite query was canceled because the database was deleted."


class ActorStore:
    """Storage of one object, for the thread that makes this; survives the activations that use it.

    `on_first_write` is called once per transaction, when its first write opened it; it may be replaced.
    """

    def __init__(self, path: Path, *, clock: Clock, on_first_write: Callable[[], None], keep_days: int = 0) -> None:
        """History is kept for `keep_days`; 0: none is."""
        self.path = path
        self._transaction = Transaction(path, on_first_write=on_first_write, on_forget=self._forget)
        self.sql = Sql(self._transaction)
        self.kv = Kv(self._transaction)
        self.alarm = Alarm(self._transaction, clock)
        self.schema = SchemaRecord(self._transaction)
        self.history = History(path, clock=clock, keep_days=keep_days) if keep_days else None
        self.recovery = Recovery(self._transaction, self.history, clock)
        self._was_empty = False

    def _forget(self, everything: bool) -> None:
        self.sql.forget()
        self.kv.forget()
        self.alarm.forget(everything=everything)

    @property
    def on_first_write(self) -> Callable[[], None]:
        return self._transaction.on_first_write

    @on_first_write.setter
    def on_first_write(self, callback: Callable[[], None]) -> None:
        self._transaction.on_first_write = callback

    @property
    def before_open(self) -> Callable[[], None]:
        """Called before the file is opened, which any use may do; what it raises goes to whoever used the storage."""
        return self._transaction.before_open

    @before_open.setter
    def before_open(self, callback: Callable[[], None]) -> None:
        self._transaction.before_open = callback

    @property
    def on_critical(self) -> Callable[[], None]:
        """Called when a critical error met the actor's own code, which may catch it: its turn's writes are lost."""
        return self._transaction.on_critical

    @on_critical.setter
    def on_critical(self, callback: Callable[[], None]) -> None:
        self._transaction.on_critical = callback

    @property
    def synced_frames(self) -> int:
        """Frames of the log that were on the disk when this process last closed the file; 0 when that is not known."""
        return self._transaction.synced_frames

    @synced_frames.setter
    def synced_frames(self, frames: int) -> None:
        self._transaction.synced_frames = frames

    # --- the open file --------------------------------------------------------------------------------------------
    @property
    def is_open(self) -> bool:
        """Whether the file is open now; the next use opens it."""
        return self._transaction.database is not None

    @property
    def is_busy(self) -> bool:
        """Whether closing the file now would lose something: a transaction, a cursor, what is not durable yet."""
        return self._transaction.busy or self.sql.has_unfinished_cursor

    def suspend(self) -> None:
        """Close a file that is not busy, until it is used again; whoever holds this store notices nothing."""
        self._was_empty = self.may_be_empty
        if self.history is not None:
            self.history.close()
        self._transaction.suspend()

    def keep_file(self) -> None:
        """Call before the index is told of the object: from then on its file stays, even if nothing is committed."""
        self._transaction.require().keep()

    @property
    def lost(self) -> StorageError | None:
        """Why the object may not begin empty although it has no file; raised by every use that needs the file."""
        return self._transaction.lost

    @lost.setter
    def lost(self, error: StorageError | None) -> None:
        self._transaction.lost = error

    def disown(self) -> None:
        """Make every further use fail: this is a forked child, and the file is its parent's."""
        self._transaction.disown()

    # --- what there is --------------------------------------------------------------------------------------------
    @property
    def has_file(self) -> bool:
        """Whether the object has a file, or what is left of one."""
        return self.is_open or has_file(self.path)

    @property
    def exists(self) -> bool:
        """Whether the object has ever committed a write, or its open transaction may be the first."""
        return self._transaction.open or not self.is_new

    @property
    def is_new(self) -> bool:
        """Whether no write of the object has ever been committed."""
        database = self._transaction.require_existing()
        return database is None or database.is_new

    @property
    def is_empty(self) -> bool:
        """Whether the object stores nothing any more, no table, view, key or alarm, and so ends with its activation."""
        database = self._transaction.require_existing()
        if database is None or database.is_new:
            return not self._transaction.open
        try:
            return stores_nothing(database.run)
        except apsw.Error as error:
            # Nobody's turn is open, so there is nothing to lose: not critical, whoever uses the file next sees it anew.
            raise translate(error, self.path) from error

    @property
    def may_be_empty(self) -> bool:
        """Whether the object had data or was to have some, and has none now; asks no file that is closed."""
        database = self._transaction.database
        if database is None:
            return self._was_empty
        try:
            return bool(database.is_new or database.log_frames) and not database.is_draft and self.is_empty
        except apsw.Error:
            return False  # it is damaged: whoever uses it next is told

    @property
    def database(self) -> Database:
        """The open file, for whoever makes its commits durable."""
        return self._transaction.require()

    def is_open_on(self, databases: Iterable[Database]) -> bool:
        """Whether this object's file is one of `databases`."""
        return self._transaction.database is not None and self._transaction.database in databases

    @property
    def undurable_epoch(self) -> int:
        """The last epoch with a commit of this object that is not durable yet; 0 when there is none."""
        database = self._transaction.database
        return database.undurable_epoch if database is not None else 0

    @property
    def alarm_now(self) -> int | None:
        """The alarm as seen inside the open transaction. Raises the critical error when there was one."""
        self._transaction.check()
        return self.alarm.now

    @property
    def alarm_before(self) -> int | None:
        """The alarm as last committed."""
        return self.alarm.before

    # --- transactions -----------------------------------------------------------------------------------------------
    @property
    def in_transaction(self) -> bool:
        return self._transaction.open

    @property
    def write_count(self) -> tuple[int, int]:
        """Rows written and schema changes so far: the same twice when nothing was written in between."""
        database = self._transaction.require()
        return database.connection.total_changes(), database.run("PRAGMA schema_version").get

    def commit(self) -> bool:
        """Commit the turn. False when it wrote nothing, and while an explicit transaction is open.

        Raises StorageError with `critical` set, after rolling back, when SQLite refuses.
        """
        written = self._transaction.commit()
        if written:
            self.alarm.committed()
        return written

    def rollback(self) -> None:
        """Back to the last commit; also makes storage usable again after a critical error."""
        self._transaction.rollback()

    def savepoint(self) -> str:
        """Open an explicit transaction; returns its name, for `release` or `rollback_to`. They nest."""
        return self._transaction.savepoint()

    def is_innermost(self, name: str) -> bool:
        """Whether `name` is the explicit transaction that was opened last, of those that are still open."""
        return self._transaction.is_innermost(name)

    def release(self, name: str) -> None:
        """End the explicit transaction and keep what it wrote."""
        self._transaction.release(name)

    def rollback_to(self, name: str) -> None:
        """End the explicit transaction and undo what it wrote."""
        self._transaction.rollback_to(name)

    def delete_all(self, *, keep_alarm: bool) -> None:
        """Remove every table, view, index, trigger and key, and the alarm unless kept, in the turn's transaction."""
        transaction = self._transaction
        transaction.check()
        if transaction.depth:
            raise StorageError("delete_all() cannot be called within a transaction; call it before or after")
        database = transaction.require_existing()
        if database is None:
            return
        self.sql.cancel_cursors(DELETED)
        self.kv.cancel_iterator(DELETED)
        name = transaction.savepoint()
        try:
            _drop_everything(database)
            if not keep_alarm:
                self.alarm.delete()
        except apsw.Error as error:
            failure = transaction.failed(error)
            if transaction.open:
                transaction.rollback_to(name)
            raise failure from error
        transaction.release(name)
        self.sql.forget()
        self.kv.forget()

    # --- tools and the end ------------------------------------------------------------------------------------------
    def inspect(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        write: bool,
        rows_max: int,
        seconds_max: float,
        bytes_max: int = INSPECT_BYTES_MAX,
    ) -> list[Inspection]:
        """Run a tool's SQL between turns, from any thread, while the actor is kept out; `write` commits by itself."""
        return inspect(
            self._transaction,
            self.sql,
            sql,
            parameters,
            write=write,
            rows_max=rows_max,
            bytes_max=bytes_max,
            seconds_max=seconds_max,
        )

    def checkpoint(self, *, settle: bool = True) -> bool:
        """Move the log into the file if nothing is in its way; between turns, from any thread.

        With history the log is put aside, which takes that all of it is durable; the file is closed afterwards, until
        it is used again. `settle` False leaves it to the caller to call `history.settle`. Raises StorageError.
        """
        database = self._transaction.database
        if database is None or self._transaction.open:
            return False
        # Not again at the very next commit, whatever becomes of this.
        database.checkpoint_frames = database.log_frames + CHECKPOINT_RETRY_FRAMES
        if self.history is None:
            mark_break(self.path)
            if database.checkpoint():
                database.checkpoint_frames = CHECKPOINT_LOG_FRAMES
                return True
            return False
        return self._rotate(database, self.history, settle=settle)

    def _rotate(self, database: Database, history: History, *, settle: bool) -> bool:
        if database.undurable_epoch or database.sync_error is not None:
            return False
        is_broken = bool(self.recovery.look())
        frames = database.frames
        if not frames and not is_broken:
            return True
        history.seal(frames)
        if not database.checkpoint():
            return False
        # What SQLite knows of the log goes with the connection: opened again, it would begin the same log anew.
        try:
            self._transaction.suspend()
        except BaseException:
            self._transaction.close()
            raise
        history.rotate(frames)
        if settle:
            history.settle()
        return True

    @property
    def has_history(self) -> bool:
        """Whether anything of the object is kept although it may have no file."""
        return self.history is not None and self.history.archive.path.is_dir()

    def prepare_restore(self, at: str | int, nonce: int = 0) -> tuple[int | None, Restore]:
        """Close the file for a restore to a bookmark or a moment in wall milliseconds; (moment of that state, restore).

        `nonce` is that of the wish that is carried out. Between turns, from any thread, when everything is durable.
        Raises StorageError, with the file as it was.
        """
        target = self.recovery.find(at)
        moment = self.recovery.moment_of(target)
        self.sql.cancel_cursors("the object was restored to an earlier state")
        # What the restore ends must be reachable, too, or it could not be undone. Nothing is pruned: it may be the way.
        if self.recovery.look() and not self.checkpoint(settle=False):
            raise StorageError(f"{self.path} is in use; try again")
        restore = self.recovery.restore(target, nonce)
        self.close()
        return moment, restore

    def remove_files(self) -> None:
        """Take an object that stores nothing off the disk; its file is closed and it is no longer in the index.

        Its history stays for its days, so that what it held can be restored. Raises StorageError.
        """
        if self.history is not None:
            self.history.remove()
        # The log goes first: a log without its file says that something is wrong, and the file alone says the same.
        for name in (f"{self.path}-wal", self.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)

    def close(self) -> None:
        """Close the file; what the open transaction wrote is lost. A file that nothing was written to is removed."""
        self.sql.cancel_cursors("the object's storage was closed")
        self.kv.cancel_iterator("the object's storage was closed")
        if self.history is not None:
            self.history.close()
        self._transaction.close()

    def end(self) -> None:
        """Close the file for good.

        Nothing in here refers to itself from then on: what sleeps would otherwise stay until the collector looks for
        it, and that stands the host still for a tenth of a second.
        """
        try:
            self.close()
        finally:
            self._transaction.end()


def _drop_everything(database: Database) -> None:
    # With foreign keys on, dropping a table deletes its rows one by one and checks them against tables that are
    # going too. The pragma is ignored inside a transaction; the configuration switch is not.
    config = database.connection.config
    enforced = config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1)
    config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
    try:
        for kind, name in database.run(USER_OBJECTS).fetchall():
            # A virtual table takes others of the list with it.
            database.run(f"DROP {kind.upper()} IF EXISTS {quoted(name)}")
        for table in (KV_TABLE, MIGRATIONS_TABLE, "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"):
            if database.run(TABLE_EXISTS, (table,)).get:
                database.run(f"DELETE FROM {table}")
    finally:
        config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, enforced)
