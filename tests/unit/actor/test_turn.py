"""Tasks born in an actor's context are stepped by its driver, whatever the event loop passes along."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, cast

import pytest

from durable.actor.input_gate import InputGate
from durable.actor.turn import TurnDriver, actor_variable, task_factory
from durable.errors import ActorError, DurableObjectAbort


class FakeActor:
    """What a driver needs of an actor; says when a turn is inside another."""

    label = 'Thing "a"'

    def __init__(self) -> None:
        self.gate = InputGate(asyncio.get_running_loop())
        self.broken: BaseException | None = None
        self.in_turn = False
        self.turns = 0
        self.reset_by: BaseException | None = None

    def end_turn(self) -> None:
        assert self.in_turn
        self.in_turn = False
        self.turns += 1

    def adopt(self, task: asyncio.Task[Any]) -> None:
        return

    def reset(self, error: BaseException) -> None:
        self.reset_by = error


def in_actor(actor: FakeActor, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    context = contextvars.copy_context()
    context.run(actor_variable.set, cast("Any", actor))
    return task_factory(asyncio.get_running_loop(), coroutine, context=context, **options)


async def nothing() -> str:
    return "done"


async def test_a_name_is_kept_and_an_eager_start_is_not() -> None:
    actor = FakeActor()
    task = in_actor(actor, nothing(), name="mine", eager_start=True)
    assert (task.get_name(), actor.turns) == ("mine", 0)
    assert await task == "done"
    assert actor.turns == 1


async def test_tasks_outside_of_actors_are_left_alone() -> None:
    task = task_factory(asyncio.get_running_loop(), nothing())
    assert not isinstance(task.get_coro(), TurnDriver)
    assert await task == "done"


async def test_what_is_no_coroutine_is_refused() -> None:
    with pytest.raises(TypeError, match="a coroutine was expected, got 42"):
        await in_actor(FakeActor(), 42)


@pytest.mark.parametrize("error", [SystemExit("left"), KeyboardInterrupt("left")])
async def test_leaving_the_program_ends_only_the_task(error: BaseException) -> None:
    async def leave() -> None:
        raise error

    with pytest.raises(ActorError, match=f'{type(error).__name__} in a task of Thing "a": left'):
        await in_actor(FakeActor(), leave())


async def test_an_abort_resets_the_actor_and_cancels_the_task() -> None:
    async def abort() -> None:
        raise DurableObjectAbort("enough")

    actor = FakeActor()
    with pytest.raises(asyncio.CancelledError):
        await in_actor(actor, abort())
    assert str(actor.reset_by) == "enough"


async def test_a_cancellation_waits_for_the_gate_like_any_other_step() -> None:
    actor = FakeActor()
    seen: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    task = in_actor(actor, wait())
    await asyncio.sleep(0)
    section = actor.gate.enter(None)
    task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert seen == []
    actor.gate.leave(section)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["ended"]
