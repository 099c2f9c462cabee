"""A tool's SQL on an object's own connection: capped in rows and time, read-only unless asked, with the user's rights.

May run in any thread, while the actor's gate is shut and its turn is over. Names that begin with `_cf_` stay hidden.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import apsw

from durable.errors import StorageError
from durable.limits import INSPECT_STEPS
from durable.storage.sql.authorizer import Trust
from durable.storage.sql.execution import Sql
from durable.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Inspection:
    """Columns and rows of the last statement; `truncated` says that there were more rows than asked for."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    rows_written: int


def inspect(
    transaction: Transaction, sql: Sql, query: str, *, write: bool, rows_max: int, seconds_max: float
) -> Inspection:
    """Run `query`; with `write` all of it is committed or none. Raises SqlError, or StorageError when time is up."""
    if transaction.open:
        raise StorageError("the object is in the middle of a transaction; try again")
    database = transaction.require_existing()
    if database is None:
        raise StorageError("the object has no data")
    deadline = time.monotonic() + seconds_max
    scope: AbstractContextManager[None] = transaction.for_tool() if write else nullcontext()
    database.connection.set_progress_handler(lambda: time.monotonic() > deadline, INSPECT_STEPS)
    try:
        with scope:
            return _run(sql, query, Trust.USER if write else Trust.READER, rows_max)
    except StorageError as error:
        if time.monotonic() > deadline:
            raise StorageError(f"the query took longer than {seconds_max:g} seconds and was stopped") from error
        raise
    finally:
        database.connection.set_progress_handler(None)


def _run(sql: Sql, query: str, trust: Trust, rows_max: int) -> Inspection:
    statement, found = sql.run_script(query, (), trust, quietly=True)
    try:
        taken = [list(row) for row in islice(found, rows_max + 1)]
    except apsw.Error as error:
        raise sql.failure(error) from None
    finally:
        if not statement.plan.writes:
            found.close(True)
    return Inspection(list(statement.plan.columns), taken[:rows_max], len(taken) > rows_max, statement.written)
