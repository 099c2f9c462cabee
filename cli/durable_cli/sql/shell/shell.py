"""The shell of `durable sql`, built on apsw's: statements run inside the object, words that begin with a dot are ours.

No statement of the user's ever runs on a connection of the shell's. Must not know whether an emulator runs.
"""

# apsw.shell is not annotated: what it defines has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO, cast

import apsw

from durable.errors import DurableError, StorageError, UserInputError
from durable_cli import console, report
from durable_cli.console import printable
from durable_cli.durations import shown_duration
from durable_cli.moments import shown_moment
from durable_cli.objects.finding import Target
from durable_cli.project import Project
from durable_cli.sql.rows import Rows, Value
from durable_cli.sql.shell.completion import PRAGMAS, corpora
from durable_cli.sql.shell.data import ProjectData, ShellData
from durable_cli.sql.shell.dump import DROPPED_LINES, dumpable
from durable_cli.sql.shell.editing import HISTORY_FILE, editing, history_length, join_history
from durable_cli.sql.shell.modes import Modes
from durable_cli.sql.shell.parameters import literal
from durable_cli.sql.shell.words import check_word

PROMPT_NAME_CHARACTERS_MAX: Final = 30
OBJECTS_SHOWN_MAX: Final = 100
"""Names that `.objects` shows."""

_OWN: Final = "substr(name, 1, 4) <> '_cf_' AND substr(name, 1, 7) <> 'sqlite_'"
_NAMES: Final = f"SELECT name FROM sqlite_schema WHERE type IN ({{}}) AND {_OWN} AND name LIKE ? ORDER BY name"
_SCHEMA: Final = (
    f"SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND {_OWN} AND tbl_name LIKE ?"
    " ORDER BY tbl_name, type DESC, name"
)
_INDEXES: Final = f"SELECT name FROM sqlite_schema WHERE type = 'index' AND {_OWN} AND tbl_name LIKE ? ORDER BY name"
_COLUMNS: Final = (
    f"SELECT DISTINCT c.name FROM (SELECT name AS own FROM sqlite_schema WHERE type IN ('table', 'view') AND {_OWN})"
    " CROSS JOIN pragma_table_info(own) AS c"
)


def run_shell(project: Project, target: Target, *, write: bool) -> None:
    """Until `.quit` or the end of the input. Raises NotFoundError before the first prompt, and makes nothing."""
    data = ProjectData(project, writes=write)
    data.look(target, "SELECT 1")
    ObjectShell(data, target, sys.stdin, sys.stdout, sys.stderr).loop(project.run / HISTORY_FILE)


class _Left(Exception):
    """Somebody typed `.quit`."""


