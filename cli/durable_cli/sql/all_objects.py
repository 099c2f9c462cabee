"""`durable sql CLASS --all`: one query of every object of a class, its rows printed as they come, or reduced to a few.

Through the running emulator, or on the files under the lock. Wakes nobody and writes nothing. Must not know how rows
are shown.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from durable.errors import DurableError, StorageError, UserInputError
from durable.limits import INSPECT_ROWS_MAX
from durable_cli.console import printable, say
from durable_cli.objects.finding import require_state
from durable_cli.project import Project, with_state
from durable_cli.report import StatementError
from durable_cli.sql.one_object import statement_error
from durable_cli.sql.parameters import Parameters, json_parameters
from durable_cli.sql.rows import Rows, rows_from_answer

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client
    from durable_cli.sql.all_objects_output import Output
    from durable_cli.sql.output import Form

OBJECT_COLUMN: Final = "_object"
"""In front of each row: its object's name, or its id when it has none."""
_FAILURES_SHOWN: Final = 5
_OF_THE_QUERY: Final = re.compile(
    r"syntax error|incomplete input|unrecognized token|not authorized|did not contain a statement|too long"
    r"|^the SQL has|^a value was given for|^the values were given|^binding \d"
)
"""What is wrong with the query or its parameters: every other object would say the same."""


@dataclass(frozen=True)
class Query:
    """What was typed."""

    class_word: str
    sql: str
    parameters: Parameters
    where_name: str | None
    rows_max: int
    """Of each object."""


@dataclass(frozen=True)
class Batch:
    """Answers of some objects: rows with `_object` in front; who failed, and why; who had more rows."""

    total: int
    """Objects of the class."""
    seen: int
    """Of these; what a pattern leaves out counts as well."""
    objects: int = 0
    tables: list[Rows] = field(default_factory=list[Rows])
    failed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    cut: list[str] = field(default_factory=list[str])


def run_all(
    project: Project,
    class_word: str,
    sql: str,
    parameters: Parameters = (),
    *,
    where_name: str | None = None,
    reduce: str | None = None,
    form: Form = "table",
    rows_max: int,
) -> None:
    """Print what the last statement of `sql` returns, object by object.

    `form` is table, line, csv or json. `rows_max` bounds the rows of each object, and those of a table. `reduce` is a
    second query, of a table `rows` that holds the rows of the first; its own are printed instead. Raises
    NotFoundError, StatementError, StateInUseError; StorageError when no object could be asked.
    """
    from durable_cli.sql.all_objects_output import output_for

    require_state(project)
    # A table bounds what somebody reads, not what a second query counts.
    query = Query(class_word, sql, parameters, where_name, rows_max if reduce is None else INSPECT_ROWS_MAX)
    run = _Run(query, output_for(form, reduce, rows_max))
    lock_fds: list[int] = []

    def on_files(layout: StateLayout) -> None:
        # Imported here: SQLite is not needed when an emulator runs.
        from durable_cli.sql.all_objects_files import of_files

        run.take_all(of_files(project, layout, query, lock_fds[-1]))

    try:
        with_state(
            project,
            "durable sql --all",
            on_files=on_files,
            on_emulator=lambda client: run.take_all(of_emulator(client, query)),
            on_lock=lock_fds.append,
        )
    finally:
        run.bar.end()
    run.finish()


class _Run:
    """One query on its way: what has come of it so far."""

    def __init__(self, query: Query, output: Output) -> None:
        from durable_cli.progress_bar import ProgressBar

        self.bar = ProgressBar()
        self._query = query
        self._output = output
        self._objects = 0
        self._failed: list[tuple[str, str]] = []
        self._failures = 0
        self._cut: list[str] = []
        self._cuts = 0
        self._stopped_at: int | None = None

    def take_all(self, batches: Generator[Batch]) -> None:
        with closing(batches):
            for batch in batches:
                self._take(batch)
                if self._output.is_full:
                    self._stopped_at = batch.total - batch.seen
                    return

    def _take(self, batch: Batch) -> None:
        for _, message in batch.failed:
            if _OF_THE_QUERY.search(message):
                raise query_error(message, self._query.sql)
        self._objects += batch.objects
        self._failures += len(batch.failed)
        self._failed += batch.failed[: _FAILURES_SHOWN - len(self._failed)]
        self._cuts += len(batch.cut)
        self._cut += batch.cut[: _FAILURES_SHOWN - len(self._cut)]
        for rows in batch.tables:
            self._output.put(rows)
        # Not among rows that go by on the same terminal.
        if sys.stderr.isatty() and not (self._output.streams and sys.stdout.isatty()):
            self.bar.show("asking", batch.seen, batch.total, self._failures)

    def finish(self) -> None:
        """What is left to print, and then what has to be said. Raises StorageError when every object failed."""
        if self._failures and self._failures == self._objects:
            raise self._all_failed()
        self._output.end()
        if self._stopped_at:
            say(f"… {_objects(self._stopped_at)} were not asked: --csv and --json print all rows")
        if self._cuts:
            say(f"… {_objects(self._cuts)} had more rows than were taken: {_listed(self._cut, self._cuts)}")
        if self._failures:
            say(f"{_objects(self._failures)} of {self._objects} could not be asked:")
            for label, message in self._failed:
                say(f"    {printable(label, length_max=80)}: {printable(message, length_max=300)}")
            if self._failures > len(self._failed):
                say(f"    and {self._failures - len(self._failed)} more")

    def _all_failed(self) -> DurableError:
        label, message = self._failed[0]
        if "SQLITE_ERROR" in message:
            return query_error(message, self._query.sql)
        return StorageError(f"none of {_objects(self._failures)} could be asked; {printable(label)}: {message}")


def query_error(message: str, sql: str) -> StatementError:
    """What every object says to a query."""
    from durable.storage.sql.authorizer import READS_ONLY

    return statement_error(message.replace(READS_ONLY, "a query of all objects only reads"), sql, write=True)


def _objects(count: int) -> str:
    return f"{count} object{'s' * (count != 1)}"


def _listed(labels: list[str], count: int) -> str:
    shown = ", ".join(printable(label, length_max=80) for label in labels)
    return shown + (" and others" if count > len(labels) else "")


# --- the running emulator ---------------------------------------------------------------------------------------------
def of_emulator(client: Client, query: Query) -> Generator[Batch]:
    """Raises UserInputError when the emulator ends before its answer does."""
    body: dict[str, object] = {
        "class": query.class_word, "sql": query.sql, "parameters": json_parameters(query.parameters),
        "where_name": query.where_name, "rows_max": query.rows_max,
    }  # fmt: skip
    total = seen = 0
    with closing(client.follow("/__durable/query", body)) as lines:
        for line in lines:
            answer = cast("dict[str, Any]", json.loads(line))
            if "total" in answer:
                total = int(answer["total"])
            elif "end" in answer:
                return
            elif "error" in answer:
                raise UserInputError(
                    str(answer["error"]["message"]), fix="look at the emulator's output, and try again"
                )
            else:
                seen += int(answer["seen"])
                yield Batch(
                    max(total, seen),
                    seen,
                    int(answer["objects"]),
                    [_rows(table["columns"], table["rows"]) for table in answer["tables"]],
                    [(str(label), str(message)) for label, message in answer["failed"]],
                    [str(label) for label in answer["cut"]],
                )
    raise UserInputError("the emulator went away before all objects were asked", fix="start it again, and try again")


def _rows(columns: list[str], rows: list[list[object]]) -> Rows:
    return rows_from_answer({"columns": [OBJECT_COLUMN, *columns], "rows": rows, "rows_written": 0})
