"""A tool's SQL on an object's own connection: capped in rows, bytes and time, read-only unless asked.

It has the user's rights, and sees `kv` besides. May run in any thread, while the actor's gate is shut and its turn is
over. Names that begin with `_cf_` stay hidden. What statements set on the connection is set back for the actor.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable
from typing import Any, Final

import apsw
from msgspec import Struct, field

from durable.errors import SqlError, StorageError
from durable.limits import INSPECT_MEMORY_BYTES_MAX, INSPECT_STEPS
from durable.storage.database import Database
from durable.storage.sql.authorizer import Trust
from durable.storage.sql.connection_state import ConnectionState
from durable.storage.sql.execution import Sql, bindings_wanted
from durable.storage.sql.kv_view import kv_view
from durable.storage.sql.parameters import Parameters, Supply
from durable.storage.sql.script import statements_of
from durable.storage.sql.statement import NO_STATEMENT, Bindings, Statement, check_length
from durable.storage.transaction import Transaction

__all__ = ["Inspection", "Parameters", "inspect"]

ROW_BYTES: Final = 64
VALUE_BYTES: Final = 16
"""What a row and a value count as, beside the bytes of texts and blobs: about their size in memory."""
_NOTHING: Final = contextlib.nullcontext()


class Inspection(Struct, frozen=True):
    """Columns and rows of one statement; `truncated` says that there were more rows.

    Statements without rows that follow each other are one of these, with no columns and the sum of what they wrote.
    """

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    rows_written: int
    oversized: bool = False
    """Whether rows are missing because of their bytes and not of their number."""


def inspect(
    transaction: Transaction,
    sql: Sql,
    query: str,
    parameters: Parameters = (),
    *,
    write: bool,
    rows_max: int,
    bytes_max: int,
    seconds_max: float,
) -> list[Inspection]:
    """Run every statement of `query`; with `write` all of them are committed, or none.

    `rows_max` bounds the rows of each statement, `bytes_max` those of all together; `seconds_max` the whole. Raises
    SqlError, also when its time or memory is up, and StorageError.
    """
    if transaction.open:
        raise StorageError("the object is in the middle of a transaction; try again")
    database = transaction.require_existing()
    if database is None:
        raise StorageError("the object has no data")
    clock = _Clock(seconds_max)
    with (
        _interrupted(database, clock),
        kv_view(database, clock.check) if "kv" in query.lower() else _NOTHING,
        _set_back(database) if write else _NOTHING,
        transaction.for_tool() if write else _NOTHING,
    ):
        script = _Script(sql, parameters, Trust.USER if write else Trust.READER, _Caps(rows_max, bytes_max, clock))
        try:
            return script.run(query)
        except StorageError as error:
            if clock.error is not None and error is not clock.error:
                raise clock.error from error
            raise


@contextlib.contextmanager
def _interrupted(database: Database, clock: _Clock) -> Generator[None]:
    database.connection.set_progress_handler(clock.is_up, INSPECT_STEPS)
    try:
        yield
    finally:
        if not database.closed:
            database.connection.set_progress_handler(None)


@contextlib.contextmanager
def _set_back(database: Database) -> Generator[None]:
    """Switches and the last row id belong to the connection, which is the actor's as well: it must not notice."""
    before = ConnectionState.of(database, always=True)
    switched = database.authorizer.switched
    try:
        yield
    finally:
        if not database.closed:
            if database.authorizer.switched:
                before.restore(database)
            database.connection.set_last_insert_rowid(before.last_row_id)
            database.authorizer.switched = switched


class _Clock:
    """When a query has had its time, or more memory than it may, and what is raised then."""

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._deadline = time.monotonic() + seconds_max
        # Of the whole process, whose other files take little: what sorting takes is not known for one connection.
        self._memory_max = apsw.memory_used() + INSPECT_MEMORY_BYTES_MAX
        self.error: SqlError | None = None

    def is_up(self) -> bool:
        """For SQLite, which asks while it computes."""
        if self.error is None and apsw.memory_used() > self._memory_max:
            self.error = _stopped(f"more than {INSPECT_MEMORY_BYTES_MAX >> 20} MiB of memory")
        return self._is_late() or self.error is not None

    def check(self) -> None:
        """For every row, and between statements. Raises SqlError when time is up."""
        if self._is_late() and self.error is not None:
            raise self.error

    def _is_late(self) -> bool:
        if time.monotonic() <= self._deadline:
            return False
        self.error = self.error or _stopped(f"longer than {self._seconds_max:g} seconds")
        return True


