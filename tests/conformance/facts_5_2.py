"""What input gates do not do: an event is no transaction, and its failure undoes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable import Response, WebSocketPair
from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


class Failing(Thing):
    """Every handler writes, remembers and raises."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.memory: list[str] = []

    def fail(self, where: str) -> None:
        self.ctx.storage.kv.put(where, "kept")
        self.memory.append(where)
        raise LookupError(f"{where} failed")

    async def fetch(self, request: Any) -> Response:
        self.fail("fetch")
        raise AssertionError

    async def alarm(self, info: Any) -> None:
        self.fail("alarm")

    async def web_socket_message(self, ws: Any, message: Any) -> None:
        self.fail("web_socket_message")


async def kept(stage: Stage, where: str) -> None:
    """What the handler wrote and what it remembered are both there: nothing was rolled back, nobody was reset."""
    assert await stage.run(lambda thing: thing.ctx.storage.get(where)) == "kept"
    assert await stage.run(lambda thing: thing.memory) == [where]


@FACTS.driven("5.2 an exception in a call keeps its writes and the memory of the object", actor=Failing)
async def call(stage: Stage) -> None:
    with pytest.raises(LookupError, match="call failed"):
        await stage.run(lambda thing: thing.fail("call"))
    await kept(stage, "call")


@FACTS.driven("5.2 an exception in fetch keeps its writes and the memory of the object", actor=Failing)
async def fetch(stage: Stage) -> None:
    reply = await stage.gateway.fetch("/", name="a")
    assert (reply.error.message, reply.error.flags) == ("fetch failed", ["remote"])
    await kept(stage, "fetch")


@FACTS.driven("5.2 an exception in alarm keeps its writes and the memory of the object", actor=Failing)
async def alarm(stage: Stage) -> None:
    await stage.run(lambda thing: thing.ctx.storage.set_alarm(1))
    due = await stage.run(lambda thing: thing.ctx.storage.get_alarm())
    reply = await stage.gateway.ask(lambda number: wire.AlarmDue(number, stage.gateway.key(), due, 0))
    assert reply.outcome == "failed"
    await kept(stage, "alarm")


@FACTS.driven("5.2 an exception in web_socket_message keeps its writes and the memory of the object", actor=Failing)
async def socket(stage: Stage) -> None:
    await stage.run(accept)
    (accepted,) = stage.gateway.of(wire.SocketAccepted)
    stage.gateway.send(wire.SocketMessage(1, accepted.socket, "text", None))
    await stage.gateway.until(lambda: stage.gateway.of(wire.Done))
    await kept(stage, "web_socket_message")
    assert stage.gateway.of(wire.SocketClose) == []


def accept(thing: Thing) -> None:
    _, server = WebSocketPair()
    thing.ctx.accept_web_socket(server)


@FACTS.driven("5.2 a read and a write with a call between them lose updates")
async def lost_update(stage: Stage) -> None:
    async def event(thing: Thing) -> None:
        number = await thing.ctx.storage.get("n", default=0)
        await thing.env.THINGS.get_by_name("other").play(stage.number(lambda other: None))
        await thing.ctx.storage.put("n", number + 1)

    await asyncio.gather(*(stage.run(event) for _ in range(3)))
    assert await stage.run(lambda thing: thing.ctx.storage.get("n")) == 1
