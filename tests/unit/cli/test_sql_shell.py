from __future__ import annotations

from collections.abc import Iterator

from durable.errors import DurableError, SqlError
from durable_cli.rows import Rows
from durable_cli.sql_shell import HELP, Shell, is_complete, quoted_text


class Session:
    """Somebody who types `lines`; Ctrl+C is `KeyboardInterrupt`."""

    def __init__(self, *lines: str | type[KeyboardInterrupt], answer: Rows | DurableError | None = None) -> None:
        self._lines: Iterator[str | type[KeyboardInterrupt]] = iter(lines)
        self._answer = answer or Rows(("x",), ((1,),))
        self.prompts: list[str] = []
        self.asked: list[str] = []
        self.shown: list[Rows] = []
        self.said: list[str] = []
        self.errors: list[DurableError] = []
        shell = Shell(
            self._read, self._run, show=self.shown.append, show_text=self.said.append, show_error=self.errors.append
        )
        shell.loop('Room "a"> ')

    def _read(self, prompt: str) -> str:
        self.prompts.append(prompt)
        line = next(self._lines, None)
        if line is None:
            raise EOFError
        if not isinstance(line, str):
            raise line
        return line

    def _run(self, sql: str) -> Rows:
        self.asked.append(sql)
        if isinstance(self._answer, DurableError):
            raise self._answer
        return self._answer


def test_a_statement_runs_when_its_semicolon_comes() -> None:
    session = Session("SELECT", "1;", "SELECT 2;")
    assert session.asked == ["SELECT\n1;", "SELECT 2;"]
    assert len(session.shown) == 2
    assert session.prompts[:3] == ['Room "a"> ', "       …> ", 'Room "a"> ']


def test_a_semicolon_inside_a_string_ends_nothing() -> None:
    assert Session("SELECT ';", "';").asked == ["SELECT ';\n';"]
    assert not is_complete("SELECT ';")
    assert is_complete("SELECT 1; -- done")


def test_ctrl_c_forgets_what_was_typed_and_goes_on() -> None:
    assert Session("DROP TABLE", KeyboardInterrupt, "SELECT 1;").asked == ["SELECT 1;"]


def test_quit_and_the_end_of_the_input_leave() -> None:
    assert Session(".quit", "SELECT 1;").asked == []
    assert Session().asked == []


def test_tables_and_schema_ask_the_catalogue() -> None:
    session = Session(".tables", ".schema", ".schema it's", answer=Rows(("sql",), (("CREATE TABLE t(x)",),)))
    assert "FROM sqlite_schema" in session.asked[0]
    assert "tbl_name = 'it''s'" in session.asked[2]
    assert session.said[:2] == ["CREATE TABLE t(x);", "CREATE TABLE t(x);"]


def test_an_unknown_word_shows_the_known_ones() -> None:
    assert Session(".nope").said[0] == f"no such word: .nope\n{HELP}"


def test_a_mistake_is_shown_and_the_shell_goes_on() -> None:
    error = SqlError("no such table: x: SQLITE_ERROR")
    session = Session("SELECT * FROM x;", ".tables", answer=error)
    assert session.errors == [error, error]


def test_empty_lines_do_nothing() -> None:
    assert Session("", "   ", "SELECT 1;").asked == ["SELECT 1;"]


def test_text_is_quoted_as_sql_does() -> None:
    assert quoted_text("a'b''c") == "'a''b''''c'"
