"""Sockets to servers outside: what they keep in memory, what ends them, what holds them back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable import fetch
from durable.errors import ActorResetError
from durable.limits import PIN_SECONDS_MAX, SOCKET_EVENTS_WAITING_MAX
from durable.sdk.websocket import CLOSED, OPEN
from tests.conformance.held_disk import HeldDisk, fresh
from tests.conformance.outside import Caller, hear, journal, outside
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import Wired

FACTS = Facts()


# --- memory --------------------------------------------------------------------------------------------------------
@FACTS.driven("7.6 an outgoing socket keeps its object in memory for at most 15 minutes, then goes with it")
async def pins(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        (actor,) = room.host.registry.actors
        await room.until(lambda: not actor.has_work)
        for seconds in (11, PIN_SECONDS_MAX - 12):
            room.clock.advance(seconds)
            room.host.registry.sweep()
            assert room.in_memory
        assert [str(pin).partition(",")[0] for pin in actor.pins()] == [f"outgoing socket to {server.url}"]
        room.clock.advance(1.1)
        room.host.registry.sweep()
        assert not room.in_memory
        await room.until(lambda: server.closed == [(1006, "")])


@FACTS.driven("7.6 an outgoing socket ends with the reset of its object, and its listeners hear nothing more")
async def reset(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await room.run(lambda thing: thing.fetch_socket(server.url))
        await room.until_run(journal, lambda found: len(found) == 1)
        with pytest.raises(ActorResetError, match="enough"):
            await room.run(lambda thing: thing.ctx.abort("enough"))
        await room.until(lambda: server.closed == [(1006, "")] * 2)
        assert room.host.outgoing == set()
        assert await room.run(journal) == []


@FACTS.driven("7.6 an outgoing socket ends with its host, when the program is reloaded")
async def reload(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        await room.stop_host()
        await room.until(lambda: server.closed == [(1006, "")])
        await room.start_host()
        assert await room.run(journal) == []


@FACTS.driven("7.6 a socket that fetch brought and nobody accepts does not stay open")
async def unaccepted(stage: Stage) -> None:
    async def forget(thing: Thing, url: str) -> None:
        await fetch(url.replace("ws", "http", 1), headers={"Upgrade": "websocket"})

    async with outside(stage, Caller) as (room, server):
        await room.run(forget, server.url)
        (socket,) = room.host.outgoing
        socket._give_up()
        await room.until(lambda: server.closed == [(1006, "")])
        await room.hibernate()


# --- gates ---------------------------------------------------------------------------------------------------------
@FACTS.driven("7.6 the output gate holds the opening, and each send and close, until earlier writes are durable")
async def gated(stage: Stage) -> None:
    def write_and_open(thing: Any, url: str) -> None:
        thing.ctx.storage.kv.put("opened", fresh())
        thing.open(url)

    def write_and_send(thing: Any) -> None:
        thing.ctx.storage.kv.put("sent", fresh())
        thing.ws.send("one")

    disk = HeldDisk()
    async with outside(stage, Caller, disk=disk) as (room, server):
        await room.run(lambda thing: thing.ctx.storage.kv.put("there", True))
        with disk.held():
            opening = asyncio.ensure_future(room.run(write_and_open, server.url))
            await settle(room)
            assert server.connections == []
        await opening
        await hear(room, ["open", OPEN, ""])
        server.echoes = False
        with disk.held():
            sending = [asyncio.ensure_future(room.run(write_and_send))]
            sending.append(asyncio.ensure_future(room.run(lambda thing: thing.ws.send("two"))))
            sending.append(asyncio.ensure_future(room.run(lambda thing: thing.ws.close(4000))))
            await settle(room)
            assert server.heard == []
        await asyncio.gather(*sending)
        await room.until(lambda: server.closed == [(4000, "")])
        assert server.heard == ["one", "two"]


async def settle(room: Wired) -> None:
    """Nothing moves any more, except what waits for the disk: a round trip over loopback takes a few steps."""
    for _ in range(200):
        await asyncio.sleep(0)


class Blocking(Caller):
    async def block(self) -> None:
        self.let = asyncio.Event()
        await self.ctx.block_concurrency_while(self.let.wait)


@FACTS.driven("7.6 what the server says waits for the input gate, and for its object's bound when it says too much")
async def input_gate(stage: Stage) -> None:
    async with outside(stage, Blocking) as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        (actor,) = room.host.registry.actors
        blocking = asyncio.ensure_future(room.run(lambda thing: thing.block()))
        await room.until(lambda: hasattr(actor.instance, "let"))
        count = SOCKET_EVENTS_WAITING_MAX + 200
        for n in range(count):
            await server.connections[0].send(str(n))
        await room.until(lambda: actor.gate.waiting >= SOCKET_EVENTS_WAITING_MAX)
        await settle(room)
        assert actor.gate.waiting == SOCKET_EVENTS_WAITING_MAX
        assert actor.instance.journal == [["open", OPEN, ""]]
        actor.instance.let.set()
        await blocking
        await room.until_run(lambda thing: len(thing.journal), lambda found: found == count + 1)
        assert (await room.run(journal))[1:] == [str(n) for n in range(count)]


@FACTS.driven("7.6 a server that does not read is let go when the bound of what waits for it is reached: 1013")
async def no_reader(stage: Stage) -> None:
    def flood(thing: Any) -> None:
        for _ in range(9):
            thing.ws.send(bytes(8 * 1024 * 1024))

    async with outside(stage, Caller) as (room, server):
        server.echoes = False
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        server.connections[0].transport.pause_reading()
        await room.run(flood)
        await hear(
            room, ["open", OPEN, ""], ["close", 1013, "the other side reads too slowly", False, CLOSED],
        )  # fmt: skip
        assert room.host.outgoing == set()
