"""`run_sync`: plain functions that wait, in the turns of their own event."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from durable.actor.turn import actor_variable
from durable.host.compat.plain_endpoints import waiting_endpoints
from durable.host.compat.stack_switching import StackSwitchingError, Switched, can_run_sync, run_sync

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


async def soon(value: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(value, BaseException):
        raise value
    return value


async def test_a_plain_function_waits_while_others_run() -> None:
    said: list[str] = []

    def function(name: str) -> str:
        for _ in range(2):
            said.append(name)
            run_sync(soon(None))
        return name

    assert list(await asyncio.gather(Switched().run(function, "a"), Switched().run(function, "b"))) == ["a", "b"]
    assert said == ["a", "b", "a", "b"]


async def test_it_is_on_the_loops_thread_and_in_the_events_task() -> None:
    def function() -> tuple[int, Any, Any, Any]:
        waited = run_sync(soon(asyncio.current_task()))
        return threading.get_ident(), asyncio.get_running_loop(), waited, asyncio.current_task()

    task = asyncio.current_task()
    assert await Switched().run(function) == (threading.get_ident(), asyncio.get_running_loop(), task, task)


async def test_what_is_awaited_may_fail() -> None:
    def function() -> str:
        try:
            run_sync(soon(ValueError("no luck")))
        except ValueError as error:
            return f"caught {error}"
        return "nothing"

    assert await Switched().run(function) == "caught no luck"
    with pytest.raises(KeyError, match="missing"):
        await Switched().run({}.__getitem__, "missing")


async def test_a_cancelled_event_unwinds_its_function() -> None:
    said: list[str] = []

    def function() -> None:
        try:
            run_sync(asyncio.Event().wait())
        finally:
            said.append("unwound")

    task = asyncio.ensure_future(Switched().run(function))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said == ["unwound"]


async def test_parts_of_one_answer_share_a_context_and_others_do_not() -> None:
    number.set(1)
    switched = Switched()

    def change() -> int:
        number.set(number.get() + 1)
        run_sync(soon(None))
        return number.get()

    assert [await switched.run(change), await switched.run(change)] == [2, 3]
    assert number.get() == 1
    assert await Switched().run(change) == 2


async def test_a_coroutine_may_not_wait_that_way() -> None:
    assert not can_run_sync()
    with pytest.raises(StackSwitchingError, match="in an async function write `await` instead"):
        run_sync(soon(1))


async def test_a_function_inside_knows_that_it_may_wait() -> None:
    assert await Switched().run(can_run_sync)


async def test_code_of_another_actor_may_not_wait_on_this_ones_stack() -> None:
    def function() -> bool:
        context = contextvars.copy_context()
        context.run(actor_variable.set, object())  # type: ignore[arg-type]
        return context.run(can_run_sync)

    assert not await Switched().run(function)


async def test_plain_endpoints_stay_on_the_loops_thread_while_an_app_is_served() -> None:
    import anyio.to_thread

    with waiting_endpoints():
        assert await anyio.to_thread.run_sync(threading.get_ident) == threading.get_ident()
        assert await anyio.to_thread.run_sync(lambda: run_sync(soon(5))) == 5
    assert await anyio.to_thread.run_sync(threading.get_ident) != threading.get_ident()
