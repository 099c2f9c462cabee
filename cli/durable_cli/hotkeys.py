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
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hotkey:
    """What a key does, said in two words for the help line."""

    label: str
    action: Callable[[], object]


def help_line(keys: Mapping[str, Hotkey]) -> str:
    """`[o] open in browser  [r] reload  [q] quit`"""
    return "  ".join(f"[{key}] {hotkey.label}" for key, hotkey in keys.items())


class Hotkeys:
    """Reads keys from a terminal; a context manager in a running loop. Without keys it leaves the terminal alone."""

    def __init__(self, keys: Mapping[str, Hotkey], terminal_fd: int = 0) -> None:
        self._keys = keys
        self._fd = terminal_fd
        self._before: list[Any] | None = None
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
        self.restore()
        atexit.unregister(self.restore)

    def _take_over(self) -> None:
        if self._loop is not None and self._in_foreground():
            tty.setcbreak(self._fd, termios.TCSANOW)
            self._loop.add_reader(self._fd, self._read)

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
        hotkey = self._keys.get(typed.decode(errors="replace").lower())
        if hotkey is not None:
            hotkey.action()
