"""What the Python prompt of one object has at hand: `obj`, `sql`, `kv` and `alarms`, each asking the running emulator.

Every question is a new one, so the prompt outlives reloads and restarts of the emulator. Knows no terminal.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durable import values
from durable.errors import CorruptValueError, UserInputError
from durable.limits import INSPECT_ROWS_MAX
from durable.values.json_form import from_json, to_json
from durable_cli import console
from durable_cli.objects.calling import PATH, result_of
from durable_cli.objects.finding import Target
from durable_cli.project import Project, with_state
from durable_cli.sql.one_object import run_sql

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable_cli.sql.rows import Rows

_KEYS_AT_ONCE: Final = 1000

Answer = dict[str, object]
Ask = Callable[[str, Mapping[str, object]], Answer]
RunSql = Callable[[str, Any], "list[Rows]"]


class Stub:
    """The object: `obj.method(1, name="x")` calls it and gives what it returns; there is nothing to await."""

    def __init__(self, target: Target, ask: Ask) -> None:
        self._target = target
        self._ask = ask

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*args: Any, **kwargs: Any) -> Any:
            # As they arrive: encoding refuses what cannot be sent, with its place.
            sent_args, sent_kwargs = values.decode(values.encode((args, kwargs)))
            answer = self._ask(
                PATH,
                {
                    "method": method,
                    "args": [to_json(item) for item in sent_args],
                    "kwargs": {name: to_json(item) for name, item in sent_kwargs.items()},
                },
            )
            return from_json(result_of(answer))

        return call

    def __repr__(self) -> str:
        return f"<{self._target}: its methods can be called>"


class Keys(Mapping[str, Any]):
    """The object's keys and values, read-only, in the order of the keys."""

    def __init__(self, run: RunSql) -> None:
        self._run = run

    def __getitem__(self, key: str) -> Any:
        rows = self._rows("SELECT type, value FROM kv WHERE key = ?", key)
        if not rows:
            raise KeyError(key)
        kind, text = rows[0]
        if kind == "unreadable":
            raise CorruptValueError(str(text))
        return from_json(json.loads(text))

    def __iter__(self) -> Iterator[str]:
        last = ""
        is_first = True
        while True:
            comparison = ">=" if is_first else ">"
            rows = self._rows(f"SELECT key FROM kv WHERE key {comparison} ? ORDER BY key LIMIT {_KEYS_AT_ONCE}", last)
            yield from (str(key) for (key,) in rows)
            if len(rows) < _KEYS_AT_ONCE:
                return
            last, is_first = str(rows[-1][0]), False

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM kv")[0][0])

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self._rows("SELECT 1 FROM kv WHERE key = ?", key))

    def __repr__(self) -> str:
        return f"<{len(self)} keys; kv[key], list(kv), dict(kv)>"

    def _rows(self, statement: str, *parameters: str) -> list[tuple[Any, ...]]:
        return list(self._run(statement, parameters)[-1].rows)


class Alarms:
    """The object's alarm: `alarms.get()`, `alarms.fire()`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def get(self) -> datetime.datetime | None:
        """When it is due."""
        due_ms = self._ask("/__durable/show", {})["alarm_ms"]
        if not isinstance(due_ms, int):
            return None
        return datetime.datetime.fromtimestamp(due_ms / 1000, datetime.UTC)

    def fire(self) -> Answer:
        """Run it now, whenever it is due; wakes the object."""
        return self._ask("/__durable/alarms/fire", {})

    def __repr__(self) -> str:
        due = self.get()
        return "<no alarm is set>" if due is None else f"<due at {due.isoformat(timespec='seconds')}; alarms.fire()>"


def names_at_hand(project: Project, target: Target, *, write: bool) -> dict[str, Any]:
    """`{"obj": …, "sql": …, "kv": …, "alarms": …}`. Raises NotFoundError, and UserInputError when no emulator runs."""

    def ask(path: str, more: Mapping[str, object]) -> Answer:
        question = {"class": target.class_word, "name": target.name, "id": target.id, **more}
        return with_state(
            project, "durable shell", on_files=_nothing_runs, on_emulator=lambda client: client.post(path, question)
        )

    def run(statement: str, parameters: Any, *, is_writing: bool = False) -> list[Rows]:
        return run_sql(project, target, statement, parameters, write=is_writing, rows_max=INSPECT_ROWS_MAX)

    def sql(statement: str, *parameters: Any, **named: Any) -> list[dict[str, Any]]:
        """Rows of the last statement as dicts: sql("SELECT * FROM t WHERE id = ?", 7)."""
        if parameters and named:
            raise TypeError("parameters have places or names, not both")
        rows = run(statement, named or parameters, is_writing=write)[-1]
        if rows.truncated:
            console.say(f"… there are more than these {len(rows.rows)} rows: narrow the query with WHERE or LIMIT")
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]

    # Asked before the first prompt, so that a name that does not exist is told at once.
    ask("/__durable/show", {})
    return {"obj": Stub(target, ask), "sql": sql, "kv": Keys(run), "alarms": Alarms(ask)}


def _nothing_runs(_layout: StateLayout) -> NoReturn:
    raise UserInputError(
        "no emulator runs here, and the prompt is bound to one", fix="durable dev, in another terminal; then again"
    )