class ObjectShell(Modes):
    """One object at a time, which `.use` changes. Statements may end in any of several lines; a `;` ends them."""

    def __init__(self, data: ShellData, target: Target, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        super().__init__(stdin, stdout, stderr)
        self._data = data
        self._target = target
        self._is_copy = False
        """Whether statements are apsw's own, on the copy that is dumped."""
        self._pragmas: Any = PRAGMAS
        self._set_prompt()

    def loop(self, history: Path) -> None:
        """Until `.quit` or the end of the input; `history` is where lines are kept."""
        self._say(
            f"{self._target}. A ; ends a statement, .help shows what else there is, .quit leaves."
            + ("" if self._data.writes else "\nRead-only; start with --write to change something.")
        )
        with editing(history, self.complete) as edits:
            self._using_readline = edits and self.is_screen
            while True:
                # It holds names of tables, which the last statement may have changed.
                self._completion_cache = None
                try:
                    command = self.get_complete_line()
                    if command is None:
                        self._say("")
                        return
                    self.process_complete_line(command)  # type: ignore[no-untyped-call]
                except _Left:
                    return
                except Exception as error:
                    self._tell(error)

    def get_complete_line(self) -> str | None:
        since = history_length()
        command = cast("str | None", super().get_complete_line())  # type: ignore[no-untyped-call]
        if command is not None and "\n" in command and self._using_readline:
            join_history(since, command)
        return command

    def _raw_input(self, prompt: str) -> str:  # type: ignore[override]  # apsw's is the builtin
        if self.is_screen:
            return input(prompt)
        # Rows go into a file, and input() would write there.
        self.write(self.stderr, prompt)
        self.stderr.flush()
        return input()

    def _set_prompt(self) -> None:
        name = self._target.name if self._target.name is not None else self._target.id or ""
        quote = '"' if self._target.name is not None else ""
        shown = printable(name, length_max=PROMPT_NAME_CHARACTERS_MAX)
        self.prompt = f"{printable(self._target.class_word)} {quote}{shown}{quote}> "
        self.moreprompt = "…> ".rjust(len(self.prompt))

    # --- talk ---------------------------------------------------------------------------------------------------------
    def _say(self, text: str) -> None:
        self.write(self.stderr, text + "\n")

    def _tell(self, error: Exception) -> None:
        if isinstance(error, self.Error):
            error = UserInputError(str(error).strip())
        self._say(report.render(report.explain(error), console.Ink(self.colour is not self._colours["off"])))

    def handle_interrupt(self) -> None:
        self._say("^C")

    # --- statements ---------------------------------------------------------------------------------------------------
    def process_sql(self, sql: str, bindings: Any = None, internal: bool = False, summary: Any = None) -> None:
        """A statement of the user's goes into the object; apsw's own are for the copy that is dumped."""
        if self._is_copy:
            super().process_sql(sql, bindings, internal, summary)
            return
        try:
            answers = self._data.run(self._target, sql, self._parameters_in(sql))
        except KeyboardInterrupt:
            if self._data.writes:
                self._say("interrupted; what was sent may be done all the same")
            raise
        for rows in answers:
            self._show_answer(rows)

    def _parameters_in(self, sql: str) -> dict[str, Value]:
        """Those that `.parameter` set and the statement names: one that nothing takes would be a mistake elsewhere."""
        named = set(re.findall(r"[:@$](\w+)", sql))
        return {name: value for name, value in self.bindings.items() if name in named}

    def _show_answer(self, rows: Rows) -> None:
        self.show_rows(rows)
        if rows.truncated:
            count = len(rows.rows)
            these = f"these {count} rows" if count != 1 else "this row"
            why = ", and they are too many bytes for one look" if rows.oversized else ""
            self._say(f"… there are more than {these}{why}: narrow the query with WHERE or LIMIT")
        if rows.rows_written:
            self._say(f"{rows.rows_written} row{'s' * (rows.rows_written != 1)} written")
        elif not rows.columns:
            self._say("done")
        elif not rows.rows:
            self._say("no rows")

    def process_command(self, command: str) -> None:
        """A line that begins with a dot."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UserInputError(f"{error} in {printable(command, length_max=80)}") from error
        check_word(words[0].removeprefix("."))
        super().process_command(command)  # type: ignore[no-untyped-call]

    # --- words --------------------------------------------------------------------------------------------------------
    def command_tables(self, cmd: list[str]) -> None:
        """tables ?PATTERN?: The object's tables and views, those LIKE a pattern"""
        self._list_names(_NAMES.format("'table', 'view'"), cmd or ["%"])

    def command_indices(self, cmd: list[str]) -> None:
        """indices ?TABLE?: The object's indexes, those of tables LIKE a pattern"""
        self._list_names(_INDEXES, cmd or ["%"])

    def command_schema(self, cmd: list[str]) -> None:
        """schema ?TABLE?: How tables, indexes, views and triggers were made, those of tables LIKE a pattern"""
        for pattern in cmd or ["%"]:
            for text in self._catalogue(_SCHEMA, pattern):
                self.show_text(f"{text};")

    def _list_names(self, sql: str, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            for name in self._catalogue(sql, pattern):
                self.show_text(self._shown(name))

    def _catalogue(self, sql: str, pattern: str) -> Iterator[str]:
        found = self._data.look(self._target, sql, pattern)
        yield from (str(row[0]) for row in found.rows)
        if found.truncated:
            self._say(f"… there are more than these {len(found.rows)}: put a pattern behind the word")

    def command_kv(self, cmd: list[str]) -> None:
        """kv ?PREFIX?: Keys and values of ctx.storage.kv, those that begin with PREFIX

        Values are shown as JSON. The table kv is there for SELECT, too.
        """
        prefix = _at_most_one(cmd, ".kv PREFIX")
        if self._data.look(self._target, "SELECT 1 FROM sqlite_schema WHERE lower(name) = 'kv'").rows:
            raise UserInputError("a table kv of the object's own is in front of its keys and values")
        sql = "SELECT key, type, value, bytes FROM kv WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key"
        self._show_answer(self._data.look(self._target, sql, prefix))

    def command_alarm(self, cmd: list[str]) -> None:
        """alarm: When the object's alarm is due"""
        if cmd:
            raise UserInputError(".alarm takes no words", fix=".alarm")
        alarm = self._data.alarm(self._target)
        if alarm is None:
            self._say("no alarm is set")
            return
        left_ms = alarm.due_ms - alarm.now_ms
        self.show_text(
            f"{shown_moment(alarm.due_ms)} ({f'in {shown_duration(left_ms)}' if left_ms > 0 else 'now due'})"
        )

    def command_objects(self, cmd: list[str]) -> None:
        """objects ?GLOB?: The objects of this class, those whose name is like room-*"""
        page = self._data.objects(
            self._target.class_word, _at_most_one(cmd, ".objects GLOB") or None, OBJECTS_SHOWN_MAX
        )
        rows = [
            (
                listed.name if listed.name is not None else f"--id {listed.id}",
                listed.bytes,
                shown_moment(listed.used_ms) if listed.used_ms is not None else None,
                shown_moment(listed.alarm_ms) if listed.alarm_ms is not None else None,
                listed.state,
            )
            for listed in page.objects
        ]
        self.show_rows(Rows(("name", "bytes", "last use", "alarm", "state"), tuple(rows)))
        if not rows:
            self._say("no objects")
        elif page.after is not None:
            self._say(f"… there are more than these {len(rows)}: .objects GLOB, or durable objects list")

    def command_use(self, cmd: list[str]) -> None:
        """use ?CLASS? NAME: Work on another object; CLASS --id HEX for one without a name"""
        match cmd:
            case [name]:
                target = Target(self._target.class_word, name=name)
            case [class_word, "--id", identity]:
                target = Target(class_word, id=identity)
            case [class_word, name]:
                target = Target(class_word, name=name)
            case _:
                raise UserInputError("which object?", fix=".use CLASS NAME, or .use CLASS --id HEX")
        self._data.look(target, "SELECT 1")
        self._target = target
        self._set_prompt()

    def command_exit(self, cmd: list[str], name: str = "exit") -> NoReturn:
        """exit: Leave, as .quit and Ctrl+D do"""
        raise _Left

    def command_quit(self, cmd: list[str], name: str = "quit") -> NoReturn:
        """quit: Leave"""
        raise _Left

    def command_dump(self, cmd: list[str]) -> None:
        """dump ?TABLE?: The object's tables as SQL, those LIKE a pattern, from a copy that is made for it

        Keys and values of ctx.storage.kv are not in it: durable objects export has them.
        """
        with tempfile.TemporaryDirectory(prefix="durable-sql-") as folder:
            path = Path(folder) / "object.sqlite"
            self._data.copy(self._target, path)
            try:
                with dumpable(path) as (connection, keys):
                    self._dump(connection, cmd)
            except apsw.Error as error:
                raise StorageError(f"{self._target} cannot be dumped: {error}") from error
        if keys:
            self._say(f"without {keys} key{'s' * (keys != 1)} of ctx.storage.kv: durable objects export has them")

    def _dump(self, copy: Any, patterns: list[str]) -> None:
        own, self._db, self._is_copy = self._db, copy, True
        try:
            super().command_dump(patterns)  # type: ignore[no-untyped-call]
        finally:
            self._db, self._is_copy = own, False

    def write(self, dest: Any, text: str) -> None:
        if not (self._is_copy and text.startswith(DROPPED_LINES)):
            super().write(dest, text)  # type: ignore[no-untyped-call]

    def command_header(self, cmd: list[str]) -> None:
        """header(s) ON|OFF: Whether the names of columns are shown"""
        super().command_header(cmd)  # type: ignore[no-untyped-call]

    command_headers = command_header

    def command_separator(self, cmd: list[str]) -> None:
        """separator STRING: What stands between values in the modes list, csv and tcl"""
        super().command_separator(cmd)  # type: ignore[no-untyped-call]

    def command_parameter(self, cmd: list[str]) -> None:
        """parameter set NAME VALUE: Values for :NAME, @NAME and $NAME in statements; also list, unset NAME, clear

        A VALUE is written as in SQL: 7, 1.5, NULL, 'text', x'00ff'.
        """
        match cmd:
            case [] | ["list"]:
                for name, value in sorted(self.bindings.items()):
                    self.show_text(f"{self._shown(name)}  {self._sql_literal(value)}")
            case ["clear"]:
                self.bindings = {}
            case ["set", name, value]:
                self.bindings[name.lstrip(":@$")] = literal(value)
            case ["unset", name]:
                self.bindings.pop(name.lstrip(":@$"), None)
            case _:
                raise UserInputError("not a use of .parameter", fix=".parameter set NAME VALUE")

    # --- completion ---------------------------------------------------------------------------------------------------
    def complete_sql(self, line: str, token: str, beg: int, end: int) -> list[str]:
        if self._completion_cache is None:
            self._completion_cache = corpora(self._names())
        return cast("list[str]", super().complete_sql(line, token, beg, end))  # type: ignore[no-untyped-call]

    def complete_command(self, line: str, token: str, beg: int, end: int) -> list[str]:
        if line.startswith(".use "):
            with suppress(DurableError):
                return [name for name in self._data.class_names() if name.startswith(token) and name.isprintable()]
            return []
        return cast("list[str]", super().complete_command(line, token, beg, end))  # type: ignore[no-untyped-call]

    def _names(self) -> list[str]:
        """Tables, views and columns; none when the object cannot be asked just now."""
        names = {"kv"}
        with suppress(DurableError):
            for sql, words in (_NAMES.format("'table', 'view'"), ("%",)), (_COLUMNS, ()):
                names |= {str(row[0]) for row in self._data.look(self._target, sql, *words).rows}
        return list(names)


def _at_most_one(words: list[str], usage: str) -> str:
    if len(words) > 1:
        raise UserInputError("one word at most", fix=usage)
    return words[0] if words else ""
