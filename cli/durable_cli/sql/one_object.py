"""Runs SQL on one object: through the running emulator, or on its file under the lock. Never creates one.

Must not know how rows are shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from durable.errors import NewerStateError, SqlError
from durable.limits import INSPECT_SECONDS_MAX
from durable_cli.objects.finding import (
    Target,
    known_names,
    namespace_key,
    no_such_object,
    object_file,
    require_state,
)
from durable_cli.project import Project, with_state
from durable_cli.report import StatementError, caret_at
from durable_cli.sql.parameters import Parameters, json_parameters
from durable_cli.sql.rows import Rows, results_from_answer

if TYPE_CHECKING:
    from durable.storage.actor_store import ActorStore
    from durable.storage.layout import StateLayout
    from durable.storage.sql.inspection import Inspection
    from durable_cli.client import Client

_OFFSET = re.compile(r"at offset (\d+)")


def run_sql(
    project: Project, target: Target, sql: str, parameters: Parameters = (), *, write: bool, rows_max: int
) -> list[Rows]:
    """What each statement in `sql` returned. Raises NotFoundError, StatementError, StateInUseError."""
    require_state(project)
    question = _Question(target, sql, parameters, write, rows_max)
    try:
        return with_state(
            project,
            "durable sql",
            on_files=lambda layout: _on_file(project, layout, question),
            on_emulator=lambda client: _through_emulator(client, question),
        )
    except SqlError as error:
        raise statement_error(str(error), sql, write=write) from error


@dataclass(frozen=True)
class _Question:
    target: Target
    sql: str
    parameters: Parameters
    write: bool
    rows_max: int


def _through_emulator(client: Client, question: _Question) -> list[Rows]:
    target = question.target
    body: dict[str, object] = {
        "class": target.class_word, "name": target.name, "id": target.id, "sql": question.sql,
        "parameters": json_parameters(question.parameters), "write": question.write, "rows_max": question.rows_max,
    }  # fmt: skip
    return results_from_answer(client.post("/__durable/sql", body))


def _on_file(project: Project, layout: StateLayout, question: _Question) -> list[Rows]:
    # Imported here: apsw is not needed when an emulator runs.
    from durable.clock import SystemClock
    from durable.storage.actor_store import ActorStore

    target, write = question.target, question.write
    try:
        key = namespace_key(project, layout, target.class_word)
    except NewerStateError:
        if write:
            raise
        from durable_cli.sql.newer_state import read_copy

        return read_copy(project, layout, target, question.sql, question.parameters, rows_max=question.rows_max)
    path = object_file(layout, key, target)
    if not path.is_file():
        raise no_such_object(target, known_names(layout, key))
    store = ActorStore(path, clock=SystemClock(), on_first_write=lambda: None, keep_days=project.config.dev.pitr_days)
    try:
        results = store.inspect(
            question.sql,
            question.parameters,
            write=write,
            rows_max=question.rows_max,
            seconds_max=INSPECT_SECONDS_MAX,
        )
        if write and store.database.log_frames:
            store.recovery.note_commit()
            _make_durable(store)
    finally:
        store.close()
    return rows_of(results)


def rows_of(results: Sequence[Inspection]) -> list[Rows]:
    """What the engine found, as it is shown."""
    return [
        Rows(tuple(each.columns), tuple(map(tuple, each.rows)), each.truncated, each.rows_written, each.oversized)
        for each in results
    ]


def _make_durable(store: ActorStore) -> None:
    """Hosts do this once for many commits (their epochs); here it is the last thing before "3 rows written" is said."""
    from durable.storage.database import sync_file
    from durable.storage.layout import sync_folder

    descriptor, folder = store.database.take_sync_targets()
    sync_file(descriptor)
    if folder is not None:
        sync_folder(Path(folder))


def statement_error(message: str, sql: str, *, write: bool) -> StatementError:
    offset = _OFFSET.search(message)
    fix = ""
    if message.startswith("the SQL has "):
        fix = "give a value for each ? with -p VALUE, or for :NAME with -p NAME=VALUE"
    elif not write and "--write" in message:
        fix = "add --write to change data"
    elif "and was stopped" in message:
        fix = "narrow it with WHERE, or make an index; an object waits for as long as somebody looks at it"
    elif message.startswith("table kv may not be modified"):
        fix = "kv only shows what is stored; keys are written by the object's own code"
    return StatementError(message, quoted=caret_at(sql, int(offset[1])) if offset else "", fix=fix)
