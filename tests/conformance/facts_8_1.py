"""States of an object: active, idle, hibernated, inactive; and what eviction does not do."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from durable.wire import messages as wire
from tests.conformance.resting import accept_hibernatable, live, pass_seconds, rests, socket_of, until_idle
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


class Remembers(Thing):
    """Says what happened to it, across its activations."""

    heard: list[Any]

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.memory = "fresh"

    def web_socket_message(self, ws: Any, message: Any) -> None:
        ws.send(f"{self.memory} {message} {self.ctx.get_tags(ws)} {ws.deserialize_attachment()}")

    def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> None:
        self.ctx.storage.kv.put("closed", code)


def keep(thing: Any) -> None:
    thing.memory = "kept"


@FACTS.driven("8.1 after 10 s without an event the object is evicted, and not before", actor=Remembers, **rests())
async def evicted(stage: Stage) -> None:
    await stage.run(keep)
    await pass_seconds(stage, 9)
    assert await stage.run(lambda thing: thing.memory) == "kept"
    await pass_seconds(stage, 9)
    assert live(stage) is not None
    await pass_seconds(stage, 1.5)
    assert live(stage) is None
    assert await stage.run(lambda thing: thing.memory) == "fresh"


@FACTS.driven("8.1 the 10 s begin when the last thing that kept the object in memory is over", **rests())
async def last_thing(stage: Stage) -> None:
    gone = asyncio.Event()

    def background(thing: Thing) -> None:
        thing.ctx.wait_until(gone.wait())

    await stage.run(background)
    await pass_seconds(stage, 14)
    assert live(stage) is not None
    gone.set()
    await until_idle(stage)
    await pass_seconds(stage, 9)
    assert live(stage) is not None
    await pass_seconds(stage, 1.5)
    assert live(stage) is None


@FACTS.driven("8.1 a hibernated object has no memory, and its sockets are open with tags and attachments",
              actor=Remembers, **rests())  # fmt: skip
async def hibernated(stage: Stage) -> None:
    def begin(thing: Any) -> None:
        keep(thing)
        accept_hibernatable(thing)

    await stage.run(begin)
    await pass_seconds(stage, 11)
    assert live(stage) is None
    assert stage.gateway.of(wire.SocketClose) == []
    stage.gateway.send(wire.SocketMessage(1, socket_of(stage), "hello", None))
    await stage.gateway.until(lambda: stage.gateway.of(wire.Done))
    (sent,) = stage.gateway.of(wire.SocketSend)
    assert (sent.sockets, sent.text) == ([socket_of(stage)], "fresh hello ['room'] {'seat': 3}")


@FACTS.driven("8.1 eviction frees the instance: nothing of ours refers to it any more", actor=Remembers, **rests())
async def frees(stage: Stage) -> None:
    references: list[weakref.ref[Any]] = []

    async def use(thing: Any) -> None:
        references.append(weakref.ref(thing))
        accept_hibernatable(thing)
        await thing.ctx.storage.put("n", 1)
        await asyncio.sleep(0)
        await thing.ctx.block_concurrency_while(lambda: thing.ctx.storage.get("n"))
        asyncio.get_running_loop().call_later(0, keep, thing)

    await stage.run(use)
    await until_idle(stage)
    assert references[0]() is not None
    await pass_seconds(stage, 11)
    # By reference count: a hibernated object must not wait for the collector.
    assert references[0]() is None


@FACTS.driven("8.1 nothing of the object's code runs at its eviction, and no web_socket_close", actor=Remembers,
              **rests())  # fmt: skip
async def runs_nothing(stage: Stage) -> None:
    await stage.run(accept_hibernatable)
    await pass_seconds(stage, 11)
    assert live(stage) is None
    assert await stage.run(lambda thing: thing.ctx.storage.get("closed")) is None
    assert len(stage.gateway.of(wire.SocketAccepted)) == 1
    assert stage.gateway.of(wire.SocketClose, wire.Log) == []


@FACTS.driven("8.1 what was not awaited anywhere and is stored survives the eviction", **rests())
async def survives(stage: Stage) -> None:
    await stage.run(lambda thing: thing.ctx.storage.kv.put("n", 7))
    await pass_seconds(stage, 11)
    assert live(stage) is None
    assert await stage.run(lambda thing: thing.ctx.storage.get("n")) == 7
