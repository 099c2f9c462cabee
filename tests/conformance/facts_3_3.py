"""`ctx.abort`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable import WebSocketPair
from durable.errors import ActorResetError
from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


@FACTS.driven("3.3 abort ends the event at once: nothing behind it runs, and except Exception does not catch it")
async def ends(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing) -> None:
        try:
            thing.ctx.abort("over")
        except Exception:
            said.append("except")
        said.append("behind")

    with pytest.raises(ActorResetError, match="over"):
        await stage.run(event)
    assert said == []


@FACTS.driven("3.3 everyone in flight gets the reason, with durable_object_reset and without remote")
async def everyone(stage: Stage) -> None:
    in_flight = [stage.run(lambda thing: asyncio.Event().wait()) for _ in range(2)]
    for event in (stage.run(lambda thing: thing.ctx.abort("my reason")), *in_flight):
        with pytest.raises(ActorResetError) as raised:
            await event
        assert str(raised.value) == "my reason"
        assert (raised.value.durable_object_reset, raised.value.remote) == (True, False)


@FACTS.driven("3.3 abort without a reason says what happened")
async def without_reason(stage: Stage) -> None:
    with pytest.raises(ActorResetError) as raised:
        await stage.run(lambda thing: thing.ctx.abort())
    assert str(raised.value) == "Application called abort() to reset Durable Object."


@FACTS.driven("3.3 the open transaction of the turn is discarded, and what was written before a wait is kept")
async def discards(stage: Stage) -> None:
    async def event(thing: Thing) -> None:
        await thing.ctx.storage.put("before", 1)
        await asyncio.sleep(0)
        await thing.ctx.storage.put("discarded", 1)
        thing.ctx.abort()

    with pytest.raises(ActorResetError):
        await stage.run(event)
    assert await stage.run(lambda thing: thing.ctx.storage.get(["before", "discarded"])) == {"before": 1}


@FACTS.driven("3.3 storage is shut down: code that goes on all the same writes nothing")
async def shut_down(stage: Stage) -> None:
    said: list[str] = []

    def event(thing: Thing) -> None:
        try:
            thing.ctx.abort()
        except BaseException:
            try:
                thing.ctx.storage.kv.put("after", 1)
            except ActorResetError:
                said.append("refused")

    with pytest.raises(ActorResetError):
        await stage.run(event)
    assert said == ["refused"]
    assert await stage.run(lambda thing: thing.ctx.storage.get("after")) is None


@FACTS.driven("3.3 hibernatable web sockets are dropped: their clients see 1006")
async def sockets(stage: Stage) -> None:
    def accept(thing: Thing) -> None:
        _, server = WebSocketPair()
        thing.ctx.accept_web_socket(server)

    await stage.run(accept)
    with pytest.raises(ActorResetError):
        await stage.run(lambda thing: thing.ctx.abort())
    (accepted,) = stage.gateway.of(wire.SocketAccepted)
    assert stage.gateway.of(wire.SocketClose) == [wire.SocketClose(accepted.socket, 1006, "", 0)]
    assert await stage.run(lambda thing: len(thing.ctx.get_web_sockets())) == 0


@FACTS.driven("3.3 held stubs stay broken with the reason, and get gives a fresh object")
async def stubs(stage: Stage) -> None:
    async def other(thing: Thing) -> list[Any]:
        stub = thing.env.THINGS.get_by_name("a")
        found: list[Any] = []
        for part in (lambda same: same.ctx.abort("over"), lambda same: "alive"):
            try:
                await stub.play(stage.number(part))
            except ActorResetError as error:
                found.append(str(error))
        return [*found, await thing.env.THINGS.get_by_name("a").play(stage.number(lambda same: "alive"))]

    assert await stage.run(other, name="other") == ["over", "over", "alive"]


@FACTS.driven("3.3 what an aborted turn said to its callers and sockets is replaced by the reason")
async def nothing_said(stage: Stage) -> None:
    def event(thing: Thing) -> None:
        _, server = WebSocketPair()
        thing.ctx.accept_web_socket(server)
        server.send("never")
        thing.ctx.abort("over")

    with pytest.raises(ActorResetError, match="over"):
        await stage.run(event)
    assert stage.gateway.of(wire.SocketAccepted, wire.SocketSend) == []
