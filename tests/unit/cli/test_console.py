from __future__ import annotations

import io

import pytest

from durable_cli.console import Ink, colour_wanted, interactive, printable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_goes_to_terminals_only() -> None:
    assert colour_wanted(Terminal(), {"TERM": "xterm"})
    assert not colour_wanted(io.StringIO(), {"TERM": "xterm"})


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_is_switched_off_by_the_environment(environ: dict[str, str]) -> None:
    assert not colour_wanted(Terminal(), environ)


def test_an_empty_no_color_means_nothing() -> None:
    assert colour_wanted(Terminal(), {"NO_COLOR": ""})


def test_ink_paints_with_colour_and_leaves_text_alone_without() -> None:
    assert Ink(True).paint("200", "green") == "\x1b[32m200\x1b[0m"
    assert Ink(False).paint("200", "green") == "200"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße 你好 🙂", "Grüße 你好 🙂"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("one\u2028two", "one\\u2028two"),
        ("\ud800", "\\ud800"),
        ("a\x00b", "a\\x00b"),
    ],
)
def test_nothing_that_moves_a_terminals_cursor_gets_through(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_characters_may_be_kept() -> None:
    assert printable("a\n\tb\x1b", keep="\n") == "a\n\\tb\\x1b"


def test_long_text_is_cut_in_the_middle() -> None:
    assert printable("0123456789", length_max=7) == "012…789"
    assert len(printable("x" * 5000, length_max=200)) == 200


def test_nobody_is_asked_without_a_terminal() -> None:
    assert interactive(Terminal(), Terminal())
    assert not interactive(Terminal(), io.StringIO())
    assert not interactive(io.StringIO(), Terminal())
