"""Plain functions that wait: `run_sync(awaitable)` sets the function's stack aside until its event has awaited it.

On the platform that is WebAssembly's stack switching; here greenlet does it, in the loop's own thread. So the function
belongs to its event like a coroutine: the same actor and the same turns, with no lock and no data race.
"""

from __future__ import annotations

import contextvars
import importlib
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from durable.actor.turn import actor_variable

T = TypeVar("T")

_KEY = "durable_actor_of_the_event"


class StackSwitchingError(RuntimeError):
    """`run_sync` where nothing can wait."""


class Switched:
    """Runs functions in one context, so that a response's later parts find what its beginning set."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """The function's result. Raises what it raises; what it gives to `run_sync` is awaited here."""
        # Loaded here: few programs need it.
        stack: Any = importlib.import_module("greenlet").greenlet(partial(function, *args))
        stack.gr_context = self._context
        setattr(stack, _KEY, actor_variable.get())
        asked: Any = stack.switch()
        while not stack.dead:
            try:
                value = await asked
            except BaseException as error:
                # Also a cancellation of our task, and the end of it: the function unwinds like any other code.
                asked = stack.throw(error)
            else:
                asked = stack.switch(value)
        result: T = asked
        return result


def can_run_sync() -> bool:
    """Whether `run_sync` works here."""
    return _stack() is not None


def run_sync(awaitable: Awaitable[T]) -> T:
    """The awaitable's result, waited for by a plain function. Raises StackSwitchingError where none may wait."""
    stack = _stack()
    if stack is None:
        close = getattr(awaitable, "close", None)
        if close is not None:
            close()
        raise StackSwitchingError(
            "run_sync() works in the plain functions of a WSGI app, and in plain endpoints of an ASGI app: "
            "in an async function write `await` instead"
        )
    result: T = stack.parent.switch(awaitable)
    return result


def _stack() -> Any:
    """The stack that runs, if it is one that can be set aside."""
    module = sys.modules.get("greenlet")
    if module is None:
        return None
    stack = module.getcurrent()
    nothing = object()
    actor: object = getattr(stack, _KEY, nothing)
    # Code of another actor that this one's call has begun is in a turn of its own: that must not be left in its middle.
    return stack if actor is not nothing and actor is actor_variable.get() else None
