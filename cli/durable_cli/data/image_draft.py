"""An object's image under construction: a file of its own, filled by parts or by SQL that came from outside.

SQL passes the authorizer that an object's own SQL passes, statement by statement, so a file of somebody's can do what
the object's code could do to its own tables, and no more. Knows no object: whoever finishes a draft gives it to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from durable.errors import SqlError, StorageError, UserInputError
from durable.limits import ALARM_MS_MAX, IMPORT_STATEMENT_BYTES_MAX, SQL_VALUE_BYTES_MAX
from durable.storage.file_copy import replace_file
from durable.storage.kv import Kv, checked_key
from durable.storage.schema import (
    ALARM_KEY,
    CREATE_KV,
    CREATE_METADATA,
    CREATE_MIGRATIONS,
    KV_TABLE,
    METADATA_TABLE,
    MIGRATIONS_TABLE,
    empty_file,
    quoted,
)
from durable.storage.sql.authorizer import Trust
from durable.storage.sql.execution import Sql
from durable.storage.sql.statement import EMPTY
from durable.storage.sql.statement import Statement as SqlStatement
from durable.storage.transaction import Transaction
from durable_cli.data.image_contents import (
    NANOSECONDS,
    SEQUENCE_TABLE,
    AlarmAt,
    Key,
    Migration,
    Part,
    Row,
    SqlValue,
    Statement,
    Table,
)

_INTERRUPT_STEPS: Final = 100_000
"""SQLite instructions between two looks whether Ctrl+C was pressed."""


class ImageDraft:
    """Made in a folder of our own; `finish` leaves one file, `discard` none. Used as a context that discards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._transaction = Transaction(path, on_first_write=_nobody, on_forget=_nothing)
        self._sql = Sql(self._transaction)
        self._kv = Kv(self._transaction)
        self._insert = ""
        self._columns = 0
        # Never synced: nobody looks for a draft after a crash.
        replace_file(path, empty_file(), sync=False, sync_name=False)
        database = self._transaction.require()
        connection: Any = database.connection
        # Rows come in the order of their tables, not of their references, and were checked when they were written.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
        connection.limit(apsw.SQLITE_LIMIT_SQL_LENGTH, IMPORT_STATEMENT_BYTES_MAX)
        # Python looks for Ctrl+C whenever it runs, and SQLite alone would keep it from that.
        connection.set_progress_handler(lambda: False, _INTERRUPT_STEPS)
        self._transaction.begin()

    def __enter__(self) -> ImageDraft:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    # --- parts ------------------------------------------------------------------------------------------------------
    def add(self, part: Part) -> None:
        """Raises SqlError, UserInputError for a part that no object can have."""
        match part:
            case Statement(sql):
                self.run(sql)
            case Table(name, columns):
                self._begin_table(name, columns)
            case Row(values):
                self._add_row(values)
            case Key(key, encoded):
                self.put_encoded(key, encoded)
            case Migration(version, name, checksum, applied_ms):
                self._engine(CREATE_MIGRATIONS)
                self._engine(f"INSERT INTO {MIGRATIONS_TABLE} VALUES (?, ?, ?, ?)", version, name, checksum, applied_ms)
            case AlarmAt(ms):
                self.set_alarm(ms)

    def _begin_table(self, name: str, columns: Sequence[str]) -> None:
        if not columns:
            raise UserInputError(f'the table "{name}" has no columns')
        if name == SEQUENCE_TABLE:
            # It fills itself as rows come in, and has no key that a second row of the same name would meet.
            self.run(f"DELETE FROM {SEQUENCE_TABLE}")
        names = ", ".join(quoted(column) for column in columns)
        marks = ", ".join("?" * len(columns))
        self._insert, self._columns = f"INSERT INTO {quoted(name)} ({names}) VALUES ({marks})", len(columns)

    def _add_row(self, values: tuple[SqlValue, ...]) -> None:
        if len(values) != self._columns:
            raise UserInputError(f"a row has {len(values)} values, and its table {self._columns} columns")
        self._sql.execute(self._insert, values)

    # --- one thing at a time ----------------------------------------------------------------------------------------
    def run(self, text: str) -> None:
        """Every statement of `text`; rows that one returns are dropped. Raises SqlError."""
        rest, offset = text, 0
        while not EMPTY.fullmatch(rest):
            statement = SqlStatement(rest, self._transaction, self._transaction.require())
            try:
                if statement.run((), Trust.USER) is not None:
                    break
                first, rest = rest[: statement.length], rest[statement.length :]
                SqlStatement(first, self._transaction, self._transaction.require()).run((), Trust.USER)
                offset += len(first.encode())
            except SqlError:
                raise
            except Exception as error:
                raise self._sql.failure(error, (), statement.reason, offset) from error
        self._sql.forget()

    def put(self, key: str, value: Any) -> None:
        """Raises DataCloneError for what cannot be kept, TypeError for what is no key, SqlError."""
        self._kv.put(key, value)

    def put_encoded(self, key: str, encoded: bytes) -> None:
        """A value as `durable.values` wrote it; also one that can no longer be read. Raises as `put`."""
        key = checked_key(key)
        if len(key.encode()) + len(encoded) > SQL_VALUE_BYTES_MAX:
            raise SqlError(f"the value of {key[:40]!r} is too big: SQLITE_TOOBIG", code="SQLITE_TOOBIG")
        self._engine(CREATE_KV)
        self._engine(f"INSERT OR REPLACE INTO {KV_TABLE} VALUES (?, ?)", key, encoded)

    def set_alarm(self, ms: int) -> None:
        """Also one that was due in the past: it fires as soon as the object can be woken."""
        if not 0 < ms <= ALARM_MS_MAX:
            raise UserInputError(f"an alarm at {ms} milliseconds since 1970 cannot be", fix="a moment up to 2189")
        self._engine(CREATE_METADATA)
        self._engine(f"INSERT OR REPLACE INTO {METADATA_TABLE} VALUES ({ALARM_KEY}, ?)", ms * NANOSECONDS)

    def _engine(self, statement: str, *bindings: Any) -> None:
        try:
            self._transaction.require().run(statement, bindings or None)
        except apsw.Error as error:
            raise self._transaction.failed(error) from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise UserInputError(f"a value cannot be stored: {error}") from error

    # --- the end ----------------------------------------------------------------------------------------------------
    def finish(self) -> Path:
        """Commit, and make it one file without a log. Raises StorageError."""
        self._transaction.commit()
        database = self._transaction.require()
        database.keep()
        database.command("PRAGMA synchronous = OFF")
        if not database.checkpoint():
            raise StorageError(f"{self.path} is in use; try again")
        self._transaction.close()
        Path(f"{self.path}-wal").unlink(missing_ok=True)
        return self.path

    def discard(self) -> None:
        """Let go of what was not finished; whoever made the folder removes the file with it."""
        self._transaction.end()


def _nobody() -> None:
    """Nobody waits for a draft."""


def _nothing(everything: bool) -> None:
    """Nothing that was read is kept."""
