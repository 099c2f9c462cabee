"""Resets and code updates: memory is lost, sockets are dropped, in-flight events fail, what was committed stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable.errors import ActorResetError
from durable.wire import messages as wire
from tests.conformance.resting import accept_hibernatable, live, socket_of
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


class Remembers(Thing):
    """Has memory to lose."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.memory = "fresh"


async def begin(stage: Stage) -> Any:
    """Memory, a committed value, an open socket and an event in flight."""

    async def prepare(thing: Any) -> None:
        thing.memory = "kept"
        await thing.ctx.storage.put("committed", 1)
        accept_hibernatable(thing)

    await stage.run(prepare)
    return stage.run(lambda thing: asyncio.Event().wait())


async def check_reset(stage: Stage, in_flight: Any, reason: str) -> None:
    with pytest.raises(Exception, match=reason) as raised:
        await in_flight
    assert getattr(raised.value, "durable_object_reset", False) is True
    closed = [message for message in stage.gateway.of(wire.SocketClose) if message.socket == socket_of(stage)]
    assert closed == [wire.SocketClose(socket_of(stage), 1006, "", 0)]

    async def after(thing: Any) -> tuple[str, int, int]:
        return thing.memory, await thing.ctx.storage.get("committed"), len(thing.ctx.get_web_sockets())

    assert await stage.run(after) == ("fresh", 1, 0)


async def resets(stage: Stage, cause: Callable[[Thing], Any], reason: str) -> None:
    in_flight = await begin(stage)
    with pytest.raises(Exception, match=reason):
        await stage.run(cause)
    await check_reset(stage, in_flight, reason)


@FACTS.driven("8.4 abort resets the object", actor=Remembers)
async def abort(stage: Stage) -> None:
    await resets(stage, lambda thing: thing.ctx.abort("by hand"), "by hand")


@FACTS.driven("8.4 a failed block_concurrency_while resets the object", actor=Remembers)
async def section(stage: Stage) -> None:
    async def fail() -> None:
        raise ValueError("in the section")

    async def cause(thing: Thing) -> None:
        await thing.ctx.block_concurrency_while(fail)

    await resets(stage, cause, "in the section")


@FACTS.driven("8.4 a commit that fails resets the object", actor=Remembers)
async def commit(stage: Stage) -> None:
    def cause(thing: Thing) -> None:
        sql = thing.ctx.storage.sql
        sql.exec("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        sql.exec("CREATE TABLE child (id REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
        sql.exec("INSERT INTO child VALUES (1)")

    await resets(stage, cause, "FOREIGN KEY|constraint")


@FACTS.driven("8.4 an update of the code ends the object without its running again", actor=Remembers)
async def update(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            try:
                thing.ctx.storage.kv.put("after", 1)
            except ActorResetError as error:
                said.append(str(error))

    stage.send(event)
    await stage.gateway.step_until(lambda: live(stage))
    stage.gateway.send(wire.Drain(0.0))
    await stage.gateway.until(lambda: stage.gateway.of(wire.Closed))
    await stage.gateway.step_until(lambda: said)
    assert said == ["Durable Object reset because its code was updated."]


@FACTS.driven("8.4 hibernatable sockets stay at an update of the code: the new code takes them over", actor=Remembers)
async def update_sockets(stage: Stage) -> None:
    await stage.run(accept_hibernatable)
    stage.gateway.send(wire.Drain(0.0))
    await stage.gateway.until(lambda: stage.gateway.of(wire.Closed))
    assert stage.gateway.of(wire.SocketClose) == []


@FACTS.driven("8.4 a stub that met the reset stays broken, and a fresh one reaches the next instance", actor=Remembers)
async def stubs(stage: Stage) -> None:
    async def other(thing: Thing) -> list[Any]:
        stub = thing.env.THINGS.get_by_name("a")
        found: list[Any] = []
        for part in (lambda same: same.ctx.abort("over"), lambda same: "alive"):
            try:
                found.append(await stub.play(stage.number(part)))
            except ActorResetError as error:
                found.append(str(error))
        found.append(await thing.env.THINGS.get_by_name("a").play(stage.number(lambda same: "alive")))
        return found

    assert await stage.run(other, name="other") == ["over", "over", "alive"]
