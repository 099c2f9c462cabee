"""Running a critical section: `block_concurrency_while` and `transaction`. Who waits is for the gate to decide.

admitted ──► gate shut ──► callback runs ──► gate open, its value or error goes to the caller
                               │ raised, and `breaks`; or 30 s are over
                               ▼
                           actor reset: its callers get the error, the code after the await never runs
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from durable.actor.deadlock import endless_section
from durable.actor.handlers import maybe_await
from durable.actor.pins import SECTION
from durable.actor.standstill import Limit
from durable.actor.turn import TurnDriver, section_variable
from durable.errors import ActorError, ActorResetError
from durable.limits import CRITICAL_SECTION_DEPTH_MAX, CRITICAL_SECTION_SECONDS

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.actor.input_gate import CriticalSection


_NEVER_COMPLETES = (
    "A critical section within this Durable Object awaited a Promise that apparently will never complete. "
    "This could happen in particular if a critical section awaits a task that was initiated outside of the critical "
    "section. Since a critical section blocks all other tasks from completing, this leads to deadlock."
)
"""The section's task was cancelled: the platform's words for one that was dropped before it had a value."""


def run_critical(actor: Actor, callback: Callable[[], Any], *, breaks: bool) -> Awaitable[Any]:
    """Run `callback` while the gate is shut for everyone else. `breaks`: what it raises resets the actor."""
    actor.check_usable()
    parent = section_variable.get()
    if parent is not None and parent.depth >= CRITICAL_SECTION_DEPTH_MAX:
        raise ActorError("blockConcurrencyWhile() calls are nested too deeply.")
    outcome: asyncio.Future[Any] = actor.engine.loop.create_future()
    actor.gate.when_alone(parent, partial(_enter, actor, parent, callback, outcome, breaks))
    return outcome


def _enter(
    actor: Actor,
    parent: CriticalSection | None,
    callback: Callable[[], Any],
    outcome: asyncio.Future[Any],
    breaks: bool,
) -> None:
    if actor.broken is not None:
        outcome.cancel()
        return
    loop = actor.engine.loop
    section = actor.gate.enter(parent)
    task: asyncio.Task[Any] = asyncio.Task(
        TurnDriver(_call(callback), actor, section), loop=loop, context=actor.new_context(section), name=SECTION
    )
    actor.adopt(task)
    timer = Limit(loop, CRITICAL_SECTION_SECONDS, _too_long, actor)
    task.add_done_callback(partial(_leave, actor, section, outcome, breaks, timer))


def _leave(
    actor: Actor,
    section: CriticalSection,
    outcome: asyncio.Future[Any],
    breaks: bool,
    timer: Limit,
    task: asyncio.Task[Any],
) -> None:
    timer.cancel()
    error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
    if breaks and isinstance(error, asyncio.CancelledError):
        error = ActorResetError(_NEVER_COMPLETES)
    if actor.broken is None and error is not None and breaks:
        with contextlib.suppress(AttributeError):
            error.durable_object_reset = True  # type: ignore[attr-defined]
        actor.reset(error)
    if actor.broken is not None:
        outcome.cancel()
        return
    if not outcome.done():
        if error is None:
            outcome.set_result(task.result())
        else:
            outcome.set_exception(error)
    actor.gate.leave(section)


def _too_long(actor: Actor) -> None:
    error = ActorResetError(
        "A call to blockConcurrencyWhile() in a Durable Object waited for too long. "
        "The call was canceled and the Durable Object was reset."
    )
    error.overloaded = True
    actor.engine.log("warning", endless_section(actor), actor.label)
    actor.reset(error)


async def _call(callback: Callable[[], Any]) -> Any:
    return await maybe_await(callback())
