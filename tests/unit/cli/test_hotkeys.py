from __future__ import annotations

import asyncio
import os
import termios

import pytest

from durable_cli.dev.hotkeys import Hotkey, Hotkeys, help_line


def keys_that_note(pressed: list[str]) -> dict[str, Hotkey]:
    return {"r": Hotkey("reload", lambda: pressed.append("r")), "q": Hotkey("quit", lambda: pressed.append("q"))}


def test_the_help_line_names_every_key() -> None:
    assert help_line(keys_that_note([])) == "[r] reload  [q] quit"


class Pair:
    """A terminal whose foreground job is said to be us."""

    def __init__(self, monkeypatch) -> None:
        self.hand, self.terminal = os.openpty()
        self.foreground = os.getpgrp()
        monkeypatch.setattr(os, "tcgetpgrp", lambda fd: self.foreground)

    def line_editing(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ICANON)

    def close(self) -> None:
        os.close(self.hand)
        os.close(self.terminal)


async def test_a_key_does_its_thing_and_the_terminal_is_put_back(monkeypatch) -> None:
    pair, pressed = Pair(monkeypatch), asyncio.Event()
    with Hotkeys({"r": Hotkey("reload", pressed.set)}, pair.terminal):
        assert not pair.line_editing()
        os.write(pair.hand, b"r")
        async with asyncio.timeout(10):
            await pressed.wait()
    assert pair.line_editing()
    pair.close()


@pytest.mark.parametrize(
    ("typed", "keys"), [(b"r", ["r"]), (b"R", ["r"]), (b"x", []), (b"\x1b[A", []), (b"rq", []), (b"\xff", [])]
)
def test_one_key_is_a_key_and_an_arrow_or_a_paste_is_none(typed: bytes, keys: list[str]) -> None:
    pressed: list[str] = []
    Hotkeys(keys_that_note(pressed)).press(typed)
    assert pressed == keys


async def test_a_job_in_the_background_leaves_the_terminal_alone(monkeypatch) -> None:
    pair = Pair(monkeypatch)
    pair.foreground = -1
    with Hotkeys(keys_that_note([]), pair.terminal):
        assert pair.line_editing()
    assert pair.line_editing()
    pair.close()


async def test_the_terminal_is_put_back_when_the_block_fails(monkeypatch) -> None:
    pair = Pair(monkeypatch)
    try:
        with Hotkeys(keys_that_note([]), pair.terminal):
            raise RuntimeError
    except RuntimeError:
        pass
    assert pair.line_editing()
    pair.close()


async def test_without_keys_the_terminal_is_not_touched(monkeypatch) -> None:
    pair = Pair(monkeypatch)
    with Hotkeys({}, pair.terminal):
        assert pair.line_editing()
    pair.close()


def test_words_follow_the_state_and_a_key_without_any_is_left_out() -> None:
    state = {"word": "freeze time"}
    keys = {"f": Hotkey(lambda: state["word"], list), "q": Hotkey("quit", list)}
    assert help_line(keys) == "[f] freeze time  [q] quit"
    state["word"] = ""
    assert help_line(keys) == "[q] quit"


@pytest.mark.parametrize(
    ("typed", "answer", "echo"),
    [
        ([b"2", b"h", b"\r"], ["2h"], "2h\n"),
        ([b"90s\n"], ["90s"], "90s\n"),
        ([b"3", b"\x7f", b"\x7f", b"2h\n"], ["2h"], "3\b \b2h\n"),
        ([b"\x1b[A", b"1h\n"], ["1h"], "1h\n"),
        ([b"2h", b"\x1b"], [], "2h(left)\n"),
        ([b"\n"], [], "\n"),
        ([b"\xff\x07\x1a2h\n"], ["\ufffd2h"], "\ufffd2h\n"),
        ([b"x" * 64, b"\n"], ["x" * 60], "x" * 60 + "\n"),
    ],
)
def test_a_line_is_typed_with_corrections_and_can_be_left(typed: list[bytes], answer: list[str], echo: str) -> None:
    pressed: list[str] = []
    answers: list[str] = []
    echoed: list[str] = []
    keys = Hotkeys(keys_that_note(pressed))
    keys.ask(answers.append, echoed.append)
    for each in typed:
        keys.press(each)
    assert (answers, "".join(echoed)) == (answer, echo)
    assert not pressed
    keys.press(b"r")
    assert pressed == ["r"]
