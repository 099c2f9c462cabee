"""`sql.exec`: statements of the user's, run eagerly to their first row, with a cursor over the rest.

The first sight of a text costs a compilation under the authorizer (`statement`). What it learns does not change while
the schema stands, so from the second time on the text is one dict lookup away from SQLite. Texts that change the schema
and texts of several statements are looked at every time.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final, NoReturn

import apsw

from durable.clock import Clock
from durable.errors import JsTypeError, SqlError, StorageError
from durable.limits import SQL_PROGRAM_STEPS_MAX, SQL_STATEMENTS_CACHED_MAX
from durable.storage.sql.authorizer import TRANSACTION_REASON, Trust
from durable.storage.sql.binding import BINDABLE, bindable, explain_binding
from durable.storage.sql.cursor import Cursor, cursor_type
from durable.storage.sql.statement import EMPTY, NO_STATEMENT, Plan, Statement, check_length
from durable.storage.sql.turn_watch import REASON, TurnWatch
from durable.storage.transaction import Transaction

_CURSORS_NOTED: Final = 32
"""Unfinished cursors that are noted before those that are gone are forgotten."""
_USE_TRANSACTION: Final = (
    "BEGIN, COMMIT, ROLLBACK, SAVEPOINT and RELEASE are not available: what is written without an await in between is"
    " one transaction already. For a longer one use `await ctx.storage.transaction(callback)`, or without await"
    " `ctx.storage.transaction_sync(callback)`; both roll back by themselves when the callback raises"
)
_TOO_LARGE: Final = (
    f"if the machine has memory left, the statement is too large: it may compile to {SQL_PROGRAM_STEPS_MAX}"
    " instructions, such as 5000 rows of VALUES; split it"
)
"""SQLite has one word, out of memory, for memory and for its limit on a statement's program."""
_COUNT = re.compile(r"(?:uses|has) (\d+)")


