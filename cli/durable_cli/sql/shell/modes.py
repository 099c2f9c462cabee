"""apsw's shell with output that is harmless on a terminal: every mode shows control characters in data as escapes.

Two layers: each value is made harmless in the way of its mode, and the stream lets nothing else through. Knows no
object and runs no SQL.
"""

# apsw.shell is not annotated: what it defines has no types, and what is handed to it is checked here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TextIO

import apsw
import apsw.shell

from durable.errors import UserInputError
from durable_cli import console
from durable_cli.console import printable
from durable_cli.sql.rows import WIDTH_WITHOUT_TERMINAL, Rows, Value, as_json, as_table
from durable_cli.sql.shell.words import MODES, WORDS, check_mode

_COLOURS: Final = re.compile(r"(\x1b\[\d{1,2}(?:;\d{1,2})*m)")
"""What apsw's shell and our messages are painted with; no other escape character reaches a terminal."""
_UNPRINTABLE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""As `console.printable` sees it, but for the newline, which text in SQL may have."""


COLUMNS: Final = 80
"""Of a terminal that does not say how many it has."""


class HarmlessStream:
    """A text stream; on a terminal nothing but text, newlines, tabs and colours gets through it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()

    def isatty(self) -> bool:
        return self._is_terminal

    def fileno(self) -> int:
        return self._stream.fileno()

    def flush(self) -> None:
        self._obey(self._stream.flush)

    def write(self, text: str) -> int:
        shown = harmless(text) if self._is_terminal else text
        self._obey(lambda: self._stream.write(shown))
        return len(text)

    def _obey(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BrokenPipeError:
            # Whoever read our output has seen enough, as in `console.put_data`.
            console.silence_broken_pipe()
            raise SystemExit(0) from None


def harmless(text: str) -> str:
    """Text with newlines, tabs and the shell's colours as they are, and everything else as one can see it."""
    pieces = _COLOURS.split(text)  # every second one is a colour
    return "".join(piece if index % 2 else printable(piece, keep="\n\t") for index, piece in enumerate(pieces))


class Modes(apsw.shell.Shell):
    """Shows rows; which words and modes there are is for `words`."""

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        super().__init__(
            stdin=stdin,
            stdout=HarmlessStream(stdout),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            stderr=HarmlessStream(stderr),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            # What is not overridden below works on this one, which holds nothing and may do nothing.
            db=_empty_connection(),
        )
        self.interactive = True
        self.header = True
        self.nullvalue = "NULL"
        self._command("mode", ["table"])
        if not console.colour_wanted(stdout):
            self._command("colour", ["off"])

    def _apply_fts(self) -> None:
        """apsw's adds tokenizers; nothing is looked for in the empty database."""

    def __dir__(self) -> Iterable[str]:
        """apsw's help and completion list what is found here."""
        hidden = {"command_": WORDS, "output_": MODES}
        for name in super().__dir__():
            prefix = next((prefix for prefix in hidden if name.startswith(prefix)), "")
            if not prefix or name.removeprefix(prefix) in hidden[prefix]:
                yield name

    def _command(self, word: str, words: Sequence[str]) -> None:
        getattr(self, f"command_{word}")(list(words))

    # --- what is shown ------------------------------------------------------------------------------------------------
    def show_rows(self, rows: Rows) -> None:
        """In the mode that is set."""
        if not rows.columns:
            return
        if getattr(self.output, "all_at_once", False):
            if rows.rows:
                self.output(rows.columns, rows.rows)
            return
        self.output(True, tuple(self._shown(column) for column in rows.columns))
        for row in rows.rows:
            self.output(False, row)

    def show_text(self, text: str) -> None:
        """Text of the object's, or ours, with its newlines; one more ends it."""
        self.write(self.stdout, text + "\n")  # type: ignore[no-untyped-call]

    def _terminal_width(self, minimum: int) -> int:
        """A terminal that does not know its width says 0, which apsw takes for the width."""
        return max(console.terminal_width(self.stdout) or COLUMNS, minimum)

    @property
    def is_screen(self) -> bool:
        """Whether data goes to a terminal; in a file it stays as it is."""
        return bool(self.stdout.isatty())

    def _shown(self, text: str) -> str:
        return printable(text) if self.is_screen else text

    # --- apsw's formatting, value by value ----------------------------------------------------------------------------
    def _fmt_text_col(self, v: Value) -> str:
        match v:
            case None:
                return self.nullvalue
            case str():
                return self._shown(v)
            case bytes():
                return f"x'{v.hex()}'"
            case _:
                return str(v)

    def _fmt_c_string(self, v: Value) -> str:
        if not isinstance(v, str):
            text: str = super()._fmt_c_string(v)
            return text
        quoted = v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{_UNPRINTABLE.sub(_unicode_escape, quoted)}"'

    def _fmt_sql_identifier(self, v: str) -> str:
        """apsw's takes brackets for a name with quotes, and a name may have both."""
        return '"' + v.replace('"', '""') + '"'

    def _sql_literal(self, value: Value) -> str:
        text: str = apsw.format_sql_value(value)
        if isinstance(value, str) and self.is_screen and _UNPRINTABLE.search(value):
            pieces = (
                f"char({ord(piece)})" if _UNPRINTABLE.fullmatch(piece) else apsw.format_sql_value(piece)
                for piece in re.split(f"({_UNPRINTABLE.pattern})", value)
                if piece
            )
            return "||".join(pieces)
        return text

    def output_insert(self, header: bool, line: Sequence[Value]) -> None:
        """
        Lines as SQL insert statements. The table name is "table"
        unless you specified a different one as the second parameter
        to the .mode command.
        """
        if header:
            return
        paint: Any = self.colour.colour_value  # apsw's own shell is partly untyped
        values = ",".join(paint(value, self._sql_literal(value)) for value in line)
        self.show_text(f"INSERT INTO {self._output_table} VALUES({values});")

    def output_json(self, header: tuple[str, ...], line: Any) -> None:
        """
        A JSON array with an object per row; bytes are
        {"$bytes": "base64"}.
        """
        self.show_text(as_json(Rows(header, tuple(line))))

    def output_jsonl(self, header: tuple[str, ...], line: Any) -> None:
        """
        A JSON object per row, each on a line of its own; bytes are
        {"$bytes": "base64"}.
        """
        for row in line:
            self.show_text(as_json(Rows(header, (row,)))[2:-2])

    output_json.all_at_once = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    output_jsonl.all_at_once = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]

    def output_table(self, header: tuple[str, ...] = (), line: Any = ()) -> None:
        """
        As durable sql prints rows: every character, folded at the width
        of the terminal.
        """
        width = self._terminal_width(20) if self.is_screen else None
        is_coloured = self.colour is not self._colours["off"]
        self.show_text(as_table(Rows(header, tuple(line)), colour=is_coloured, width=width))

    def output_box(self, column_names: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
        """
        Boxes of lines. Text is wrapped at words and hyphenated, and long
        text is cut.
        """
        shown = [[printable(value, keep="\n") if isinstance(value, str) else value for value in row] for row in rows]
        try:
            super().output_box([printable(name) for name in column_names], shown)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise UserInputError(f"{len(column_names)} columns do not fit side by side", fix=".mode line") from error

    def output_qbox(self) -> None:
        """As box, with values as SQL writes them."""

    output_table.all_at_once = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    output_box.all_at_once = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]

    def command_mode(self, cmd: list[str]) -> None:
        """mode MODE: How rows are shown, one of"""
        check_mode(cmd[0] if cmd else "")
        if cmd == ["table"]:
            self.output = self.output_table
            return
        if cmd[0] == "table":
            raise UserInputError(".mode table takes no options", fix=".mode table, or .mode box --help")
        super().command_mode(cmd)  # type: ignore[no-untyped-call]
        if cmd[0] in {"box", "qbox"}:
            options: dict[str, Any] = self.box_options
            options["binary"] = self._fmt_text_col
            if "--string-sanitize" not in cmd:
                # Values are made harmless before; apsw's way doubles backslashes.
                options["string_sanitize"] = str
            if not self.is_screen and "--width" not in cmd:
                options["text_width"] = WIDTH_WITHOUT_TERMINAL


def _unicode_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _deny(*_: object) -> int:
    return apsw.SQLITE_DENY


def _empty_connection() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.authorizer = _deny
    return connection
