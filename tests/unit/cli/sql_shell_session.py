"""Somebody in front of the SQL shell, with data that a test makes up."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import apsw

from durable.errors import DurableError, NotFoundError
from durable_cli.data.listing_types import ListedObject, ListPage
from durable_cli.objects.finding import Target
from durable_cli.sql.parameters import Parameters
from durable_cli.sql.rows import Rows, Value
from durable_cli.sql.shell.data import SetAlarm
from durable_cli.sql.shell.shell import ObjectShell

ROOM = Target("Room", name="a")
PROMPT = 'Room "a"> '


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Keyboard(io.StringIO):
    """Lines that are typed; KeyboardInterrupt is Ctrl+C."""

    def __init__(self, *lines: str | type[KeyboardInterrupt]) -> None:
        super().__init__()
        self._lines: Iterator[str | type[KeyboardInterrupt]] = iter(lines)

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]  # as the base's own
        line = next(self._lines, "")
        if not isinstance(line, str):
            raise line
        return f"{line}\n" if line != "" else ""


class MadeUpData:
    """Answers everything with the same, unless a database is there to be asked."""

    def __init__(self, answer: list[Rows] | BaseException | None = None, *, writes: bool = False) -> None:
        self.answer = answer if answer is not None else [Rows(("x",), ((1,),))]
        self.writes = writes
        self.ran: list[tuple[Target, str, Parameters]] = []
        self.database = apsw.Connection(":memory:")
        """What the shell's own questions are answered from, and what `.dump` copies."""
        self.missing: set[str | None] = set()
        self.set_alarm: SetAlarm | None = None
        self.page = ListPage(())
        self.globs: list[str | None] = []

    def run(self, target: Target, sql: str, parameters: Parameters = ()) -> list[Rows]:
        self.ran.append((target, sql, parameters))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def look(self, target: Target, sql: str, *parameters: Value) -> Rows:
        if target.name in self.missing:
            raise NotFoundError(f"no such object: {target}")
        cursor = self.database.execute(sql, parameters)
        rows = tuple(tuple(row) for row in cursor)
        return Rows(("column",), rows)

    def objects(self, class_word: str, name_glob: str | None, limit: int) -> ListPage:
        self.globs.append(name_glob)
        return self.page

    def alarm(self, target: Target) -> SetAlarm | None:
        return self.set_alarm

    def copy(self, target: Target, path: Path) -> None:
        self.database.execute("VACUUM INTO ?", (str(path),))

    def class_names(self) -> list[str]:
        return ["Room", "Lobby"]


class Session:
    """What came of the lines that somebody typed."""

    def __init__(
        self,
        *lines: str | type[KeyboardInterrupt],
        data: MadeUpData | None = None,
        is_terminal: bool = True,
        history: Path = Path("/nowhere/history"),
    ) -> None:
        self.data = data or MadeUpData()
        self.out, self.err = Screen(is_terminal=is_terminal), Screen()
        self.shell = ObjectShell(self.data, ROOM, Keyboard(*lines), self.out, self.err)
        if is_terminal and lines[:1] != (".colour default",):
            self.shell.command_colour(["off"])
        self.shell.loop(history)

    @property
    def asked(self) -> list[str]:
        return [sql for _, sql, _ in self.data.ran]

    @property
    def shown(self) -> str:
        """Data, without the prompts."""
        return self.out.getvalue().replace(PROMPT, "")

    @property
    def said(self) -> str:
        """Talk, without the greeting."""
        return self.err.getvalue().partition("to change something.\n")[2] or self.err.getvalue()


def listed(name: str | None, identity: str = "0" * 64, *, alarm_ms: int | None = None) -> ListedObject:
    return ListedObject("Room", "k", identity, name, 8192, 0, 1_700_000_000_000, alarm_ms, 0, "stopped")


__all__ = ["PROMPT", "ROOM", "DurableError", "Keyboard", "MadeUpData", "Screen", "Session", "listed"]
