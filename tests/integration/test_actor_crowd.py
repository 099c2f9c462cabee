"""Crowds at one actor's gate: the work grows with their size, not with its square, and their order is kept."""

from __future__ import annotations

from typing import Any

import pytest

from durable.actor.input_gate import InputGate
from durable.actor.turn import TurnDriver

CROWD = 10_000

PROGRAM = """
import asyncio
from durable import DurableObject

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.order = []
        self.go = asyncio.Event()

    async def section(self, number):
        async def work():
            self.order.append(number)
        await self.ctx.block_concurrency_while(work)

    async def at_once(self, count):
        await asyncio.gather(*(self.section(number) for number in range(count)))
        return self.order == list(range(count))

    async def resumed(self, count):
        async def waiting(number):
            await self.go.wait()
            await self.section(number)
        tasks = [asyncio.create_task(waiting(number)) for number in range(count)]
        await asyncio.sleep(0)
        self.go.set()
        await asyncio.gather(*tasks)
        return self.order == list(range(count))

    async def seen(self):
        return self.order
"""


class Steps:
    """How often tasks were stepped, and how often the gate was asked or looked through its queue."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for cls, name in ((TurnDriver, "send"), (InputGate, "wait_admission"), (InputGate, "_admit")):
            patch.setattr(cls, name, self._counted(getattr(cls, name)))

    def _counted(self, method: Any) -> Any:
        def counted(*args: Any) -> Any:
            self.count += 1
            return method(*args)

        return counted


def admit_everyone(gate: Any) -> None:
    """The gate as it must not be: whoever waits is woken whenever it opens."""
    room = gate.top or gate._outside
    for _ in range(gate.waiting):
        if gate.committing or (start := room.take()) is None:
            break
        gate.waiting -= 1
        start()
    gate._look()


async def test_a_gate_that_wakes_the_whole_crowd_every_time_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InputGate, "_admit", admit_everyone)
    await gateway.start(PROGRAM)
    steps = Steps(monkeypatch)
    assert await gateway.call("resumed", 200) is True
    assert steps.count > 20 * 200


@pytest.mark.parametrize("method", ["at_once", "resumed"])
async def test_ten_thousand_sections_of_one_event_take_a_few_steps_each(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    await gateway.start(PROGRAM)
    steps = Steps(monkeypatch)
    assert await gateway.call(method, CROWD) is True
    assert steps.count < 20 * CROWD


async def test_ten_thousand_events_with_a_section_each_take_a_few_steps_each(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.start(PROGRAM)
    steps = Steps(monkeypatch)
    calls = [gateway.send_call("section", number) for number in range(CROWD)]
    for call in calls:
        await call
    assert steps.count < 20 * CROWD
    assert await gateway.call("seen") == list(range(CROWD))
