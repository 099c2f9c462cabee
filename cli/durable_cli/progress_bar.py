"""How far a long command is, on standard error: one line that moves on a terminal, a line per tenth elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

_WIDTH: Final = 24
_PAUSE_SECONDS: Final = 0.1
_QUIET_BELOW: Final = 1000
"""Objects of a run that is over before anybody wonders; without a terminal nothing is said of it."""


class ProgressBar:
    """Tell it with `show`, and end it with `end` before anything else is printed."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._moves = self._stream.isatty()
        self._clock = clock
        self._phase = ""
        self._began = 0.0
        self._first = 0
        self._next = 0.0
        self._step = 0
        self._is_open = False

    def show(self, phase: str, done: int, total: int, failed: int) -> None:
        """`done` of `total`, 0 for unknown, in this phase; what was done before it counts, but not for its speed."""
        now = self._clock()
        if phase != self._phase:
            self.end()
            self._phase, self._began, self._first, self._next, self._step = phase, now, done, 0.0, 0
        if self._moves:
            if now >= self._next or done == total:
                self._next = now + _PAUSE_SECONDS
                self._is_open = True
                self._write(f"\r\x1b[K{self._line(done, total, failed, now)}")
        elif (total or done) >= _QUIET_BELOW and (step := done * 10 // (total or 10 * _QUIET_BELOW)) > self._step:
            self._step = step
            self._write(self._line(done, total, failed, now) + "\n")

    def end(self) -> None:
        if self._is_open:
            self._is_open = False
            self._write("\n")

    def _line(self, done: int, total: int, failed: int, now: float) -> str:
        seconds = now - self._began
        rate = (done - self._first) / seconds if seconds > 0 else 0.0
        line = f"{self._phase:<8} "
        if total:
            filled = _WIDTH * done // total
            line += f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done} of {total} ({done * 100 // total} %)"
        else:
            line += f"{done} done"
        if rate:
            line += f", {rate:.0f}/s" + (f", {(total - done) / rate:.0f} s left" if total else "")
        return line + (f", {failed} failed" if failed else "")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._moves = False