class Sql:
    """The SQL side of one object's storage."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._plans: dict[str, Plan] = {}
        self._connection: Any = None
        self._cursors: list[weakref.ref[Cursor]] = []
        self._returned: list[weakref.ref[Cursor]] = []
        """Unfinished cursors whose rows are all in memory: what a statement that wrote has returned."""
        self._watch: TurnWatch | None = None
        self._check = transaction.check

    def exec(self, query: str, *bindings: Any) -> Cursor:
        """Run `query`; `?` takes the bindings by position. Raises SqlError in the platform's wording."""
        return self.execute(query, bindings)

    def execute(self, query: str, bindings: tuple[Any, ...]) -> Cursor:
        """The same, for whoever has the bindings in a tuple: to unpack it for a call costs as much as to call twice."""
        transaction = self._transaction
        if get_ident() != transaction.thread:
            transaction.refuse()
        plan = self._plans.get(query) if type(query) is str else None
        if plan is None:
            return self._exec_unknown(query, bindings)
        if len(bindings) != plan.parameters:
            raise _wrong_count(plan.parameters, len(bindings))
        for value in bindings:
            if type(value) not in BINDABLE:
                bindings = bindable(bindings)
                break
        if plan.writes:
            return self._write(query, bindings, plan.columns)
        try:
            rows = self._connection.execute(query, bindings or None)
        except Exception as error:
            self._fail(bindings, error)
        return self._reading(rows, plan.columns)

    def _write(self, query: str, bindings: tuple[Any, ...], columns: tuple[str, ...]) -> Cursor:
        transaction = self._transaction
        if not transaction.open:
            transaction.begin()
        connection = self._connection
        try:
            before = connection.total_changes()
            # All rows now: SQLite has made every change by the first of them, and refuses to commit before the last.
            rows = connection.execute(query, bindings or None).fetchall()
            written = connection.total_changes() - before
        except Exception as error:
            self._fail(bindings, error)
        return self._buffered(rows, columns, written)

    def _buffered(self, rows: list[Any], columns: tuple[str, ...], written: int) -> Cursor:
        ahead = iter(rows)
        pending = next(ahead, None)
        cursor = cursor_type()(self._check, self._fail_reading, ahead, columns, pending, written)
        if pending is not None:
            self._returned = _noted(self._returned, cursor)
        return cursor

    def _reading(self, rows: Any, columns: tuple[str, ...]) -> Cursor:
        try:
            pending = next(rows, None)
        except Exception as error:
            self._fail_reading(error)
        cursor = cursor_type()(self._check, self._fail_reading, rows, columns, pending, 0)
        if pending is not None:
            self._cursors = _noted(self._cursors, cursor)
        return cursor

    def watch(self, clock: Clock, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """Interrupt statements of turns that take too long; `call_soon` runs something when a turn is over."""
        if self._watch is None:
            self._watch = TurnWatch(clock, call_soon)
            # Installed by the next text that is new to us: now, all of them.
            self._connection = None
            self._plans.clear()

    @property
    def database_size(self) -> int:
        """Bytes in use: pages that hold something, times the size of a page."""
        self._transaction.check()
        run = self._transaction.require().run
        pages = run("PRAGMA page_count").get - run("PRAGMA freelist_count").get
        return int(pages * run("PRAGMA page_size").get)

    # --- the first time -----------------------------------------------------------------------------------------
    def _exec_unknown(self, query: str, bindings: tuple[Any, ...]) -> Cursor:
        if not isinstance(query, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise JsTypeError(f"exec() takes an SQL string first, got {type(query).__name__}")
        statement, rows = self._run_script(query, bindable(bindings))
        if len(statement.text) == len(query) and not statement.changed_schema:
            if len(self._plans) >= SQL_STATEMENTS_CACHED_MAX:
                del self._plans[next(iter(self._plans))]
            self._plans[query] = statement.plan
        if statement.plan.writes:
            return self._buffered(rows, statement.plan.columns, statement.written)
        return self._reading(rows, statement.plan.columns)

    def _run_script(self, query: str, bindings: tuple[Any, ...]) -> tuple[Statement, Any]:
        """Run all statements of `query`; returns the last, which alone takes bindings, and its rows."""
        check_length(query)
        rest, offset = query, 0
        while True:
            if EMPTY.fullmatch(rest):
                raise SqlError(NO_STATEMENT)
            statement = self.statement(rest)
            rows = self._run(statement, bindings, offset)
            if rows is not None:
                return statement, rows
            # Another follows: run this one alone, drop its rows, go on behind it.
            first, rest = rest[: statement.length], rest[statement.length :]
            for _ in self._run(self.statement(first), (), offset) or ():
                pass
            offset += len(first.encode())

    def statement(self, text: str) -> Statement:
        """The first sight of `text`, on the open file."""
        return Statement(text, self._transaction, self._open())

    def _open(self) -> Any:
        database = self._transaction.require()
        if self._connection is not database.connection:
            self._connection = database.connection
            if self._watch is not None:
                self._watch.install(self._connection)
        return database

    def _run(self, statement: Statement, bindings: tuple[Any, ...], offset: int) -> Any:
        try:
            rows = statement.run(bindings, Trust.USER)
        except Exception as error:
            self._fail(bindings, error, reason=statement.reason, offset=offset)
        if statement.changed_schema:
            self._plans.clear()
        return rows

    # --- forgetting and failing -----------------------------------------------------------------------------------
    def forget(self) -> None:
        """What was learnt may no longer be so: the schema was rolled back, or the file was closed."""
        self._plans.clear()

    @property
    def has_unfinished_cursor(self) -> bool:
        """Whether somebody may still read rows from SQLite."""
        return any((cursor := each()) is not None and cursor.is_unfinished for each in self._cursors)

    def cancel_cursors(self, message: str) -> None:
        """End every unfinished cursor, because what it reads goes away."""
        for reference in (*self._cursors, *self._returned):
            cursor = reference()
            if cursor is not None:
                cursor.cancel(message)
        self._cursors.clear()
        self._returned.clear()

    def _fail_reading(self, error: Exception) -> NoReturn:
        self._fail((), error)

    def _fail(self, bindings: tuple[Any, ...], error: Exception, reason: str = "", offset: int = 0) -> NoReturn:
        raise self.failure(error, bindings, reason, offset) from None

    def failure(self, error: Exception, bindings: tuple[Any, ...] = (), reason: str = "", offset: int = 0) -> Exception:
        """The error to raise for anything that running a statement raised."""
        if isinstance(error, apsw.BindingsError):
            return _wrong_count(bindings_wanted(error), len(bindings))
        if isinstance(error, apsw.Error):
            if reason == TRANSACTION_REASON:
                return SqlError(_USE_TRANSACTION, code="SQLITE_AUTH")
            if isinstance(error, apsw.NoMemError):
                reason = _TOO_LARGE
            elif isinstance(error, apsw.InterruptError) and self._watch is not None:
                reason = REASON
            return self._transaction.failed(error, reason=reason, offset=offset)
        if isinstance(error, UnicodeDecodeError):
            return SqlError("a TEXT value is not valid UTF-8; read it with CAST(column AS BLOB)")
        if isinstance(error, OverflowError | ValueError | BufferError) and not isinstance(error, StorageError):
            return explain_binding(bindings) or SqlError(f"the SQL text cannot be run: {error}")
        return error


def _noted(cursors: list[weakref.ref[Cursor]], cursor: Cursor) -> list[weakref.ref[Cursor]]:
    """The list with `cursor` in it, and without those that are gone when it has become long."""
    if len(cursors) >= _CURSORS_NOTED:
        cursors = [each for each in cursors if each() is not None]
    cursors.append(weakref.ref(cursor))
    return cursors


def bindings_wanted(error: apsw.BindingsError) -> int:
    """How many bindings the statement takes that was given another number; nothing of it has run."""
    uses = _COUNT.search(str(error))
    return int(uses.group(1)) if uses else -1


def _wrong_count(expected: int, got: int) -> SqlError:
    return SqlError(f"Wrong number of parameter bindings for SQL query: it has {expected}, got {got}.")
