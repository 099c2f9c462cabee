from __future__ import annotations

import asyncio
import os
import termios

from durable_cli.hotkeys import Hotkey, Hotkeys, help_line


def keys_that_note(pressed: list[str]) -> dict[str, Hotkey]:
    return {key: Hotkey(label, lambda key=key: pressed.append(key)) for key, label in (("r", "reload"), ("q", "quit"))}


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


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_key_does_its_thing_and_the_terminal_is_put_back(monkeypatch) -> None:
    pair, pressed = Pair(monkeypatch), []
    with Hotkeys(keys_that_note(pressed), pair.terminal):
        assert not pair.line_editing()
        os.write(pair.hand, b"R")
        await turn()
        os.write(pair.hand, b"x")
        await turn()
    assert pressed == ["r"]
    assert pair.line_editing()
    pair.close()


async def test_an_arrow_key_or_a_paste_is_no_key(monkeypatch) -> None:
    pair, pressed = Pair(monkeypatch), []
    with Hotkeys(keys_that_note(pressed), pair.terminal):
        os.write(pair.hand, b"\x1b[A")
        await turn()
        os.write(pair.hand, b"rq")
        await turn()
    assert pressed == []
    pair.close()


async def test_a_job_in_the_background_leaves_the_terminal_alone(monkeypatch) -> None:
    pair, pressed = Pair(monkeypatch), []
    pair.foreground = -1
    with Hotkeys(keys_that_note(pressed), pair.terminal):
        assert pair.line_editing()
        os.write(pair.hand, b"r\n")
        await turn()
    assert pressed == []
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
