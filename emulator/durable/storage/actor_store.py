"""Everything one actor's code can do to its file: SQL, keys, the alarm, transactions, and deleting it all.

The file is opened by the first use and made by the first that needs one, so an actor that keeps everything in memory
costs no file. Knows nothing of gates, epochs or other objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import apsw

from durable.clock import Clock
from durable.errors import StorageError
from durable.storage.alarm import Alarm
from durable.storage.database import Database
from durable.storage.inspection import Inspection, inspect
from durable.storage.kv import Kv
from durable.storage.schema import (
    ANYTHING_STORED,
    KV_TABLE,
    TABLE_EXISTS,
    USER_OBJECTS,
    quoted,
)
from durable.storage.sql import Sql
from durable.storage.transaction import Transaction


class ActorStore:
    """Storage of one object, for the thread that makes this; survives the activations that use it.

    `on_first_write` is called once per transaction, when its first write opened it; it may be replaced.
    """

    def __init__(self, path: Path, *, clock: Clock, on_first_write: Callable[[], None]) -> None:
        self.path = path
        self._transaction = Transaction(path, on_first_write=on_first_write, on_forget=self._forget)
        self.sql = Sql(self._transaction)
        self.kv = Kv(self._transaction)
        self.alarm = Alarm(self._transaction, clock)

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

    # --- what there is --------------------------------------------------------------------------------------------
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
        if self.alarm.now is not None or database.run(ANYTHING_STORED).get:
            return False
        has_keys = database.run(TABLE_EXISTS, (KV_TABLE,)).get
        return not (has_keys and database.run(f"SELECT 1 FROM {KV_TABLE} LIMIT 1").get)

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
        self.sql.cancel_cursors()
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
    def inspect(self, sql: str, *, write: bool, rows_max: int, seconds_max: float) -> Inspection:
        """Run a tool's SQL between turns, from any thread, while the actor is kept out; `write` commits by itself."""
        return inspect(self._transaction, self.sql, sql, write=write, rows_max=rows_max, seconds_max=seconds_max)

    def checkpoint(self) -> bool:
        """Move the log into the file if nothing is in its way; between turns, from any thread."""
        database = self._transaction.database
        return database is not None and not self._transaction.open and database.checkpoint()

    def close(self) -> None:
        """Close the file; what the open transaction wrote is lost. A file that nothing was written to is removed."""
        self.sql.cancel_cursors("the object's storage was closed")
        self._transaction.close()


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
        for table in (KV_TABLE, "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"):
            if database.run(TABLE_EXISTS, (table,)).get:
                database.run(f"DELETE FROM {table}")
    finally:
        config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, enforced)
