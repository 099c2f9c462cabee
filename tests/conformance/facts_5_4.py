"""The output gate: nothing leaves an object before the writes behind it are on disk, and code does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from durable import Response, WebSocketPair, WebSocketRequestResponsePair
from durable.sdk.runtime import fetch
from durable.wire import messages as wire
from tests.conformance.held_disk import HeldDisk, fresh, is_held, outside, prepared, quiet, write
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()
WAYS_OUT: list[str] = []
"""The facts that find it out when the gate is bypassed."""


def way_out(name: str, **setup: Any) -> Callable[[Any], Any]:
    """Lists a fact about one way out of an object; all have a disk that the test can hold."""
    WAYS_OUT.append(f"5.4 {name}")
    return FACTS.driven(f"5.4 {name}", disk=HeldDisk(), **setup)


class Speaking(Thing):
    """Answers requests and alarms after a write."""

    async def fetch(self, request: Any) -> Response:
        write(self, fresh())
        if request.url.endswith("/stream"):
            return Response(self.chunks())
        return Response("written")

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"chunk"
        await self.ctx.storage.put("more", fresh())
        yield b"chunk of its own write"

    async def alarm(self, info: Any) -> None:
        write(self, fresh())


async def held_reply(stage: Stage, disk: HeldDisk, question: Callable[[], Any]) -> Any:
    """The answer to `question`, which is out of the object at once and held until the disk has what it reveals."""
    with disk.held():
        reply = await question()
        assert is_held(stage, reply)
        await quiet(stage)
        assert is_held(stage, reply)
    await stage.gateway.until(lambda: not is_held(stage, reply))
    return reply


# --- every way out ------------------------------------------------------------------------------------------------
@way_out("the result of a call waits for the write before it")
async def result(stage: Stage) -> None:
    disk = await prepared(stage)
    for method in ("play", "play_plainly"):
        reply = await held_reply(stage, disk, partial(stage.send, write, fresh(), method=method))
        assert isinstance(reply, wire.CallReply)


@way_out("an error waits for the write before it")
async def error(stage: Stage) -> None:
    disk = await prepared(stage)

    def write_and_raise(thing: Thing) -> None:
        write(thing)
        raise LookupError("after the write")

    reply = await held_reply(stage, disk, lambda: stage.send(write_and_raise))
    assert reply.error.message == "after the write"


@way_out("an HTTP reply waits for the write before it", actor=Speaking)
async def http(stage: Stage) -> None:
    disk = await prepared(stage)
    reply = await held_reply(stage, disk, lambda: stage.gateway.send_fetch("/", name="a"))
    assert reply.body == b"written"


@way_out("chunks of a stream wait for the writes before them", actor=Speaking)
async def stream(stage: Stage) -> None:
    gateway = stage.gateway
    disk = await prepared(stage)
    with disk.held():
        reply = await gateway.send_fetch("/stream", name="a")
        await quiet(stage)
        assert gateway.of(wire.BodyChunk) == []
    assert await gateway.body(reply.stream) == b"chunkchunk of its own write"


@way_out("the completion of an alarm waits for the writes of its handler", actor=Speaking)
async def alarm(stage: Stage) -> None:
    gateway = stage.gateway
    disk = await prepared(stage)
    await stage.run(lambda thing: thing.ctx.storage.set_alarm(1))
    due = await stage.run(lambda thing: thing.ctx.storage.get_alarm())
    reply = await held_reply(
        stage, disk, lambda: gateway.ask(lambda number: wire.AlarmDue(number, gateway.key(), due, 0))
    )
    assert (reply.outcome, reply.alarm_ms) == ("done", None)


@way_out("what is said to a web socket waits for the write before it: text, bytes, attachment, close")
async def sockets(stage: Stage) -> None:
    gateway = stage.gateway
    disk = await prepared(stage)

    def talk(thing: Thing) -> None:
        write(thing)
        _, server = WebSocketPair()
        thing.ctx.accept_web_socket(server)
        server.send("text")
        server.send(b"bytes")
        server.serialize_attachment("attached")
        server.close(4000, "over")

    said = (wire.SocketAccepted, wire.SocketSend, wire.SocketAttachment, wire.SocketClose)
    with disk.held():
        await stage.send(talk)
        assert [type(message) for message in gateway.of(*said)] == [
            wire.SocketAccepted, wire.SocketSend, wire.SocketSend, wire.SocketAttachment, wire.SocketClose
        ]  # fmt: skip
        assert all(is_held(stage, message) for message in gateway.of(*said))


@way_out("a request to the outside leaves after the write before it")
async def request(stage: Stage) -> None:
    disk = await prepared(stage)

    async def ask(thing: Thing, url: str) -> int:
        write(thing)
        return (await fetch(url)).status

    async with outside() as server:
        with disk.held():
            asking = stage.run(ask, server.url)
            await quiet(stage)
            assert server.requests == 0
        assert await asking == 200
        assert server.requests == 1


@way_out("a call to another object leaves after the write before it")
async def call(stage: Stage) -> None:
    disk = await prepared(stage)
    heard: list[str] = []

    async def ask(thing: Thing) -> None:
        write(thing)
        await thing.env.THINGS.get_by_name("other").play(stage.number(lambda other: heard.append("asked")))

    with disk.held():
        asking = stage.run(ask)
        await quiet(stage)
        assert heard == []
    await asking
    assert heard == ["asked"]


class Listening(Thing):
    """Notes that it was asked."""

    heard: list[str] = []

    async def fetch(self, request: Any) -> Response:
        self.heard.append(await request.text())
        return Response("ok")


@way_out("a request to another object, and its body, leave after the write before them", actor=Listening)
async def request_to_object(stage: Stage) -> None:
    disk = await prepared(stage)
    Listening.heard.clear()

    async def ask(thing: Thing) -> None:
        write(thing)
        await thing.env.THINGS.get_by_name("other").fetch("http://localhost/", method="POST", body="asked")

    with disk.held():
        asking = stage.run(ask)
        await quiet(stage)
        assert Listening.heard == []
    await asking
    assert Listening.heard == ["asked"]


@way_out("a call to an object of another host is marked with the write before it", shards=2)
async def call_elsewhere(stage: Stage) -> None:
    gateway = stage.gateway
    ours, theirs = (
        next(name for name in "abcdefgh" if int(gateway.key(name).id[:8], 16) % 2 == shard) for shard in (0, 1)
    )
    disk = await prepared(stage, ours)

    async def ask(thing: Thing) -> None:
        write(thing)
        await asyncio.gather(
            thing.env.THINGS.get_by_name(theirs).play(0),
            thing.env.THINGS.get_by_name(theirs).fetch("http://localhost/"),
        )

    asking = stage.send(ask, name=ours)
    with disk.held():
        await gateway.until(lambda: gateway.of(wire.Call) and gateway.of(wire.HttpRequest))
        held = [is_held(stage, message) for message in gateway.of(wire.Call, wire.HttpRequest)]
    for message in gateway.of(wire.Call, wire.HttpRequest):
        gateway.send(wire.Failed(message.id, 0, wire.ErrorReport("LookupError", "answered")))
    await asking
    assert held == [True, True]


@way_out("the result of a call inside one host waits for the write of the object that was asked")
async def result_inside(stage: Stage) -> None:
    disk = await prepared(stage, "a", "other")
    got: list[str] = []

    async def ask(thing: Thing) -> None:
        await thing.env.THINGS.get_by_name("other").play(stage.number(write))
        got.append("answered")

    with disk.held():
        asking = stage.run(ask)
        await quiet(stage)
        assert got == []
    await asking
    assert got == ["answered"]


@way_out("an answer waits for earlier writes even when its own event wrote nothing")
async def earlier(stage: Stage) -> None:
    disk = await prepared(stage)
    with disk.held():
        first, second = await stage.send(write), await stage.send(lambda thing: "read")
        assert is_held(stage, first)
        assert is_held(stage, second)


# --- what does not wait -------------------------------------------------------------------------------------------
@FACTS.driven("5.4 code does not wait: an await of put is over while its disk still works", disk=HeldDisk())
async def no_waiting(stage: Stage) -> None:
    disk = await prepared(stage)
    went_on: list[int] = []

    async def writing(thing: Thing) -> None:
        await thing.ctx.storage.put("k", 1)
        await asyncio.sleep(0)
        went_on.append(await thing.ctx.storage.get("k"))

    with disk.held():
        await stage.send(writing)
        assert went_on == [1]


@FACTS.driven("5.4 an answer without writes before it does not wait for others", disk=HeldDisk())
async def others(stage: Stage) -> None:
    disk = await prepared(stage, "a", "other")
    with disk.held():
        assert is_held(stage, await stage.send(write))
        assert not is_held(stage, await stage.send(lambda thing: "read", name="other"))


@FACTS.driven("5.4 an auto-response does not wait", disk=HeldDisk())
async def auto_response(stage: Stage) -> None:
    await stage.run(lambda thing: thing.ctx.set_web_socket_auto_response(WebSocketRequestResponsePair("ping", "pong")))
    (pair,) = stage.gateway.of(wire.SetAutoResponse)
    assert (pair.request, pair.response, is_held(stage, pair)) == ("ping", "pong", False)


@FACTS.driven("5.4 the writes of one turn are one commit and one sync", disk=HeldDisk())
async def one_commit(stage: Stage) -> None:
    disk = await prepared(stage)
    before = disk.file_syncs

    async def many(thing: Thing) -> None:
        for number in range(50):
            await thing.ctx.storage.put(f"k{number}", number)
            thing.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t(n)")
            thing.ctx.storage.sql.exec("INSERT INTO t VALUES(?)", number)
        await thing.ctx.storage.set_alarm(4_000_000_000_000)

    last = stage.gateway.durable
    await stage.run(many)
    assert (disk.file_syncs - before, stage.gateway.durable - last) == (1, 1)


@FACTS.driven("5.4 the writes of turns that end together share one epoch", disk=HeldDisk())
async def group_commit(stage: Stage) -> None:
    names = [f"object {number}" for number in range(20)]
    disk = await prepared(stage, *names)
    with disk.held():
        first = await stage.send(write)
        replies = await asyncio.gather(*(stage.send(write, name=name) for name in names))
    assert {reply.epoch for reply in replies} == {first.epoch + 1}
