"""Attachments of sockets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from durable import WebSocketPair, values
from durable.errors import ActorResetError, DataCloneError, DurableError, HostGoneError
from durable.wire import messages as wire
from tests.conformance.facts_3_1 import accepted, refused
from tests.conformance.held_disk import HeldDisk, fresh, is_held, prepared, quiet, write
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import Room, journal, wired

FACTS = Facts()

ENCODED_MAX = 16_384


def text_of(encoded_bytes: int) -> str:
    """A text that takes this many bytes as an attachment."""
    overhead = len(values.encode("x" * encoded_bytes)) - encoded_bytes
    return "x" * (encoded_bytes - overhead)


def attachment(thing: Thing) -> Any:
    return thing.ctx.get_web_sockets()[0].deserialize_attachment()


def attach(value: Any) -> Any:
    """A part that attaches to the newest socket."""
    return lambda thing: thing.ctx.get_web_sockets()[0].serialize_attachment(value)


@FACTS.inside("7.4 an attachment has at most 16 384 bytes when it is encoded")
def largest(thing: Thing) -> None:
    server = accepted(thing)
    server.serialize_attachment(text_of(ENCODED_MAX))
    refused(
        lambda: server.serialize_attachment(text_of(ENCODED_MAX + 1)),
        DurableError,
        r"^A WebSocket 'attachment' cannot be larger than 16384 bytes\.'attachment' was 16385 bytes\.$",
    )
    assert server.deserialize_attachment() == text_of(ENCODED_MAX)


@FACTS.inside("7.4 it is None when nothing was ever attached")
def never(thing: Thing) -> None:
    assert accepted(thing).deserialize_attachment() is None


@FACTS.inside("7.4 each reading is a copy of its own")
def copies(thing: Thing) -> None:
    server = accepted(thing)
    server.serialize_attachment({"user": "ann", "rooms": ["a"]})
    server.deserialize_attachment()["rooms"].append("b")
    assert server.deserialize_attachment() == {"user": "ann", "rooms": ["a"]}
    assert server.deserialize_attachment() is not server.deserialize_attachment()


@FACTS.inside("7.4 a change after it was attached is not saved, and the next one takes its place")
def mutation(thing: Thing) -> None:
    server, value = accepted(thing), {"n": 1}
    server.serialize_attachment(value)
    value["n"] = 2
    assert server.deserialize_attachment() == {"n": 1}
    server.serialize_attachment(value)
    assert server.deserialize_attachment() == {"n": 2}
    server.serialize_attachment(None)
    assert server.deserialize_attachment() is None


@FACTS.inside("7.4 whatever can be stored can be attached, in its Python type, and nothing else")
def any_value(thing: Thing) -> None:
    server = accepted(thing)
    value = {"when": datetime(2026, 1, 1, tzinfo=UTC), 1: (1, 2), "set": {1, 2}, "bytes": b"\x00", "big": 2**70}
    server.serialize_attachment(value)
    assert server.deserialize_attachment() == value
    refused(lambda: server.serialize_attachment(lambda: None), DataCloneError, "function")
    assert server.deserialize_attachment() == value


@FACTS.inside("7.4 it works on every socket: before it is accepted, in memory, and on the client's end")
def every_socket(thing: Thing) -> None:
    client, server = WebSocketPair()
    for end in (client, server):
        assert end.deserialize_attachment() is None
        refused(lambda: end.serialize_attachment(text_of(ENCODED_MAX + 1)), DurableError, "was 16385 bytes")  # noqa: B023
        refused(lambda: end.serialize_attachment(lambda: None), DataCloneError, "function")  # noqa: B023
        end.serialize_attachment({"end": "one"})
        assert end.deserialize_attachment() == {"end": "one"}
    thing.ctx.accept_web_socket(server)
    assert server.deserialize_attachment() == {"end": "one"}
    _, memory = WebSocketPair()
    memory.accept()
    memory.serialize_attachment(5)
    assert memory.deserialize_attachment() == 5


@FACTS.inside("7.4 the names are there in the platform's spelling, too")
def spelling(thing: Thing) -> None:
    server: Any = accepted(thing)
    server.serializeAttachment("kept")
    assert server.deserializeAttachment() == "kept"


@FACTS.driven("7.4 it survives hibernation and the process")
async def survives(stage: Stage) -> None:
    async with wired(stage) as room:
        _ = await room.dial()
        await room.run(attach({"user": "ann"}))
        await room.hibernate()
        assert await room.run(attachment) == {"user": "ann"}
        await room.run(attach({"user": "bob"}))
        await room.stop_host()
        await room.start_host()
        assert await room.run(attachment) == {"user": "bob"}


class LeavingRoom(Room):
    def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> None:
        self.journal.append(ws.deserialize_attachment())


@FACTS.driven("7.4 in the close handler it is still there")
async def closing(stage: Stage) -> None:
    async with wired(stage, LeavingRoom) as room:
        client = await room.dial()
        await room.run(attach("ann"))
        await client.close()
        await room.until_run(journal, lambda found: found == ["ann"])


# --- never ahead of the database -----------------------------------------------------------------------------------
@FACTS.driven("7.4 an attachment leaves the object after the writes of its turn are on disk", disk=HeldDisk())
async def after_the_writes(stage: Stage) -> None:
    disk = await prepared(stage)

    def event(thing: Thing) -> None:
        accepted(thing)
        attach("ahead")(thing)
        write(thing, fresh())

    with disk.held():
        await stage.send(event)
        (message,) = stage.gateway.of(wire.SocketAttachment)
        assert is_held(stage, message)
        await quiet(stage)
        assert is_held(stage, message)
    await stage.gateway.until(lambda: not is_held(stage, message))


@FACTS.driven("7.4 what was attached in a turn that is lost is not kept")
async def lost_turn(stage: Stage) -> None:
    await stage.run(lambda thing: accepted(thing) and None)
    await stage.run(attach("before"))

    def event(thing: Thing) -> None:
        attach("lost")(thing)
        thing.ctx.abort()

    with pytest.raises(ActorResetError):
        await stage.run(event)
    assert [values.decode(each.attachment) for each in stage.gateway.of(wire.SocketAttachment)] == ["before"]


@FACTS.driven("7.4 a process that ends before the writes are on disk leaves the attachment before them")
async def lost_process(stage: Stage) -> None:
    def event(thing: Thing) -> None:
        write(thing, fresh())
        attach("lost")(thing)

    disk = HeldDisk()
    async with wired(stage, disk=disk) as room:
        _ = await room.dial()
        await room.run(lambda thing: write(thing, fresh()))
        await room.run(attach("before"))
        with disk.held():
            running = asyncio.ensure_future(room.run(event))
            await room.until(lambda: room.link.statistics().withheld >= 2)
            room.lose_host()
            with pytest.raises(HostGoneError):
                await running
            ((state,), _) = room.room.attach_states(0, 1)
            assert values.decode(state.attachment or b"") == "before"
