"""Objects that wait for each other in a circle: the time limit ends it, the developer reads who waits for whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable.errors import ActorResetError
from durable.wire import messages as wire

PROGRAM = """\
import asyncio

from durable import DurableObject


class Thing(DurableObject):
    async def begin(self):
        async def section():
            return await self.env.THINGS.get_by_name("b").poke()
        return await self.ctx.block_concurrency_while(section)

    async def poke(self):
        return await self.env.THINGS.get_by_name("c").pass_on()

    async def pass_on(self):
        return await self.env.THINGS.get_by_name("a").back()

    def back(self):
        return "back"

    async def stand(self):
        await self.ctx.block_concurrency_while(asyncio.Event().wait)
"""


def warnings(gateway: Any) -> list[tuple[str, str]]:
    return [(log.label, log.text) for log in gateway.of(wire.Log)]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("critical_section", "deadlock"):
        monkeypatch.setattr(f"durable.actor.{module}.CRITICAL_SECTION_SECONDS", 0.05)


async def test_a_circle_of_calls_around_a_critical_section_is_named_and_leaves_nobody_waiting(gateway: Any) -> None:
    await gateway.start(PROGRAM)

    with pytest.raises(ActorResetError, match="waited for too long"):
        await gateway.call("begin")

    assert warnings(gateway) == [
        (
            'Thing "a"',
            "its critical section did not end within 0.05 s, at main.py:9: "
            'Thing "a" waits for poke of Thing "b", which waits for pass_on of Thing "c", '
            'which waits for back of Thing "a"',
        )
    ]
    registry = gateway.host.registry
    await gateway.step_until(lambda: not any(actor.has_work for actor in registry.actors))
    assert await gateway.call("back") == "back"
    assert await gateway.call("back", name="b") == "back"


async def test_a_section_that_waits_for_nobody_is_named_without_a_circle(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    waiting = gateway.send_call("stand")
    behind = gateway.send_call("back")

    with pytest.raises(ActorResetError, match="waited for too long"):
        await gateway.call_sent(waiting)
    with pytest.raises(ActorResetError, match="waited for too long"):
        await gateway.call_sent(behind)

    assert warnings(gateway) == [('Thing "a"', "its critical section did not end within 0.05 s")]
    assert await gateway.call("back") == "back"


async def test_a_circle_without_a_section_is_none(gateway: Any) -> None:
    await gateway.start(PROGRAM)

    assert await asyncio.gather(*(gateway.call("poke", name="b") for _ in range(3))) == ["back"] * 3
    assert warnings(gateway) == []
