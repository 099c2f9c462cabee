"""What a stub's method returns."""

import asyncio

import pytest

from durable.host.pending_call import PendingCall


def pending() -> tuple[PendingCall, "asyncio.Future[int]", list[str]]:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    cancelled: list[str] = []

    class Work:
        def cancel(self) -> None:
            cancelled.append("cancelled")

    return PendingCall(future, Work()), future, cancelled


async def test_it_is_awaited_like_any_coroutine() -> None:
    call, future, _ = pending()
    future.set_result(7)
    assert await call == 7


async def test_it_can_be_given_to_create_task_and_gather() -> None:
    first, first_future, _ = pending()
    second, second_future, _ = pending()
    task = asyncio.create_task(first)
    both = asyncio.gather(task, second)
    await asyncio.sleep(0)
    first_future.set_result(1)
    second_future.set_result(2)
    assert list(await both) == [1, 2]


async def test_cancelling_the_caller_cancels_the_call() -> None:
    call, _, cancelled = pending()
    task = asyncio.create_task(call)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == ["cancelled"]


async def test_a_call_that_nobody_awaits_warns_nobody() -> None:
    call, future, cancelled = pending()
    future.set_result(1)
    del call
    assert cancelled == []
