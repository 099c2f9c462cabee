"""Timers of an actor's code: a callback of `call_later` or `call_at` is a turn of the actor, and pins it until then.

asyncio knows no such thing: its timers run wherever the loop is, between the steps of a critical section too. The
timers that asyncio itself sets (`sleep`, `timeout`, `wait`) stay as they are: they only wake a task, which asks the
gate before its next step and is a pin of its own.

Platform: a pending timer keeps an object in memory, and its callback waits for the input gate as an event does, inside
the critical section that it was set in (workerd `io/io-context.h`, `TimeoutManager`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from durable.actor.turn import TurnDriver, actor_variable, section_variable

if TYPE_CHECKING:
    from durable.actor.actor import Actor

_WAKES_TASKS = frozenset(["asyncio.futures", "asyncio.tasks", "asyncio.timeouts"])
"""Modules of asyncio whose timers only complete a future or cancel a task."""


class ActorTimer:
    """What `call_later` gives an actor's code, with the methods of `asyncio.TimerHandle`."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_handle", "_when", "actor", "place", "started")

    def __init__(
        self, actor: Actor, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> None:
        self.actor = actor
        self.started = actor.engine.clock.monotonic()
        self.place = _place_of_call()
        self._when = when
        self._callback = callback
        self._args = args
        self._context = context
        self._handle: asyncio.TimerHandle | None = None
        """None before the start, when it is due, and when it was cancelled."""
        self._cancelled = False

    def start(self, call_at: Callable[..., asyncio.TimerHandle]) -> None:
        self.actor.timers.add(self)
        # In no actor's context: what happens when it is due is the engine's business until the task begins.
        self._handle = call_at(self._when, self._due, context=Context())

    def cancel(self) -> None:
        self._cancelled = self._cancelled or self._handle is not None
        handle = self._take_handle()
        if handle is not None:
            handle.cancel()

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        """In the loop's time, as `call_at` takes it."""
        return self._when

    def _take_handle(self) -> asyncio.TimerHandle | None:
        # The handle refers to us: kept, it would hold the user's object until a collection.
        handle, self._handle = self._handle, None
        self.actor.timers.discard(self)
        return handle

    def _due(self) -> None:
        actor = self.actor
        self._take_handle()
        if actor.broken is not None:
            return
        driver = TurnDriver(self._call(), actor, self._context.get(section_variable))
        actor.adopt(asyncio.Task(driver, loop=actor.engine.loop, context=self._context, name="timer"))

    async def _call(self) -> None:
        try:
            self._callback(*self._args)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            self.actor.engine.log_failure(error, self.actor.label, "call_later")


def watch_timers(loop: asyncio.AbstractEventLoop) -> None:
    """From now on timers that are set in an actor's context are the actor's."""
    # On the instance: uvloop's loop and asyncio's have nothing else in common that could be derived from.
    members = vars(loop)
    if "call_at" in members:
        return
    call_at, call_later = loop.call_at, loop.call_later

    def actor_call_at(
        when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle | ActorTimer:
        actor = actor_variable.get() if context is None else context.get(actor_variable)
        if actor is None or _wakes_only(callback):
            return call_at(when, callback, *args, context=context)
        timer = ActorTimer(actor, when, callback, args, copy_context() if context is None else context)
        timer.start(call_at)
        return timer

    def actor_call_later(
        delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle | ActorTimer:
        actor = actor_variable.get() if context is None else context.get(actor_variable)
        if actor is None or _wakes_only(callback):
            return call_later(delay, callback, *args, context=context)
        return actor_call_at(loop.time() + delay, callback, *args, context=context)

    members["call_at"], members["call_later"] = actor_call_at, actor_call_later


def _wakes_only(callback: Callable[..., object]) -> bool:
    """Whether the timer is asyncio's own or the engine's, neither of which runs an actor's code."""
    module = getattr(callback, "__module__", None) or ""
    return module in _WAKES_TASKS or module.startswith("durable.")


def _place_of_call() -> str:
    """`/home/me/app/main.py:12`: the line that set the timer, with whatever package it is in."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
