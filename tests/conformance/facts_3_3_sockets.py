"""What a reset does to the sockets of an object, at the client: abort, a failed critical section, failed storage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable import WebSocketPair
from durable.errors import DurableError
from durable.wire import messages as wire
from tests.conformance.facts_3_1_settings import answers
from tests.conformance.facts_7_4 import attach
from tests.conformance.held_disk import HeldDisk
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import Room, Wired, close_of, journal, wired

FACTS = Facts()


async def left(thing: Any) -> tuple[int, Any]:
    """What an object has after its reset: sockets, and what it had in memory."""
    return len(thing.ctx.get_web_sockets()), thing.journal


def reset(name: str, cause: Callable[[Wired], Any], *, disk: bool = False) -> None:
    """A fact: `cause` resets the object, and with it every socket of it, whatever else goes on."""

    @FACTS.driven(f"3.3 {name} drops the object's sockets: clients see 1006, and the next instance has none")
    async def dropped(stage: Stage) -> None:
        async with wired(stage, disk=HeldDisk() if disk else None) as room:
            mine, other = [await room.dial(path) for path in ("a/one", "a/two")], await room.dial("b")
            await room.run(lambda thing: thing.journal.append("in memory"))
            await cause(room)
            assert [await close_of(client) for client in mine] == [(1006, "")] * 2
            assert await room.run(left) == (0, [])
            await other.send("still here")
            await room.until_run(journal, lambda found: found == ["still here"], name="b")
            assert await room.run(journal) == []  # no handler hears of their end


async def aborted(room: Wired) -> None:
    with pytest.raises(DurableError, match="over"):
        await room.run(lambda thing: thing.ctx.abort("over"))


async def failed_section(room: Wired) -> None:
    def fail() -> None:
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await room.run(lambda thing: thing.ctx.block_concurrency_while(fail))


async def failed_storage(room: Wired) -> None:
    # A violated constraint that is checked by the commit alone.
    def violate(thing: Thing) -> None:
        sql = thing.ctx.storage.sql
        sql.exec("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
        sql.exec("CREATE TABLE child(p INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
        sql.exec("INSERT INTO child VALUES (1)")

    with pytest.raises(DurableError, match="FOREIGN KEY constraint failed"):
        await room.run(violate)


async def broken_gate(room: Wired) -> None:
    disk: Any = room.host.commits.disk
    await room.run(lambda thing: thing.ctx.storage.put("there", 1))
    disk.fails = True
    with pytest.raises(DurableError):
        await room.run(lambda thing: thing.ctx.storage.put("there", 2))
    disk.fails = False


reset("abort", aborted)
reset("a failed critical section", failed_section)
reset("a commit that storage refuses", failed_storage)
reset("a disk that fails", broken_gate, disk=True)


@FACTS.driven("3.3 a reset drops hibernated sockets, too, and what was attached and set for them")
async def hibernated(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial("a/tag")
        await room.run(attach("ann"))
        await room.run(answers())
        await room.hibernate()
        await aborted(room)
        assert (await close_of(client))[0] == 1006
        assert room.room.statistics().sockets == room.room.statistics().auto_responses == 0
        assert room.room.attach_states(0, 1) == ([], [])


class MemoryRoom(Room):
    def fetch(self, request: Any) -> Any:
        response: Any = super().fetch(request)
        if not request.url.endswith("/memory"):
            return response
        client, server = WebSocketPair()
        server.accept()
        return type(response)(None, status=101, web_socket=client)


@FACTS.driven("3.3 a reset drops sockets in memory as well")
async def in_memory(stage: Stage) -> None:
    async with wired(stage, MemoryRoom) as room:
        client = await room.dial("a/memory")
        await aborted(room)
        assert (await close_of(client))[0] == 1006


@FACTS.driven("3.3 a socket that was accepted in the turn of the abort never existed")
async def same_turn(stage: Stage) -> None:
    def event(thing: Thing) -> None:
        _, server = WebSocketPair()
        thing.ctx.accept_web_socket(server)
        thing.ctx.abort("over")

    with pytest.raises(DurableError, match="over"):
        await stage.run(event)
    assert stage.gateway.of(wire.SocketAccepted) == []
    assert await stage.run(lambda thing: thing.ctx.get_web_sockets()) == []


@FACTS.driven("3.3 messages that waited for the object are dropped with their sockets")
async def waiting(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()

        async def event(thing: Any) -> None:
            async def section() -> None:
                await thing.go_on.wait()
                thing.ctx.abort("over")

            thing.go_on = asyncio.Event()
            await thing.ctx.block_concurrency_while(section)

        running = asyncio.ensure_future(room.run(event))
        await room.until(lambda: room.host.registry.actors[0].gate.top is not None)
        for text in ("one", "two"):
            await client.send(text)
        (actor,) = room.host.registry.actors
        await room.until(lambda: actor.gate.waiting == 2)
        actor.instance.go_on.set()
        with pytest.raises(DurableError, match="over"):
            await running
        assert (await close_of(client))[0] == 1006
        assert await room.run(journal) == []
        await room.until(lambda: room.room.statistics().events == 0)
