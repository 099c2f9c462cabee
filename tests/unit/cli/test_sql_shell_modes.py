from __future__ import annotations

import csv
import io
import json
import re
import unicodedata

import apsw.shell
import pytest

from durable_cli.sql.rows import Rows
from durable_cli.sql.shell import modes
from durable_cli.sql.shell.modes import HarmlessStream, harmless
from durable_cli.sql.shell.words import MODES
from tests.unit.cli.sql_shell_session import MadeUpData, Screen, Session

EVIL = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066])) + "\x1b[31mred\ud800"
HOSTILE = [Rows((f"name{EVIL}", "n"), ((f"{EVIL}it's", 1), (None, b"\x1b[2J"), ("é ☃", 1.5)))]
COLOURS = re.compile(r"\x1b\[\d{1,2}(;\d{1,2})*m")
ALL_MODES = sorted(MODES | {"tabs"})


def unprintable(text: str) -> set[str]:
    return {
        character
        for character in text
        if character not in "\n\t" and (unicodedata.category(character) in {"Cc", "Cs"} or character in "\u2028\u202e")
    }


def test_every_mode_of_the_installed_apsw_was_judged() -> None:
    """A new one has to be read, and added to MODES with what it writes made harmless."""
    assert {name[len("output_") :] for name in dir(apsw.shell.Shell) if name.startswith("output_")} == MODES


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("header", ["on", "off"])
def test_control_characters_in_data_reach_the_terminal_in_no_mode(mode: str, header: str) -> None:
    session = Session(f".mode {mode}", f".header {header}", "SELECT 1;", data=MadeUpData(HOSTILE))
    assert unprintable(session.out.getvalue()) == set()
    assert "é ☃" in session.shown or "\\u00e9" in session.shown


@pytest.mark.parametrize("mode", ALL_MODES)
def test_values_are_harmless_before_the_stream_makes_them_so(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of the two layers, with the second one gone."""
    monkeypatch.setattr(modes, "harmless", lambda text: text)
    session = Session(f".mode {mode}", "SELECT 1;", data=MadeUpData(HOSTILE))
    assert unprintable(session.out.getvalue()) == set()


@pytest.mark.parametrize("mode", ALL_MODES)
def test_colours_are_the_shells_own(mode: str) -> None:
    session = Session(".colour default", f".mode {mode}", "SELECT 1;", data=MadeUpData(HOSTILE))
    assert unprintable(COLOURS.sub("", session.out.getvalue())) == set()
    assert "\x1b[31mred" not in session.out.getvalue().replace("\x1b[31m\x1b", "")


def test_the_stream_lets_only_text_and_colours_through() -> None:
    """The second of the two layers."""
    assert unprintable(COLOURS.sub("", harmless(EVIL))) == set()
    assert harmless("a\tb\n\x1b[31mred\x1b[0m") == "a\tb\n\x1b[31mred\x1b[0m"
    assert harmless("\x1b[2J\x1b[999m\x1b]0;x\x07") == "\\x1b[2J\\x1b[999m\\x1b]0;x\\x07"
    pipe = Screen(is_terminal=False)
    HarmlessStream(pipe).write("\x1b[2J")
    assert pipe.getvalue() == "\x1b[2J"


def test_a_reader_who_has_seen_enough_ends_the_shell_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Screen):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("durable_cli.console.silence_broken_pipe", lambda: None)
    with pytest.raises(SystemExit) as ended:
        HarmlessStream(Gone()).write("x")
    assert ended.value.code == 0


def test_json_is_one_document_as_the_command_prints_it() -> None:
    answer = [Rows(("a", "a"), ((EVIL[:-1], b"\x00\xff"), (float("inf"), None)))]
    for is_terminal in (True, False):
        shown = Session(".mode json", "SELECT 1;", data=MadeUpData(answer), is_terminal=is_terminal).shown
        assert json.loads(shown) == [
            {"a": EVIL[:-1], "a:2": {"$bytes": "AP8="}}, {"a": {"$float": "inf"}, "a:2": None},
        ]  # fmt: skip
        lines = Session(".mode jsonl", "SELECT 1;", data=MadeUpData(answer), is_terminal=is_terminal).shown
        assert [json.loads(line)["a:2"] for line in lines.split("\n")[:-1]] == [{"$bytes": "AP8="}, None]


def test_an_insert_makes_the_same_value_again_even_as_a_terminal_shows_it() -> None:
    value = EVIL[:-1] + "it's\n"
    shown = Session(".mode insert t", "SELECT 1;", data=MadeUpData([Rows(("a",), ((value,),))])).shown
    database = MadeUpData().database
    database.execute("CREATE TABLE t(a)")
    database.execute(shown)
    assert list(database.execute("SELECT a FROM t")) == [(value,)]


def test_data_in_a_file_stays_as_it_is() -> None:
    answer = [Rows(("a", "b"), (("x\x1b[2J\ny", 1),))]
    shown = Session(".mode csv", "SELECT 1;", data=MadeUpData(answer), is_terminal=False).shown
    assert list(csv.reader(io.StringIO(shown))) == [["a", "b"], ["x\x1b[2J\ny", "1"]]


def test_a_table_is_as_wide_as_the_terminal_and_whole_in_a_file() -> None:
    answer = [Rows(("text",), (("x" * 300,),))]
    shown = Session("SELECT 1;", data=MadeUpData(answer)).shown
    assert max(map(len, shown.splitlines())) == 80
    assert shown.count("x") == 301
    assert "x" * 300 in Session("SELECT 1;", data=MadeUpData(answer), is_terminal=False).shown
    assert "x" * 300 in Session(".mode box", "SELECT 1;", data=MadeUpData(answer), is_terminal=False).shown


def test_text_in_a_table_is_what_it_is() -> None:
    """Unlike in a box, where apsw wraps words."""
    answer = [Rows(("x",), (("a\\b  c",), ("é",)))]
    assert Session("SELECT 1;", data=MadeUpData(answer)).shown.splitlines()[::2] == ["x", "a\\b  c"]


@pytest.mark.parametrize("mode", ["box", "qbox", "table", "line"])
def test_very_many_columns_are_no_mistake_of_ours(mode: str) -> None:
    answer = [Rows(tuple(f"c{number}" for number in range(100)), (tuple(range(100)),))]
    session = Session(f".mode {mode}", "SELECT 1;", data=MadeUpData(answer))
    assert "Traceback" not in session.said
    assert ("100 columns do not fit side by side\n  fix: .mode line" in session.said) == ("box" in mode)
