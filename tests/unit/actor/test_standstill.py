"""What passes at a prompt of a debugger is nobody's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from durable.actor.standstill import Limit, stood_still


class Timers:
    """A loop's timers, fired by hand: `[(delay, callback)]`."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self.set.append((delay, callback))
        return asyncio.TimerHandle(delay, callback, (), asyncio.get_running_loop())

    def fire(self) -> None:
        self.set.pop()[1]()


def limited(timers: Any, told: list[str]) -> Limit:
    return Limit(timers, 30.0, told.append, "over")


async def test_a_limit_is_a_timer() -> None:
    timers, told = Timers(), list[str]()
    limited(timers, told)
    assert [delay for delay, _ in timers.set] == [30.0]
    timers.fire()
    assert told == ["over"]
    assert timers.set == []


async def test_what_was_spent_at_a_prompt_is_added() -> None:
    timers, told = Timers(), list[str]()
    stood_still(100.0)  # before it began
    limited(timers, told)
    stood_still(4.0)
    stood_still(1.0)
    timers.fire()
    assert told == []
    assert [delay for delay, _ in timers.set] == [5.0]
    stood_still(2.0)
    timers.fire()
    assert [delay for delay, _ in timers.set] == [2.0]
    timers.fire()
    assert told == ["over"]
