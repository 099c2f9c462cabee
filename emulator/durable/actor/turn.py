"""A turn is one step of one task of an actor: between two suspensions nothing else runs, and its writes are one commit.

Every task born in an actor's context is stepped by a `TurnDriver`. Before each step it asks the input gate; after each
step it ends the turn, which commits and releases what the turn wanted to say. The context variable makes this hold for
tasks that user code or a library creates, without their knowing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Generator
from contextvars import Context, ContextVar
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from typing import TYPE_CHECKING, Any

from durable.errors import ActorError, ActorResetError, DurableObjectAbort

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.actor.input_gate import CriticalSection

actor_variable: ContextVar[Actor | None] = ContextVar("durable_actor", default=None)
section_variable: ContextVar[CriticalSection | None] = ContextVar("durable_section", default=None)


_ENDS = (DurableObjectAbort, SystemExit, KeyboardInterrupt)


class TurnDriver(Coroutine[Any, Any, Any]):
    """Wraps a coroutine of an actor; a task steps this instead."""

    __slots__ = ("_actor", "_coroutine", "_delayed", "_section", "is_event")

    def __init__(
        self, coroutine: Any, actor: Actor, section: CriticalSection | None, *, is_event: bool = False
    ) -> None:
        self.is_event = is_event
        self._coroutine = coroutine
        self._actor = actor
        self._section = section
        self._delayed: BaseException | None = None

    def send(self, value: Any) -> Any:
        actor = self._actor
        gate = actor.gate
        if gate.top is not self._section or gate.busy:
            wait = gate.wait_admission(self._section, self, self.is_event and _is_new(self._coroutine))
            if wait is not None:
                return wait
        if self._delayed is not None:
            return self._step_with(self._delayed)
        if actor.broken is not None:
            self._end()
        actor.in_turn = True
        try:
            return self._coroutine.send(value)
        except _ENDS as error:
            raise self._ended_by(error) from error
        finally:
            actor.end_turn()

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        # The gate is asked here too: an await that failed resumes the actor just as one that succeeded.
        wait = self._actor.gate.wait_admission(self._section, self)
        if wait is not None:
            self._delayed = error
            return wait
        return self._step_with(error)

    def _step_with(self, error: BaseException) -> Any:
        self._delayed = None
        if self._actor.broken is not None:
            self._end()
        self._actor.in_turn = True
        try:
            return self._coroutine.throw(error)
        except _ENDS as end:
            raise self._ended_by(end) from end
        finally:
            self._actor.end_turn()

    def _ended_by(self, error: BaseException) -> BaseException:
        """What the task ends with instead: asyncio would let SystemExit and KeyboardInterrupt end the whole host."""
        if isinstance(error, DurableObjectAbort):
            self._actor.reset(aborted(error))
            return asyncio.CancelledError()
        return ActorError(f"{type(error).__name__} in a task of {self._actor.label}: {error}")

    def _end(self) -> None:
        """A broken actor's code never resumes: only its `finally` blocks run, and storage refuses them."""
        # Not close() alone: Python 3.11 leaves an async generator that waits behind as "already running", with its
        # `finally` unrun. What suspends once more after the cancellation is closed.
        for end in (partial(self._coroutine.throw, asyncio.CancelledError()), self._coroutine.close):
            with contextlib.suppress(BaseException):
                end()
        raise asyncio.CancelledError

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        inner: Generator[Any, Any, Any] = self._coroutine.__await__()
        return (yield from inner)

    @property
    def label(self) -> str:
        """The actor's: `ChatRoom "general"`."""
        return self._actor.label

    @property
    def wrapped(self) -> Any:
        """What whoever asks where the task is has to look at."""
        return self._coroutine

    @property
    def cr_frame(self) -> Any:
        """Lets `Task.get_stack` and debuggers see the user's coroutine."""
        return getattr(self._coroutine, "cr_frame", None)


def aborted(error: DurableObjectAbort) -> ActorResetError:
    """What the callers of an actor see that ended itself."""
    return ActorResetError(str(error) or "Application called abort() to reset Durable Object.")


def _is_new(coroutine: Any) -> bool:
    return getcoroutinestate(coroutine) == CORO_CREATED


def task_factory(
    loop: asyncio.AbstractEventLoop, coroutine: Any, *, context: Context | None = None, **options: Any
) -> asyncio.Task[Any]:
    """Give every task of an actor its driver, and the actor a pin for as long as the task lives."""
    if context is None:
        actor = actor_variable.get()
        section = section_variable.get()
    else:
        actor = context.get(actor_variable)
        section = context.get(section_variable)
    if actor is None:
        return asyncio.Task(coroutine, loop=loop, context=context, **options)
    if not asyncio.iscoroutine(coroutine):
        raise TypeError(f"a coroutine was expected, got {coroutine!r}")
    # Started eagerly it would be a turn inside a turn.
    options.pop("eager_start", None)
    task: asyncio.Task[Any] = asyncio.Task(TurnDriver(coroutine, actor, section), loop=loop, context=context, **options)
    actor.adopt(task)
    return task
