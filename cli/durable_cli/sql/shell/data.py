"""What the SQL shell needs of objects: their rows, names, alarms and copies, through the emulator or on the files.

Each question takes the lock or asks the emulator anew, so that `durable dev` may start and stop while a shell is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from durable_cli.data.door import with_door
from durable_cli.data.listing_types import ListedObject, ListPage, ListQuery, every_object
from durable_cli.objects.finding import Target
from durable_cli.project import Project
from durable_cli.sql.one_object import run_sql
from durable_cli.sql.parameters import Parameters
from durable_cli.sql.rows import Rows, Value

SHELL_ROWS_MAX: Final = 1_000
"""Rows that one statement shows: more cannot be read."""

_WHAT: Final = "durable sql"


@dataclass(frozen=True)
class SetAlarm:
    """Both are milliseconds since 1970, by the emulator's clock."""

    due_ms: int
    now_ms: int


class ShellData(Protocol):
    """Every method raises NotFoundError for an object or a class that is not there, and wakes nobody."""

    writes: bool
    """Whether statements may change the object."""

    def run(self, target: Target, sql: str, parameters: Parameters = ()) -> list[Rows]:
        """What each statement of `sql` returned. Raises StatementError."""
        ...

    def look(self, target: Target, sql: str, *parameters: Value) -> Rows:
        """One statement of the shell's own, which only reads."""
        ...

    def objects(self, class_word: str, name_glob: str | None, limit: int) -> ListPage: ...

    def alarm(self, target: Target) -> SetAlarm | None: ...

    def copy(self, target: Target, path: Path) -> None: ...

    def class_names(self) -> list[str]: ...


class ProjectData:
    """The objects of one project; only `run` changes anything, and only with `writes`."""

    def __init__(self, project: Project, *, writes: bool) -> None:
        self._project = project
        self.writes = writes

    def run(self, target: Target, sql: str, parameters: Parameters = ()) -> list[Rows]:
        return run_sql(self._project, target, sql, parameters, write=self.writes, rows_max=SHELL_ROWS_MAX)

    def look(self, target: Target, sql: str, *parameters: Value) -> Rows:
        return run_sql(self._project, target, sql, parameters, write=False, rows_max=SHELL_ROWS_MAX)[-1]

    def objects(self, class_word: str, name_glob: str | None, limit: int) -> ListPage:
        query = ListQuery(class_word, name_glob=name_glob, limit=limit)
        return with_door(self._project, _WHAT, lambda door: door.list(query))

    def alarm(self, target: Target) -> SetAlarm | None:
        from durable_cli.alarms import listed

        found = with_door(self._project, _WHAT, lambda door: _found(door.list, target, door.find(target).id))
        if found is None or found.alarm_ms is None:
            return None
        now_ms: int = listed(self._project, 1)["now_ms"]
        return SetAlarm(found.alarm_ms, now_ms)

    def copy(self, target: Target, path: Path) -> None:
        with_door(self._project, _WHAT, lambda door: door.copy(target, path, sync=False))

    def class_names(self) -> list[str]:
        return with_door(self._project, _WHAT, lambda door: door.class_names())


def _found(list_page: Lister, target: Target, identity: str) -> ListedObject | None:
    """An object with an alarm; None is one without."""
    if target.name is not None:
        query = ListQuery(target.class_word, name_glob=glob_of(target.name))
    else:
        query = ListQuery(target.class_word, sort="alarm")
    for listed in every_object(list_page, query):
        if listed.id == identity:
            return listed
        if target.name is None and listed.alarm_ms is None:  # those with alarms come first
            return None
    return None


def glob_of(text: str) -> str:
    """The pattern that means this text and no other (sqlite.org/lang_expr.html#glob)."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


class Lister(Protocol):
    """`DataDoor.list`"""

    def __call__(self, query: ListQuery, /) -> ListPage: ...
