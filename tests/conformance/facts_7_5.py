"""Hibernation: when an object with sockets leaves memory, what survives it, and what wakes it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import pytest

from durable import Response, WebSocketPair
from tests.conformance.facts_3_1_settings import answers, now, timestamp
from tests.conformance.facts_7_3 import VANISHED, masked
from tests.conformance.facts_7_4 import attach, attachment
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import IDLE_SECONDS, Room, Wired, wired

FACTS = Facts()


class CountingRoom(Room):
    """Tells every client how often this instance has heard of anything."""

    constructed = 0

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.count = 0
        CountingRoom.constructed += 1

    def web_socket_message(self, ws: Any, message: Any) -> None:
        self.count += 1
        self.journal.append(message)
        ws.send(f"{message} {self.count}")

    async def alarm(self, info: Any) -> None:
        self.journal.append("alarm")


async def say(client: Any, text: str) -> Any:
    await client.send(text)
    return await client.recv()


def idle(room: Wired, seconds: float) -> None:
    room.clock.advance(seconds)
    room.host.registry.sweep()


# --- leaving memory ------------------------------------------------------------------------------------------------
@FACTS.driven("7.5 ten idle seconds after its last event an object leaves memory, and not before")
async def ten_seconds(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        client = await room.dial()
        assert [await say(client, "a"), await say(client, "b")] == ["a 1", "b 2"]
        await room.until(lambda: not room.host.registry.actors[0].has_work)
        idle(room, IDLE_SECONDS - 0.1)
        assert room.in_memory
        idle(room, 0.2)
        assert not room.in_memory


@FACTS.driven("7.5 each event begins the ten seconds anew")
async def anew(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        client = await room.dial()
        for n in range(1, 4):
            idle(room, IDLE_SECONDS - 0.1)
            assert await say(client, "a") == f"a {n}"
            await room.until(lambda: not room.host.registry.actors[0].has_work)


@FACTS.driven("7.5 what woke is a new instance: memory is lost; connection, tags and attachment are not")
async def new_instance(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        client = await room.dial("a/one/two")
        await room.run(attach({"user": "ann"}))
        await room.run(answers())
        assert [await say(client, "a"), await say(client, "b"), await say(client, "ping")] == ["a 1", "b 2", "pong"]
        at, before = now(room), CountingRoom.constructed
        await room.hibernate()
        assert await say(client, "c") == "c 1"
        assert CountingRoom.constructed == before + 1
        assert await room.run(lambda thing: thing.ctx.get_tags(thing.ctx.get_web_sockets("two")[0])) == ["one", "two"]
        assert (await room.run(attachment), await room.run(timestamp)) == ({"user": "ann"}, at)
        assert await say(client, "ping") == "pong"


@FACTS.driven("7.5 an object without sockets leaves memory in the same way")
async def without_sockets(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        await room.run(lambda thing: thing.journal.append("kept"))
        before = CountingRoom.constructed
        await room.hibernate()
        assert await room.run(lambda thing: thing.journal) == []
        assert CountingRoom.constructed == before + 1


@FACTS.driven("7.5 the order of the sockets survives, the newest first")
async def order(stage: Stage) -> None:
    def tags(thing: Thing) -> list[str]:
        return [tag for ws in thing.ctx.get_web_sockets() for tag in thing.ctx.get_tags(ws)]

    async with wired(stage) as room:
        for tag in ("one", "two", "three"):
            _ = await room.dial(f"a/{tag}")
        await room.hibernate()
        assert await room.run(tags) == ["three", "two", "one"]
        await room.stop_host()
        await room.start_host()
        assert await room.run(tags) == ["three", "two", "one"]


@FACTS.driven("7.5 a WebSocket is the same object while its actor is awake, and a new one after it slept")
async def identity(stage: Stage) -> None:
    seen: list[Any] = []

    def look(thing: Thing) -> None:
        seen.append(thing.ctx.get_web_sockets()[0])

    async with wired(stage) as room:
        _ = await room.dial()
        await room.run(look)
        await room.run(look)
        await room.hibernate()
        await room.run(look)
        assert seen[0] is seen[1] is not seen[2]
        assert [(ws.url, ws.protocol, ws.ready_state) for ws in seen[1:]] == [(None, "", 1)] * 2


@FACTS.driven("7.5 a socket that its actor closed before it slept is closed when it wakes")
async def closed_before(stage: Stage) -> None:
    def close(thing: Thing) -> int:
        (ws,) = thing.ctx.get_web_sockets()
        ws.close(4002, "out")
        return ws.ready_state

    def state(thing: Thing) -> Any:
        (ws,) = thing.ctx.get_web_sockets()
        with pytest.raises(TypeError, match=r"Can't call WebSocket send\(\) after close\(\)"):
            ws.send("too late")
        return ws.ready_state

    async with wired(stage) as room:
        reader, _ = await room.dial_plainly()
        assert await room.run(close) == 2
        await room.hibernate()
        assert await room.run(state) == 2
        assert await reader.readexactly(7) == b"\x88\x05" + struct.pack("!H", 4002) + b"out"


# --- what keeps an object in memory --------------------------------------------------------------------------------
async def hang(thing: Any) -> None:
    thing.journal.append("begun")
    await asyncio.Event().wait()


class PinnedRoom(Room):
    async def web_socket_message(self, ws: Any, message: Any) -> None:
        await hang(self)

    def fetch(self, request: Any) -> Response:
        if not request.url.endswith("/memory"):
            return super().fetch(request)
        client, server = WebSocketPair()
        server.accept()
        self.journal.append("begun")
        return Response(None, status=101, web_socket=client)


def pin(name: str, begin: Callable[[Wired], Any]) -> None:
    """A fact: what `begin` starts keeps the object in memory for as long as it lasts."""

    @FACTS.driven(f"7.5 {name} keeps the object in memory")
    async def pins(stage: Stage) -> None:
        async with wired(stage, PinnedRoom) as room:
            _ = await room.dial()
            begun = await begin(room)
            await room.until_run(lambda thing: thing.journal, lambda found: found == ["begun"])
            await room.until(lambda: len(room.host.registry.actors) == 1)
            idle(room, IDLE_SECONDS + 60)
            assert room.in_memory
            assert await room.run(lambda thing: thing.journal) == ["begun"]
            del begun


async def a_message(room: Wired) -> Any:
    client = await room.dial()
    await client.send("hang")
    return client


async def a_call(room: Wired) -> Any:
    call = asyncio.ensure_future(room.run(hang))
    call.add_done_callback(lambda done: done.cancelled() or done.exception())
    return call


def later(thing: Any) -> None:
    thing.journal.append("begun")
    thing.task = asyncio.ensure_future(asyncio.sleep(3600))


def wait_until(thing: Any) -> None:
    thing.ctx.wait_until(hang(thing))


pin("a handler that runs", a_message)
pin("a call that is not over", a_call)
pin("a task that sleeps", lambda room: room.run(later))
pin("work given to wait_until", lambda room: room.run(wait_until))
pin("a socket accepted by accept()", lambda room: room.dial("a/memory"))


# --- what wakes it -------------------------------------------------------------------------------------------------
async def asleep(room: Wired) -> Any:
    """A client of an object that has left memory."""
    client = await room.dial()
    await room.hibernate()
    return client


async def woken(room: Wired, told: list[Any]) -> None:
    await room.until(lambda: room.in_memory)
    await room.until_run(lambda thing: thing.journal, lambda found: found == told)


@FACTS.driven("7.5 a message wakes it")
async def wakes_message(stage: Stage) -> None:
    async with wired(stage) as room:
        await (await asleep(room)).send("hello")
        await woken(room, ["hello"])


@FACTS.driven("7.5 a close wakes it, and so does a client that vanishes")
async def wakes_close(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await asleep(room)
        await client.close(4000, "done")
        await woken(room, [(4000, "done", True, 2)])
        (await asleep(room)).transport.abort()
        await woken(room, [(1006, VANISHED, False, 2)])


@FACTS.driven("7.5 an error wakes it")
async def wakes_error(stage: Stage) -> None:
    async with wired(stage) as room:
        (await asleep(room)).transport.write(masked(0x3, b""))
        await room.until(lambda: room.in_memory)
        ((text, _),) = await room.until_run(lambda thing: thing.journal, len)
        assert "protocolError.statusCode = 1002" in text


@FACTS.driven("7.5 a call wakes it, and so does a request")
async def wakes_call(stage: Stage) -> None:
    async with wired(stage) as room:
        _ = await asleep(room)
        assert await room.run(lambda thing: len(thing.ctx.get_web_sockets())) == 1
        _ = await asleep(room)
        _ = await room.dial()
        assert room.in_memory


@FACTS.driven("7.5 a protocol ping is answered for it, and wakes nobody")
async def pings(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await asleep(room)
        await (await client.ping(b"here?"))
        assert not room.in_memory


@FACTS.driven("7.5 a message that comes while it leaves memory is not lost, and comes in order")
async def meanwhile(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        client = await room.dial()
        for round_ in range(5):
            for n in range(3):
                await client.send(f"{round_}.{n}")
            assert [await client.recv() for _ in range(3)] == [f"{round_}.{n} {n + 1}" for n in range(3)]
            await room.hibernate()


@FACTS.driven("7.5 an alarm wakes it")
async def wakes_alarm(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        client = await room.dial()
        due_ms = room.clock.wall_ms() + 60_000
        await room.run(lambda thing: thing.ctx.storage.set_alarm(due_ms))
        await room.hibernate()
        room.clock.advance(60)
        reply = await room.alarm(due_ms)
        assert reply.outcome == "done"
        await woken(room, ["alarm"])
        assert await say(client, "still") == "still 1"
