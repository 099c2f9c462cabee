"""A small shell for SQL on one object: statements end with `;`, words that begin with a dot are for the shell.

Must not know where the object is: it is handed a function that runs a statement and one that shows rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from durable.errors import DurableError
from durable_cli.rows import Rows

HELP: Final = """\
.tables           the object's tables
.schema [TABLE]   how they were made
.help             this
.quit             leave (or Ctrl+D)
A statement may go over several lines; a ; ends it."""

_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"
)
_SCHEMA: Final = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL{} ORDER BY tbl_name, type DESC, name"


class Shell:
    """Reads lines until `.quit` or the end of the input."""

    def __init__(
        self,
        read_line: Callable[[str], str],
        run: Callable[[str], Rows],
        *,
        show: Callable[[Rows], None],
        show_text: Callable[[str], None],
        show_error: Callable[[DurableError], None],
    ) -> None:
        """`read_line(prompt)` raises EOFError at the end, KeyboardInterrupt to forget what was typed so far."""
        self._read_line = read_line
        self._run = run
        self._show = show
        self._show_text = show_text
        self._show_error = show_error

    def loop(self, prompt: str) -> None:
        statement = ""
        while True:
            try:
                line = self._read_line(prompt if not statement else "…".rjust(len(prompt) - 2) + "> ")
            except EOFError:
                self._show_text("")
                return
            except KeyboardInterrupt:
                self._show_text("")
                statement = ""
                continue
            if not statement and line.strip().startswith("."):
                if not self._obey(line.split()):
                    return
                continue
            statement = f"{statement}\n{line}" if statement else line
            if is_complete(statement):
                self._answer(statement)
                statement = ""
            elif not statement.strip():
                statement = ""

    def _obey(self, words: list[str]) -> bool:
        """A word for the shell; False ends it."""
        match words:
            case [".quit" | ".exit" | ".q"]:
                return False
            case [".tables"]:
                self._answer(_TABLES)
            case [".schema"]:
                self._schema(_SCHEMA.format(""))
            case [".schema", table]:
                self._schema(_SCHEMA.format(f" AND tbl_name = {quoted_text(table)}"))
            case [".help"]:
                self._show_text(HELP)
            case _:
                self._show_text(f"no such word: {' '.join(words)}\n{HELP}")
        return True

    def _answer(self, sql: str) -> None:
        try:
            self._show(self._run(sql))
        except DurableError as error:
            self._show_error(error)

    def _schema(self, sql: str) -> None:
        try:
            for row in self._run(sql).rows:
                self._show_text(f"{row[0]!s};")
        except DurableError as error:
            self._show_error(error)


def quoted_text(text: str) -> str:
    """A string literal of SQL (sqlite.org/lang_expr.html#literal_values_constants_)."""
    return "'" + text.replace("'", "''") + "'"


def is_complete(sql: str) -> bool:
    """Whether a `;` ends it that stands outside of strings, comments and triggers, as SQLite itself sees it."""
    # Imported here: the shell is the only one who needs it.
    import apsw

    return bool(apsw.complete(sql + "\n"))  # the newline ends a comment
