"""Tells of threads, and of processes that raise no audit event, that the program starts: the platform has neither.

The loop's own methods are looked at as well as `Thread.start`: an executor starts its threads at the first calls, and
every later line of the program that needs one of them would go unnoticed.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from durable.sdk import portability

_METHODS = {
    "run_in_executor": ("thread", "a function runs in a thread"),
    "subprocess_exec": ("process", "a process is started"),
    "subprocess_shell": ("process", "a process is started"),
}
"""Methods of an event loop, the kind of what they do, and what the program does then."""


def watch_starts(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Returns what makes an end of it."""
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        # asyncio's own loop waits for a process in a thread, which is no further difference.
        if portability.watch is not None and _caller().f_globals.get("__name__") != "asyncio.unix_events":
            portability.watch("thread", f"the thread {thread.name!r} is started")
        start(thread)

    threading.Thread.start = noted  # type: ignore[method-assign,assignment]
    for name, (kind, what) in _METHODS.items():
        setattr(loop, name, _watched(getattr(loop, name), kind, what))

    def unwatch() -> None:
        if threading.Thread.start is noted:
            threading.Thread.start = start  # type: ignore[method-assign]
        for name in _METHODS:
            delattr(loop, name)

    return unwatch


def _caller() -> FrameType:
    """Of the function that asks."""
    return sys._getframe(2)  # pyright: ignore[reportPrivateUsage]


def _watched(method: Callable[..., Any], kind: str, what: str) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        if portability.watch is not None:
            portability.watch(kind, what)
        return method(*args, **kwargs)

    return watched
