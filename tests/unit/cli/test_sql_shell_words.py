from __future__ import annotations

from pathlib import Path

import apsw.shell
import pytest

from durable.errors import UserInputError
from durable_cli.sql.shell.parameters import literal
from durable_cli.sql.shell.words import OWN_WORDS, REFUSED, WORDS, check_word
from tests.unit.cli.sql_shell_session import Session

APSW_WORDS = {name[len("command_") :] for name in dir(apsw.shell.Shell) if name.startswith("command_")}


def test_every_word_of_the_installed_apsw_was_judged() -> None:
    """A new one is refused anyway; it has to be read, and put into WORDS or REFUSED."""
    assert (WORDS - OWN_WORDS) | set(REFUSED) == APSW_WORDS
    assert not WORDS & set(REFUSED)


@pytest.mark.parametrize("word", sorted(APSW_WORDS - WORDS))
def test_what_is_not_for_objects_is_refused_and_does_nothing(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: object) -> None:
        raise AssertionError(f"{word} ran")

    monkeypatch.setattr(apsw.shell.Shell, f"command_{word}", called)
    for typed in (word, word.replace("_", "-")):
        session = Session(f".{typed} x y", f".{typed}")
        assert session.said.count(f"error: .{typed} is not available here: ") == 2
        assert session.shown == ""


def test_a_word_that_a_later_apsw_brings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def brought(*_: object) -> None:
        """brought: by a later version"""
        raise AssertionError("ran")

    monkeypatch.setattr(apsw.shell.Shell, "command_brought", brought, raising=False)
    monkeypatch.setattr(apsw.shell.Shell, "output_brought", brought, raising=False)
    session = Session(".brought", ".mode brought", ".help")
    assert "error: there is no word .brought" in session.said
    assert "error: there is no mode brought" in session.said
    assert "by a later version" not in session.said


@pytest.mark.parametrize("word", ["", "__init__", "sql", "Tables", "tables\x1b[2J", "command_open"])
def test_nothing_else_is_a_word(word: str) -> None:
    with pytest.raises(UserInputError, match="there is no word"):
        check_word(word)


def test_a_misspelt_word_finds_the_one_that_was_meant() -> None:
    with pytest.raises(UserInputError) as refused:
        check_word("tabels")
    assert refused.value.fix == 'Did you mean ".tables"? .help lists them'


@pytest.mark.parametrize(
    "line", [".shell touch x", ".output x", ".open x", ".backup x", ".read x", ".py open('x','w')"]
)
def test_no_word_makes_a_file(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Session(line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", [".tables 'x", "."])
def test_a_line_that_is_no_word_is_told(line: str) -> None:
    session = Session(line, "SELECT 1;")
    assert "error: " in session.said
    assert "Traceback" not in session.said
    assert session.asked == ["SELECT 1;"]


@pytest.mark.parametrize("mode", ["", "nope", "box --nope", "csv x", "BOX", "table --quote"])
def test_a_mode_that_is_none_is_told(mode: str) -> None:
    session = Session(f".mode {mode}", "SELECT 1;")
    assert "error: " in session.said
    assert "Traceback" not in session.said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7), ("-1.5", -1.5), ("1e3", 1000.0), ("NULL", None), ("null", None), ("'it''s'", "it's"), ("''", ""),
        ("x'00fF'", b"\x00\xff"), ("plain", "plain"), ("9223372036854775808", 9223372036854775808.0), ("'7'", "7"),
    ],
)  # fmt: skip
def test_a_value_of_a_parameter_is_written_as_in_sql(text: str, value: object) -> None:
    assert literal(text) == value
    assert type(literal(text)) is type(value)


def test_a_lonely_quote_is_no_value() -> None:
    with pytest.raises(UserInputError, match="a quote in text is written twice"):
        literal("'it's'")
