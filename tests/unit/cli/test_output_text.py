from __future__ import annotations

import pytest

from durable.gateway.events import Output
from durable_cli.console import Ink
from durable_cli.text.events import JsonFormatter, PrettyFormatter
from durable_cli.text.output import shown_output

RED, RESET = "\x1b[31m", "\x1b[0m"


@pytest.mark.parametrize(
    "text",
    [f"{RED}red{RESET}", "\x1b[1;38;5;208morange", "\x1b[38;2;255;0;10mrgb\x1b[39m", "\x1b[mreset", "\x1b[97;44mblue"],
)
def test_colours_of_a_program_stay_and_end_with_the_line(text: str) -> None:
    assert shown_output(text, colour=True) == text + RESET


def test_colours_of_a_program_are_left_out_where_nobody_sees_them() -> None:
    assert shown_output(f"a {RED}red{RESET} word", colour=False) == "a red word"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J", "\x1b[H", "\x1b]0;title\x07", "\x1b[8mhidden", "\x1b[5mblink", "\x1b[7m", "\x1b[31", "\x1b[31;8m",
        "\x1b[6n", "\x9b31m", "\x1bc", "\x1b[?25l", "\x1b[1A", "\x1b[" + "1;" * 50 + "1m",
    ],
)  # fmt: skip
@pytest.mark.parametrize("colour", [True, False])
def test_whatever_else_a_terminal_would_act_on_is_escaped(text: str, colour: bool) -> None:
    shown = shown_output(f"before {text} after", colour=colour)
    assert not {"\x1b", "\x9b", "\x07"} & set(shown)
    assert shown.startswith("before \\x")


def test_ordinary_text_is_as_it_was_printed() -> None:
    assert shown_output("Grüße,\t日本 🙂", colour=False) == "Grüße,\t日本 🙂"


HOSTILE = [
    'ChatRoom "other" │ forged',
    '\r\x1b[2KChatRoom "other" │ forged',
    '\x1b[A\x1b[2KChatRoom "other" │ forged',
    "reloaded in 3 ms\u2028ready",
    "\u202ereversed",
    '{"event": "reloaded"}',
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("label", [("ChatRoom", "mine", "0" * 64), (None, None, None)])
def test_text_that_imitates_the_log_stays_behind_its_own_label(text: str, label: tuple[str | None, ...]) -> None:
    line = PrettyFormatter(Ink(False)).text(Output("stdout", text, *label))
    assert line.startswith('ChatRoom "mine" │ ' if label[0] else "│ ")
    assert line.count("\n") == 0
    assert all(character.isprintable() for character in line)
    assert "\n" not in JsonFormatter().text(Output("stdout", text, *label))


def test_a_name_cannot_forge_a_label_either() -> None:
    line = PrettyFormatter(Ink(False)).text(Output("stdout", "x", "ChatRoom", 'a" │ y\nChatRoom "b', "0" * 64))
    assert line == 'ChatRoom "a" │ y\\nChatRoom "b" │ x'
