"""Limits on how long user code takes, in a process that may stand at a prompt of a debugger: that time does not count.

Only limits of the platform's go by this. What user code asked for, such as `asyncio.timeout`, passes as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class _Standstill:
    seconds = 0.0


def stood_still(seconds: float) -> None:
    """The loop's thread was at a prompt for so long."""
    _Standstill.seconds += seconds


class Limit:
    """`loop.call_later` whose seconds do not pass at a prompt."""

    __slots__ = ("_callback", "_handle", "_loop", "_stood")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[..., Any], *args: Any):
        self._loop = loop
        self._callback = callback, args
        self._stood = _Standstill.seconds
        self._handle = loop.call_later(seconds, self._due)

    def cancel(self) -> None:
        self._handle.cancel()

    def _due(self) -> None:
        stood, self._stood = _Standstill.seconds - self._stood, _Standstill.seconds
        if stood:
            self._handle = self._loop.call_later(stood, self._due)
        else:
            callback, args = self._callback
            callback(*args)
