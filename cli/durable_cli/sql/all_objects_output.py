"""What becomes of the rows of many objects: JSON and CSV as they come, one table, or a table that a query reduces.

Knows no object: rows come in pieces, and those of one piece have the same columns.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final, Protocol

from durable.errors import UserInputError
from durable_cli import console
from durable_cli.sql.output import Form, show_results
from durable_cli.sql.rows import Rows, as_csv, as_json, as_lines

_PROGRESS_STEPS: Final = 10_000
"""SQLite instructions after which Ctrl+C is noticed."""
_OPEN, _BETWEEN, _CLOSE = "[\n", ",\n", "\n]"
"""How `as_json` puts one array together."""


class Output(Protocol):
    """`put` for every piece, then `end`."""

    @property
    def streams(self) -> bool:
        """Whether rows are printed as they come."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether no more rows are wanted."""
        ...

    def put(self, rows: Rows) -> None: ...

    def end(self) -> None: ...


def output_for(form: Form, reduce: str | None, rows_max: int) -> Output:
    """`rows_max` bounds a table, and what a second query returns."""
    if reduce is not None:
        return Reduced(reduce, form, rows_max)
    if form == "json":
        return JsonArray()
    return OneTable(rows_max) if form == "table" else Stream(form)


class JsonArray:
    """One array of documents; objects may have different columns."""

    streams = True
    is_full = False

    def __init__(self) -> None:
        self._held = ""
        """The last document: only the next one says that a comma follows."""

    def put(self, rows: Rows) -> None:
        if rows.rows:
            text, _, last = as_json(rows).removeprefix(_OPEN).removesuffix(_CLOSE).rpartition(_BETWEEN)
            complete = [f"{each}," for each in (self._held, text) if each]
            console.put_data("\n".join(complete if self._held else ["[", *complete]))
            self._held = last

    def end(self) -> None:
        console.put_data(self._held + _CLOSE if self._held else "[]")


class Stream:
    """CSV with one line of names, or a line per value. CSV has the columns of the first rows; others are left out."""

    streams = True
    is_full = False

    def __init__(self, form: Form) -> None:
        self._form: Form = form
        self._columns = Columns()

    def put(self, rows: Rows) -> None:
        is_first = not self._columns.known
        if self._form == "line":
            if rows.rows:
                console.put_data(("" if is_first else "\n") + as_lines(rows))
                self._columns.fits(rows)
        elif self._columns.fits(rows):
            harmless = sys.stdout.isatty()
            text = as_csv(rows, harmless=harmless)
            if not is_first:
                text = text.removeprefix(as_csv(Rows(rows.columns, ()), harmless=harmless))
            if text:
                console.put_data(text)

    def end(self) -> None:
        if self._form == "csv":
            self._columns.tell()


class OneTable:
    """As many rows as somebody reads, in one table when the last of them is there."""

    streams = False

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._rows: list[tuple[Any, ...]] = []
        self._columns = Columns()

    @property
    def is_full(self) -> bool:
        return len(self._rows) > self._rows_max

    def put(self, rows: Rows) -> None:
        if self._columns.fits(rows):
            self._rows += rows.rows

    def end(self) -> None:
        if not self._rows:
            console.say("no rows")
            return
        rows = tuple(self._rows[: self._rows_max])
        show_results([Rows(self._columns.known or (), rows, truncated=self.is_full)], "table")
        self._columns.tell()


class Reduced:
    """Rows go into a table `rows` of a private database; at the end one query is answered from it."""

    streams = False
    is_full = False

    def __init__(self, query: str, form: Form, rows_max: int) -> None:
        # Imported here: with an emulator nothing else needs SQLite.
        import apsw

        from durable.storage.sql.script import statements_of

        if len(list(statements_of(query))) != 1:
            raise UserInputError("--reduce takes one statement", fix='--reduce "SELECT count(*) FROM rows"')
        self._query = query
        self._form: Form = form
        self._rows_max = rows_max
        self._columns = Columns()
        # A temporary file where that becomes too large for memory; SQLite removes it.
        self._database: Any = apsw.Connection("")
        self._insert = ""

    def put(self, rows: Rows) -> None:
        is_first = not self._columns.known
        if not self._columns.fits(rows):
            return
        if is_first:
            names = ", ".join('"' + name.replace('"', '""') + '"' for name in _distinct(rows.columns))
            self._database.execute(f"CREATE TABLE rows({names})")
            self._insert = f"INSERT INTO rows VALUES ({', '.join('?' * len(rows.columns))})"
        with self._database:
            self._database.executemany(self._insert, rows.rows)

    def end(self) -> None:
        if not self._columns.known:
            console.say("no rows")
            return
        show_results([self._reduce()], self._form)
        self._columns.tell()

    def _reduce(self) -> Rows:
        import apsw

        from durable.storage.failure import translate
        from durable.storage.sql.authorizer import Authorizer, Trust
        from durable_cli.sql.all_objects import query_error

        authorizer = Authorizer()
        authorizer.trust = Trust.READER
        self._database.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        self._database.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
        self._database.authorizer = authorizer
        # Python notices Ctrl+C in it.
        self._database.set_progress_handler(lambda: False, _PROGRESS_STEPS)
        cursor = self._database.cursor()
        columns: list[str] = []

        def compiled(cursor: Any, _text: str, _bindings: Any) -> bool:
            columns.extend(name for name, _ in cursor.get_description())
            return True

        cursor.exec_trace = compiled
        try:
            rows: list[tuple[Any, ...]] = []
            for row in cursor.execute(self._query, can_cache=False):
                rows.append(row)
                if len(rows) > self._rows_max:
                    break
        except apsw.Error as error:
            message = translate(error, Path("rows"), reason=authorizer.reason)
            raise query_error(str(message), self._query) from error
        return Rows(tuple(columns), tuple(rows[: self._rows_max]), len(rows) > self._rows_max)


class Columns:
    """Those of the first rows. What has others does not fit into the same lines."""

    def __init__(self) -> None:
        self.known: tuple[str, ...] | None = None
        self._others: list[str] = []
        self._count = 0

    def fits(self, rows: Rows) -> bool:
        if self.known is None:
            self.known = rows.columns
        if rows.columns == self.known:
            return True
        if rows.rows:
            self._count += len(rows.rows)
            self._others = self._others or [*map(str, rows.columns[1:])]
        return False

    def tell(self) -> None:
        """Say what was left out."""
        if self._count:
            names = console.printable(", ".join(self._others), length_max=200)
            console.say(
                f"{self._count} row{'s' * (self._count != 1)} of objects whose columns differ ({names}) were left out:"
                " name the columns in the query, or use --json"
            )


def _distinct(columns: tuple[str, ...]) -> list[str]:
    """As in JSON, `name:2` for a name that comes again; to SQLite large letters are small ones."""
    names: list[str] = []
    for column in columns:
        name, count = column, 1
        while name.lower() in [each.lower() for each in names]:
            count += 1
            name = f"{column}:{count}"
        names.append(name)
    return names
