"""The terminal of `durable dev`, lent to one host after the other while user code stops in a debugger there.

While it is lent, hotkeys are off, the terminal has the modes of the shell, and the log is held back. However the stop
ends, the terminal comes back as it was. Knows no debugger and no host, only the numbers of process groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import termios
from collections.abc import Generator
from typing import Any, Final, Protocol

from durable.supervisor.events import DebuggerContinued, DebuggerStopped

_BACKGROUND_SECONDS: Final = 0.2
"""How often a stop looks whether `durable dev` is in the foreground again: only there it has a terminal to lend."""
_WRITTEN_SECONDS: Final = 0.01
_WRITTEN_SECONDS_MAX: Final = 1.0
"""How long the log may take to be written before the prompt appears in the middle of it."""
_SETTLE_SCREEN: Final = "\x1b[?2004l\x1b[?25h\x1b[0m\n"
"""What a debugger that was killed left on: bracketed paste, a hidden cursor, colours (ECMA-48, xterm)."""


class Keys(Protocol):
    """What reads the terminal otherwise."""

    def suspend(self) -> None: ...
    def resume(self) -> None: ...


class Log(Protocol):
    """What collects lines."""

    def flush(self) -> None: ...


class Writer(Protocol):
    """What writes them."""

    @property
    def is_written(self) -> bool: ...
    def hold(self) -> None: ...
    def release(self) -> None: ...
    def write(self, text: str) -> None: ...


class TerminalHandover:
    """Made in a running loop, in the foreground, before anything has changed the terminal."""

    def __init__(self, keys: Keys, log: Log, writer: Writer, terminal_fd: int = 0) -> None:
        self._keys = keys
        self._log = log
        self._writer = writer
        self._fd = terminal_fd
        self._loop = asyncio.get_running_loop()
        self._modes: list[Any] = termios.tcgetattr(terminal_fd)
        self._waiting: list[int] = []
        """Hosts that stopped, in that order; a host is a process group of its own."""
        self._holder: int | None = None
        self._trying: asyncio.TimerHandle | None = None
        self._tries = 0

    def hear(self, event: object) -> None:
        """Any event of the emulator's, after the log was told."""
        match event:
            case DebuggerStopped(terminal=True, pid=pid):
                if pid != self._holder and pid not in self._waiting:
                    self._waiting.append(pid)
                self._lend_next()
            case DebuggerContinued(pid=pid, died=died):
                if pid in self._waiting:
                    self._waiting.remove(pid)
                if pid == self._holder:
                    self._take_back(died=died)
                    self._lend_next()
            case _:
                pass

    def end(self) -> None:
        """Have the terminal back, whoever has it; harmless at any time."""
        self._waiting.clear()
        if self._holder is not None:
            self._take_back(died=True)

    # --- lending ------------------------------------------------------------------------------------------------------
    def _lend_next(self) -> None:
        if self._holder is None and self._waiting and self._trying is None:
            self._tries = 0
            # In its turn, so that the lines about the stop are in the log.
            self._try_later(0.0)

    def _try_later(self, seconds: float) -> None:
        self._trying = self._loop.call_later(seconds, self._try)

    def _try(self) -> None:
        self._trying = None
        if not self._waiting:
            return
        self._log.flush()
        if not self._in_foreground():
            self._try_later(_BACKGROUND_SECONDS)
        elif not self._writer.is_written and self._tries * _WRITTEN_SECONDS < _WRITTEN_SECONDS_MAX:
            self._tries += 1
            self._try_later(_WRITTEN_SECONDS)
        else:
            self._lend(self._waiting.pop(0))

    def _lend(self, group: int) -> None:
        self._writer.hold()
        self._keys.suspend()
        self._holder = group
        modes = [*self._modes[:6], list(self._modes[6])]
        # Ctrl+Z would halt the host alone, and the shell would never know that there is something to continue.
        modes[6][termios.VSUSP] = bytes([os.fpathconf(self._fd, "PC_VDISABLE")])
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, modes)
            os.tcsetpgrp(self._fd, group)
        except (OSError, termios.error):
            # It died this very moment; its end is on the way.
            self._take_back(died=True)

    def _take_back(self, *, died: bool) -> None:
        self._holder = None
        # We are in the background now, where touching the terminal would halt us.
        with contextlib.suppress(OSError, termios.error), _blocked(signal.SIGTTOU):
            os.tcsetpgrp(self._fd, os.getpgrp())
            # What was typed for the debugger must not be taken for hotkeys: there, q is the end of everything.
            termios.tcflush(self._fd, termios.TCIFLUSH)
            termios.tcsetattr(self._fd, termios.TCSANOW, self._modes)
        self._keys.resume()
        self._writer.release()
        if died:
            self._writer.write(_SETTLE_SCREEN)

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False


@contextlib.contextmanager
def _blocked(number: int) -> Generator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