def _stopped(excess: str) -> SqlError:
    return SqlError(f"the query took {excess} and was stopped", code="SQLITE_INTERRUPT")


class _Caps(Struct):
    """What may still be returned, of all statements together."""

    rows_max: int
    bytes_left: int
    clock: _Clock
    rows: list[list[Any]] = field(default_factory=list[list[Any]])
    truncated: bool = False
    oversized: bool = False

    def begin(self) -> None:
        """Another statement's rows follow."""
        self.rows = []
        self.truncated = self.oversized = False

    def take(self, found: Iterable[tuple[Any, ...]], *, all_of_it: bool) -> list[list[Any]]:
        """Keep what fits. `all_of_it` goes on behind that, because a statement that writes has to reach its end."""
        for row in found:
            self.clock.check()
            self._take(row)
            if self.truncated and not all_of_it:
                break
        return self.rows

    def _take(self, row: tuple[Any, ...]) -> None:
        if self.truncated:
            return
        size = _size(row)
        self.oversized = size > self.bytes_left
        self.truncated = self.oversized or len(self.rows) >= self.rows_max
        if not self.truncated:
            self.bytes_left -= size
            self.rows.append(list(row))


def _size(row: tuple[Any, ...]) -> int:
    size = ROW_BYTES + VALUE_BYTES * len(row)
    for value in row:
        if isinstance(value, bytes):
            size += len(value)
        elif isinstance(value, str):
            size += len(value) if value.isascii() else len(value.encode(errors="replace"))
    return size


class _Script:
    """Statements one after the other, each with the parameters that are its own."""

    def __init__(self, sql: Sql, parameters: Parameters, trust: Trust, caps: _Caps) -> None:
        self._sql = sql
        self._supply = Supply(parameters)
        self._trust = trust
        self._caps = caps
        self._found: list[Inspection] = []

    def run(self, query: str) -> list[Inspection]:
        is_empty = True
        for offset, text in statements_of(query):
            is_empty = False
            check_length(text)
            self._run(text, offset)
        if is_empty:
            raise SqlError(NO_STATEMENT)
        self._supply.check_all_taken()
        return self._found

    def _run(self, text: str, offset: int) -> None:
        self._caps.clock.check()
        self._caps.begin()
        statement = self._sql.statement(text)
        try:
            is_one = self._run_one(statement)
        except Exception as error:
            failure = self._sql.failure(error, self._supply.values, statement.reason, offset)
            raise failure from None
        if is_one:
            self._note(statement)
            return
        # SQLite sees an end where we saw none.
        first = text[: statement.length]
        self._run(first, offset)
        self._run(text[len(first) :], offset + len(first.encode()))

    def _run_one(self, statement: Statement) -> bool:
        """False when another statement follows in its text; nothing has run then."""
        try:
            rows = self._start(statement, self._supply.first_try)
        except apsw.BindingsError as error:
            # SQLite has compiled it and not run: only now is known how many values it takes.
            rows = self._start(statement, self._supply.take(bindings_wanted(error)))
        if rows is None:
            return False
        if not statement.plan.writes:
            try:
                self._caps.take(rows, all_of_it=False)
            finally:
                rows.close(True)
        return True

    def _start(self, statement: Statement, bindings: Bindings) -> Any:
        return statement.run(
            bindings, self._trust, quietly=True, collect=lambda rows: self._caps.take(rows, all_of_it=True)
        )

    def _note(self, statement: Statement) -> None:
        columns, caps, found = list(statement.plan.columns), self._caps, self._found
        if columns:
            found.append(Inspection(columns, caps.rows, caps.truncated, statement.written, caps.oversized))
        elif found and not found[-1].columns:
            found[-1] = Inspection([], [], False, found[-1].rows_written + statement.written)
        else:
            found.append(Inspection([], [], False, statement.written))
