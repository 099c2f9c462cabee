"""Single keys while `durable dev` runs: the terminal without line editing, put back as it was whatever happens.

Must not know what the keys do: it is handed a table of them.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import termios
import tty
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

ANSWER_CHARACTERS_MAX: Final = 60


class Hotkey(Struct, frozen=True):
    """What a key does, said in two words for the help line; the words may follow the state, and "" leaves it out."""

    label: str | Callable[[], str]
    action: Callable[[], object]

    @property
    def words(self) -> str:
        return self.label if isinstance(self.label, str) else self.label()


def help_line(keys: Mapping[str, Hotkey]) -> str:
    """`[o] open in browser  [r] reload  [q] quit`"""
    return "  ".join(f"[{key}] {words}" for key, hotkey in keys.items() if (words := hotkey.words))


class Hotkeys:
    """Reads keys from a terminal; a context manager in a running loop. Without keys it leaves the terminal alone."""

    def __init__(self, keys: Mapping[str, Hotkey], terminal_fd: int = 0) -> None:
        self._keys = keys
        self._fd = terminal_fd
        self._before: list[Any] | None = None
        self._question: _Question | None = None
        """While it is asked, keys are letters of its answer."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Hotkeys:
        if not self._keys:
            return self
        self._loop = asyncio.get_running_loop()
        self._before = termios.tcgetattr(self._fd)
        atexit.register(self.restore)  # an exit that skips our __exit__ must not leave a shell that shows no typing
        self._take_over()
        # After Ctrl+Z and `fg` the terminal has the shell's modes.
        self._loop.add_signal_handler(signal.SIGCONT, self._take_over)
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_signal_handler(signal.SIGCONT)
            self._loop = None
        self.restore()
        atexit.unregister(self.restore)

    def _take_over(self) -> None:
        if self._loop is not None and self._in_foreground():
            tty.setcbreak(self._fd, termios.TCSANOW)
            self._loop.add_reader(self._fd, self._read)

    def ask(self, answered: Callable[[str], object], echo: Callable[[str], object]) -> None:
        """Take what is typed up to Enter as a line for `answered`; Escape, or nothing, calls it off.

        `echo` shows what is typed: the terminal does not, as long as it is ours.
        """
        self._question = _Question(answered, echo)

    def suspend(self) -> None:
        """Let somebody else have the terminal, as it was before us."""
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self.restore()

    def resume(self) -> None:
        self._take_over()

    def restore(self) -> None:
        """Put the terminal back as it was; harmless at any time."""
        if self._before is not None and self._in_foreground():
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)

    def _in_foreground(self) -> bool:
        """A job in the background that touches the terminal is stopped by it (SIGTTOU, SIGTTIN)."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def _read(self) -> None:
        # In the background these keys are for someone else, and asking for ever would burn a core: wait for `fg`.
        typed = self._typed() if self._in_foreground() else b""
        if typed:
            self.press(typed)
        elif self._loop is not None:
            self._loop.remove_reader(self._fd)

    def _typed(self) -> bytes:
        try:
            return os.read(self._fd, 64)
        except OSError:  # the terminal is gone
            return b""

    def press(self, typed: bytes) -> None:
        """What came at once: one key, or an arrow key or a paste, which are several bytes and mean nothing here."""
        if self._question is not None:
            if self._question.type(typed):
                self._question = None
            return
        hotkey = self._keys.get(typed.decode(errors="replace").lower())
        if hotkey is not None:
            hotkey.action()


class _Question:
    """The line that is being typed."""

    def __init__(self, answered: Callable[[str], object], echo: Callable[[str], object]) -> None:
        self._answered = answered
        self._echo = echo
        self._line = ""

    def type(self, typed: bytes) -> bool:
        """Whether that was the end of it."""
        text = typed.decode(errors="replace")
        if text.startswith("\x1b"):
            # Alone it is Escape; with more behind it, an arrow key or another that no terminal has a letter for.
            if text == "\x1b":
                self._echo("(left)\n")
            return text == "\x1b"
        for character in text:
            if character in "\r\n":
                self._echo("\n")
                if self._line.strip():
                    self._answered(self._line.strip())
                return True
            if character in "\x7f\b":
                self._echo("\b \b" if self._line else "")
                self._line = self._line[:-1]
            elif character.isprintable() and len(self._line) < ANSWER_CHARACTERS_MAX:
                self._echo(character)
                self._line += character
        return False
