"""The first sight of a statement: compile it under the authorizer, learn what it is, and run it in the same step.

apsw calls the tracer between compiling and running. There we know whether the statement writes, in time to open the
transaction; whether another follows, in time not to run it with the wrong bindings; and its columns, which SQLite
forgets when there are no rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import apsw

from durable.errors import SqlError
from durable.limits import SQL_TEXT_BYTES_MAX
from durable.storage.database import Database
from durable.storage.schema import KV_TABLE, METADATA_TABLE, MIGRATIONS_TABLE, RESERVED_NAMES
from durable.storage.sql.authorizer import READS_ONLY, Trust
from durable.storage.transaction import Transaction

EMPTY = re.compile(r"(?>[\s;]|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*+", re.DOTALL)
"""Text without a statement: blanks, semicolons and comments. Possessive: a comment must not grow over what follows."""
NO_STATEMENT: Final = "SQL code did not contain a statement."
Bindings = tuple[Any, ...] | Mapping[str, Any]
_OURS: Final = frozenset({KV_TABLE, METADATA_TABLE, MIGRATIONS_TABLE})
_RENAME_SAVEPOINT: Final = "_cf_rename"


def check_length(text: str) -> None:
    """Raises SqlError for what is too long to be one statement."""
    if len(text) * 4 > SQL_TEXT_BYTES_MAX and (size := len(text.encode(errors="replace"))) > SQL_TEXT_BYTES_MAX:
        raise SqlError(
            f"statement too long ({size} bytes, at most {SQL_TEXT_BYTES_MAX}): SQLITE_TOOBIG", code="SQLITE_TOOBIG"
        )


class Plan(NamedTuple):
    """What a statement is, as long as the schema stands."""

    writes: bool
    parameters: int
    columns: tuple[str, ...]


class Statement:
    """One statement at the beginning of `text`, which may have more behind it."""

    def __init__(self, text: str, transaction: Transaction, database: Database) -> None:
        self.text = text
        self.length = len(text)
        """Characters of the statement itself, once it is compiled."""
        self.plan = Plan(False, 0, ())
        self.written = 0
        self._transaction = transaction
        self._database = database
        self._renaming = False

    @property
    def changed_schema(self) -> bool:
        return self._database.authorizer.changes_schema

    @property
    def reason(self) -> str:
        """What the authorizer objected to; empty when SQLite's own message says it."""
        return self._database.authorizer.reason

    def run(
        self,
        bindings: Bindings,
        trust: Trust,
        *,
        quietly: bool = False,
        collect: Callable[[Iterable[Any]], list[Any]] = list,
    ) -> Any:
        """Run the statement if nothing follows it, and return its rows: a list when it wrote, a cursor when it reads.

        None when another statement follows; nothing has run then. Raises what apsw raises. `quietly` as in `begin`;
        `collect` makes the list, and has to take every row.
        """
        database = self._database
        database.authorizer.forget()
        cursor = database.connection.cursor()
        cursor.exec_trace = partial(self._compiled, trust, quietly)
        before = database.connection.total_changes()
        database.authorizer.trust = trust
        try:
            cursor.execute(self.text, bindings or None, can_cache=False)
            if not self.plan.writes:
                return cursor
            rows = collect(cursor)
            if self._renaming:
                self._check_names()
        except apsw.ExecTraceAbort:
            return None
        except BaseException:
            self._undo_rename()
            raise
        finally:
            cursor.exec_trace = None
            database.authorizer.trust = Trust.USER
        self.written = database.connection.total_changes() - before
        return rows

    def _compiled(self, trust: Trust, quietly: bool, cursor: Any, piece: str, bindings: Any) -> bool:
        if len(piece) < len(self.text):
            if cursor.bindings_count:
                raise SqlError(
                    "When executing multiple SQL statements in a single call, only the last statement can have"
                    f" parameters, but this one has {cursor.bindings_count}: {piece.strip()[:80]}"
                )
            self.length = len(piece)
            return False
        if not cursor.has_vdbe:
            raise SqlError(NO_STATEMENT)
        authorizer = self._database.authorizer
        columns = tuple(name for name, _ in cursor.get_description())
        self.plan = Plan(not cursor.is_readonly or authorizer.writes, cursor.bindings_count, columns)
        if self.plan.writes:
            if trust is Trust.READER:
                # SQLite does not ask the authorizer about VACUUM before it has begun.
                raise SqlError(f"not authorized ({READS_ONLY}): SQLITE_AUTH", code="SQLITE_AUTH")
            self._transaction.begin(quietly=quietly)
        if authorizer.renames:
            self._database.run(f"SAVEPOINT {_RENAME_SAVEPOINT}")
            self._renaming = True
        return True

    # SQLite does not ask the authorizer about the new name of a renamed table, so we look at what came of it.
    def _check_names(self) -> None:
        taken = [name for (name,) in self._database.run(RESERVED_NAMES) if name not in _OURS]
        if taken:
            self._undo_rename()
            raise SqlError(
                f"not authorized (names that begin with _cf_ belong to the platform, got {taken[0]!r}): SQLITE_AUTH",
                code="SQLITE_AUTH",
            )
        self._database.run(f"RELEASE {_RENAME_SAVEPOINT}")
        self._renaming = False

    def _undo_rename(self) -> None:
        if self._renaming and self._database.connection.in_transaction:
            self._renaming = False
            self._database.run(f"ROLLBACK TO {_RENAME_SAVEPOINT}")
            self._database.run(f"RELEASE {_RENAME_SAVEPOINT}")
