"""Hibernatable sockets as `ctx` has them: accepting, listing, tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable import Response, WebSocketPair
from durable.actor import state
from durable.errors import DurableError
from durable.limits import SOCKETS_PER_OBJECT_MAX
from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import Room, journal, say_close, wired

FACTS = Facts()


def accepted(thing: Thing, *tags: str) -> Any:
    """The server's end of a new pair, taken for hibernation."""
    _, server = WebSocketPair()
    thing.ctx.accept_web_socket(server, tags)
    return server


def refused(call: Callable[[], object], error: type[BaseException], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# --- accept_web_socket ---------------------------------------------------------------------------------------------
@FACTS.inside("3.1 a WebSocket that was accepted is not accepted again")
def twice(thing: Thing) -> None:
    server = accepted(thing)
    refused(lambda: thing.ctx.accept_web_socket(server), DurableError, "this WebSocket was already accepted")
    assert thing.ctx.get_web_sockets() == [server]


@FACTS.inside("3.1 neither is one that was accepted by accept()")
def after_accept(thing: Thing) -> None:
    _, server = WebSocketPair()
    server.accept()
    refused(lambda: thing.ctx.accept_web_socket(server), DurableError, "this WebSocket was already accepted")
    assert thing.ctx.get_web_sockets() == []


@FACTS.inside("3.1 an end whose other end was accepted is not accepted")
def peer_accepted(thing: Thing) -> None:
    client, server = WebSocketPair()
    thing.ctx.accept_web_socket(server)
    refused(lambda: thing.ctx.accept_web_socket(client), DurableError, "its pair has already been accepted or used")


@FACTS.driven("3.1 an end whose other end was returned in a Response is not accepted any more")
async def peer_used(stage: Stage) -> None:
    class Both:
        client: Any = None

    async def fetch(thing: Any, request: Any) -> Response:
        client, server = WebSocketPair()
        thing.ctx.accept_web_socket(server)
        Both.client = client
        return Response(None, status=101, web_socket=client)

    async def again(thing: Thing) -> None:
        refused(lambda: thing.ctx.accept_web_socket(Both.client), DurableError, "already used in a Response")

    stage.monkeypatch.setattr(Thing, "fetch", fetch, raising=False)
    reply = await stage.gateway.send_fetch("/", name="a", upgrade=True)
    assert reply.status == 101
    await stage.run(again)


@FACTS.inside("3.1 either end of a pair may be the one that is accepted")
def either_end(thing: Thing) -> None:
    client, _ = WebSocketPair()
    thing.ctx.accept_web_socket(client)
    assert thing.ctx.get_web_sockets() == [client]


@FACTS.inside("3.1 what is no WebSocket is a TypeError that says so")
def no_socket(thing: Thing) -> None:
    for what, name in ((WebSocketPair(), "WebSocketPair"), (None, "NoneType"), ("ws", "str")):
        socket: Any = what
        refused(lambda: thing.ctx.accept_web_socket(socket), TypeError, f"takes a WebSocket, got {name}")  # noqa: B023


@FACTS.inside("3.1 tags that are no list are a TypeError with the line to write")
def no_list(thing: Thing) -> None:
    for what, text in (("tag", r"got the string 'tag'; write \['tag'\]"), (5, "got int"), ({"a": 1}, "got dict")):
        tags: Any = what
        refused(lambda: thing.ctx.accept_web_socket(WebSocketPair().server, tags), TypeError, text)  # noqa: B023
    refused(lambda: thing.ctx.accept_web_socket(WebSocketPair().server, b"ab"), TypeError, "got bytes")  # type: ignore[arg-type]


@FACTS.inside("3.1 ten tags are allowed and eleven are not, counted without duplicates")
def number_of_tags(thing: Thing) -> None:
    ten = [str(n) for n in range(10)]
    assert thing.ctx.get_tags(accepted(thing, *ten, "3", "3", "9")) == ten
    refused(lambda: accepted(thing, *ten, "10"), DurableError, "cannot have more than 10 tags, got 11")
    assert len(thing.ctx.get_web_sockets()) == 1


@FACTS.inside("3.1 a tag has at most 256 UTF-8 bytes, and the error quotes it whole")
def length_of_tags(thing: Thing) -> None:
    assert thing.ctx.get_tags(accepted(thing, "ä" * 128)) == ["ä" * 128]
    for tag in ("x" * 257, "ä" * 129):
        refused(
            lambda: accepted(thing, tag),  # noqa: B023
            DurableError,
            rf'^"{tag}" is longer than the max tag length \(256 characters\)\.$',
        )


@FACTS.inside("3.1 the empty tag is a tag, and duplicates are dropped without a word")
def empty_tag(thing: Thing) -> None:
    empty, several = accepted(thing, ""), accepted(thing, "t", "t", "1")
    assert (thing.ctx.get_tags(empty), thing.ctx.get_tags(several)) == ([""], ["t", "1"])
    assert thing.ctx.get_web_sockets("") == [empty]


@FACTS.inside("3.1 a tag that is no string becomes one, where it is given and where it is asked for")
def coerced(thing: Thing) -> None:
    numbers: Any = [5, 7]
    _, server = WebSocketPair()
    thing.ctx.accept_web_socket(server, numbers)
    five: Any = 5
    assert thing.ctx.get_tags(server) == ["5", "7"]
    assert thing.ctx.get_web_sockets(five) == thing.ctx.get_web_sockets("5") == [server]


@FACTS.driven("3.1 an object has at most 32 768 sockets")
async def number_of_sockets(stage: Stage) -> None:
    assert SOCKETS_PER_OBJECT_MAX == 32_768
    stage.monkeypatch.setattr(state, "SOCKETS_PER_OBJECT_MAX", 3)

    def one_too_many(thing: Thing) -> None:
        for _ in range(3):
            accepted(thing)
        refused(lambda: accepted(thing), DurableError, "^only 3 websockets can be accepted on a single Durable Object")
        assert len(thing.ctx.get_web_sockets()) == 3

    await stage.run(one_too_many)
    await stage.run(lambda thing: accepted(thing) and None, name="another object has its own")


class EarlyRoom(Room):
    def fetch(self, request: Any) -> Response:
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        server.send("early")
        server.send(b"bytes")
        return Response(None, status=101, web_socket=client)


@FACTS.driven("3.1 what is sent before the response is returned arrives after the upgrade, in order")
async def early(stage: Stage) -> None:
    async with wired(stage, EarlyRoom) as room:
        client = await room.dial()
        await room.run(lambda thing: thing.ctx.get_web_sockets()[0].send("late"))
        assert [await client.recv() for _ in range(3)] == ["early", b"bytes", "late"]


# --- get_web_sockets -----------------------------------------------------------------------------------------------
@FACTS.inside("3.1 get_web_sockets lists the newest first, by tag in the order of acceptance")
def orders(thing: Thing) -> None:
    one, two, three, four = (accepted(thing, str(n), "all") for n in range(1, 5))
    plain = accepted(thing)
    assert thing.ctx.get_web_sockets() == [plain, four, three, two, one]
    assert thing.ctx.get_web_sockets("all") == [one, two, three, four]
    assert thing.ctx.get_web_sockets("2") == [two]


@FACTS.inside("3.1 a tag is matched whole, and one that nobody has finds nothing")
def unknown_tag(thing: Thing) -> None:
    accepted(thing, "room")
    assert [thing.ctx.get_web_sockets(tag) for tag in ("ROOM", "roo", "", "other")] == [[], [], [], []]


@FACTS.inside("3.1 each list is a new one with the same objects in it")
def same_objects(thing: Thing) -> None:
    server = accepted(thing, "t")
    thing.ctx.get_web_sockets().clear()
    assert thing.ctx.get_web_sockets()[0] is thing.ctx.get_web_sockets("t")[0] is server


@FACTS.inside("3.1 a socket that was accepted by accept() is not listed")
def in_memory(thing: Thing) -> None:
    _, server = WebSocketPair()
    server.accept()
    assert thing.ctx.get_web_sockets() == []


class ClosingRoom(Room):
    async def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> None:
        self.seen = ws
        self.journal.append((len(self.ctx.get_web_sockets()), self.ctx.get_web_sockets("t") == [ws]))
        self.journal.append(self.ctx.get_tags(ws))
        await self.ctx.storage.put("slept", 1)
        await self.ctx.storage.sync()
        self.journal.append(len(self.ctx.get_web_sockets()))


@FACTS.driven("3.1 a closing socket is listed, with its tags, until its close handler has ended", actor=ClosingRoom)
async def closing(stage: Stage) -> None:
    async with wired(stage, ClosingRoom, compatibility_date="2026-04-06") as room:
        client = await room.dial("a/t")
        client.transport.abort()
        told = await room.until_run(journal, lambda found: len(found) == 3)
        assert told == [(1, True), ["t"], 1]
        await room.until_run(lambda thing: len(thing.ctx.get_web_sockets()), lambda found: found == 0)


@FACTS.driven("3.1 after it the socket is gone even when nobody answered")
async def gone(stage: Stage) -> None:
    async with wired(stage, compatibility_date="2026-04-06") as room:
        client = await room.dial()
        say_close(client, 4000)
        await room.until_run(journal, lambda found: found == [(4000, "", True, 2)])
        assert await room.run(lambda thing: thing.ctx.get_web_sockets()) == []


# --- get_tags ------------------------------------------------------------------------------------------------------
@FACTS.inside("3.1 get_tags gives a new list each time")
def own_list(thing: Thing) -> None:
    server = accepted(thing, "t")
    thing.ctx.get_tags(server).append("mine")
    assert thing.ctx.get_tags(server) == ["t"]


@FACTS.inside("3.1 get_tags of a socket that nobody accepted, of one in memory and of something else")
def tags_refused(thing: Thing) -> None:
    _, server = WebSocketPair()
    nothing: Any = "ws"
    refused(lambda: thing.ctx.get_tags(server), DurableError, "you must call accept_web_socket.. before attempting to")
    server.accept()
    refused(lambda: thing.ctx.get_tags(server), DurableError, "only hibernatable websockets can have tags")
    refused(lambda: thing.ctx.get_tags(nothing), TypeError, r"get_tags\(\) takes a WebSocket, got str")


@FACTS.driven("3.1 get_tags of a socket whose close handler has ended says that it has none any more")
async def tags_gone(stage: Stage) -> None:
    async with wired(stage, ClosingRoom) as room:
        client = await room.dial("a/t")
        await client.close(4000)
        await room.until_run(lambda thing: len(thing.ctx.get_web_sockets()), lambda found: found == 0)
        await room.run(
            lambda thing: refused(
                lambda: thing.ctx.get_tags(thing.seen), DurableError, r"they are gone when web_socket_close\(\) has"
            )
        )


@FACTS.inside("3.1 every name is there in the platform's spelling, too")
def spellings(thing: Thing) -> None:
    ctx: Any = thing.ctx
    _, server = WebSocketPair()
    ctx.acceptWebSocket(server, ["t"])
    assert ctx.getWebSockets("t") == [server]
    assert ctx.getTags(server) == ["t"]
    ctx.setWebSocketAutoResponse()
    assert ctx.getWebSocketAutoResponse() is None
    assert ctx.getWebSocketAutoResponseTimestamp(server) is None
    ctx.setHibernatableWebSocketEventTimeout(5)
    assert ctx.getHibernatableWebSocketEventTimeout() == 5


@FACTS.driven("3.1 a refused accept tells the gateway nothing")
async def nothing_told(stage: Stage) -> None:
    def event(thing: Thing) -> None:
        refused(lambda: accepted(thing, *map(str, range(11))), DurableError, "more than 10 tags")
        refused(lambda: accepted(thing, "x" * 257), DurableError, "longer than the max tag length")

    await stage.run(event)
    assert stage.gateway.of(wire.SocketAccepted) == []
