"""Two ways to accept: what `ws.accept()` gives, and the order in which ends of sockets may be used."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from durable import Response, WebSocket, WebSocketPair
from durable.sdk.websocket import SocketEvent
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import IDLE_SECONDS, Wired, wired

FACTS = Facts()

BLOBS = "2026-03-17"
"""The first compatibility date with `binary_type` "blob"."""


class Standing(Thing):
    """Accepts every socket in memory, and writes down what its listeners hear."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.journal: list[Any] = []
        self.server: Any = None

    def fetch(self, request: Any) -> Response:
        client, server = WebSocketPair()
        self.server = server
        self.listen(server)
        return Response(None, status=101, web_socket=client)

    def listen(self, server: WebSocket) -> None:
        server.accept()
        server.add_event_listener("message", lambda event: self.journal.append(event.data))

    def web_socket_message(self, ws: Any, message: Any) -> None:
        self.journal.append("a handler of the class was called")


def journal(thing: Any) -> list[Any]:
    return list(thing.journal)


async def hear(room: Wired, *expected: Any) -> None:
    await room.until_run(journal, lambda found: found == list(expected))


# --- events --------------------------------------------------------------------------------------------------------
@FACTS.driven("7.1 an accept()ed socket has listeners instead of the handlers of the class; text is str, binary bytes")
async def listeners(stage: Stage) -> None:
    async with wired(stage, Standing) as room:
        client = await room.dial()
        sent: list[str | bytes] = ["text", b"bytes", "", b"", "ä\N{GRINNING FACE}", "x" * 70_000]
        for message in sent:
            await client.send(message)
        await hear(room, *sent)


class Choosy(Standing):
    def listen(self, server: WebSocket) -> None:
        server.accept()

        async def first(event: SocketEvent) -> None:
            await asyncio.sleep(0)
            self.journal.append(f"async {event.data}")

        def broken(event: SocketEvent) -> None:
            raise ValueError("a listener's own mistake")

        def once(event: SocketEvent) -> None:
            self.journal.append(f"once {event.data}")

        def removed(event: SocketEvent) -> None:
            self.journal.append("removed")

        def last(event: SocketEvent) -> None:
            self.journal.append([f"last {event.data}", event.type, event.target is server])

        for listener in (first, broken, removed, last, last):
            server.addEventListener("message", listener)  # type: ignore[attr-defined]
        server.add_event_listener("message", once, {"once": True})
        server.remove_event_listener("message", removed)
        server.remove_event_listener("message", removed)
        server.remove_event_listener("close", removed)


@FACTS.driven("7.1 listeners run in their order, sync or async, each once; one that raises is logged and stops nobody")
async def several(stage: Stage) -> None:
    async with wired(stage, Choosy) as room:
        client = await room.dial()
        await client.send("1")
        await client.send("2")
        await room.until_run(journal, lambda found: len(found) == 5)
        found = await room.run(journal)
        first = [each for each in found if "1" in str(each)]
        assert first == [["last 1", "message", True], "once 1", "async 1"]
        assert [each for each in found if "2" in str(each)] == [["last 2", "message", True], "async 2"]
        reports = [log.error for log in room.logs if log.error is not None]
        assert [(report.message, report.method) for report in reports] == [
            ("a listener's own mistake", "message listener")
        ] * 2
        assert Path(reports[0].frames[-1].file) == Path(__file__)
        assert reports[0].frames[-1].source == 'raise ValueError("a listener\'s own mistake")'


@FACTS.inside("7.1 what cannot be called is refused as a listener")
def no_listener(thing: Thing) -> None:
    ws: Any = WebSocketPair().server
    with pytest.raises(TypeError, match="a listener is a function of one argument, got str"):
        ws.add_event_listener("message", "print")


class Blocking(Standing):
    async def block(self) -> None:
        self.opened = asyncio.Event()

        async def callback() -> None:
            await self.opened.wait()
            self.journal.append("blocked")

        await self.ctx.block_concurrency_while(callback)


@FACTS.driven("7.1 a listener runs as an event of its object: not while a critical section keeps events out")
async def gated(stage: Stage) -> None:
    async with wired(stage, Blocking) as room:
        client = await room.dial()
        blocking = asyncio.ensure_future(room.run(lambda thing: thing.block()))
        actor = await room.until(lambda: next(iter(room.host.registry.actors), None))
        await room.until(lambda: hasattr(actor.instance, "opened"))
        await client.send("message")
        await room.until(lambda: actor.gate.waiting == 1)
        assert actor.instance.journal == []
        actor.instance.opened.set()
        await blocking
        await hear(room, "blocked", "message")


# --- binary messages -----------------------------------------------------------------------------------------------
@FACTS.inside('7.1 binary_type is "blob" since 2026-03-17; a message is bytes here, whatever it says')
def blob(thing: Thing) -> None:
    ws: Any = WebSocketPair().server
    assert (ws.binary_type, ws.binaryType) == ("blob", "blob")
    ws.binaryType = "arraybuffer"
    assert (ws.binary_type, ws.binaryType) == ("arraybuffer", "arraybuffer")
    with pytest.raises(ValueError, match="binary_type is 'blob' or 'arraybuffer', got 'bytes'"):
        ws.binary_type = "bytes"


@FACTS.inside('7.1 binary_type is "arraybuffer" before 2026-03-17', compatibility_date="2026-03-16")
def arraybuffer(thing: Thing) -> None:
    assert WebSocketPair().server.binary_type == "arraybuffer"


# --- memory --------------------------------------------------------------------------------------------------------
@FACTS.driven("7.1 an accept()ed socket keeps its object in memory while it is open, and no longer")
async def pins(stage: Stage) -> None:
    async with wired(stage, Standing) as room:
        client = await room.dial()
        (actor,) = room.host.registry.actors
        await room.until(lambda: not actor.has_work)
        room.clock.advance(IDLE_SECONDS * 1000)
        room.host.registry.sweep()
        assert room.in_memory
        assert [str(pin) for pin in actor.pins()] == ["1 accept()ed socket"]
        await client.close()
        await room.hibernate()


class Named(Thing):
    """One of these accepts for hibernation, another is its client."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.journal: list[Any] = []

    def fetch(self, request: Any) -> Response:
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    async def open(self) -> None:
        self.ws: Any = (await fetched(self, "plain")).web_socket
        self.ws.accept()
        self.ws.add_event_listener("message", lambda event: self.journal.append(event.data))

    def web_socket_message(self, ws: Any, message: Any) -> None:
        ws.send(f"heard {message}")


@FACTS.driven("7.1 the object at the other end may hibernate, and wakes for what the accept()ed end says")
async def hibernates(stage: Stage) -> None:
    async with wired(stage, Named) as room:
        await room.run(lambda thing: thing.open())
        await room.until(lambda: not any(actor.has_work for actor in room.host.registry.actors))
        room.clock.advance(IDLE_SECONDS + 1)
        room.host.registry.sweep()
        assert [actor.key.name for actor in room.host.registry.actors] == ["a"]
        await room.run(lambda thing: thing.ws.send("hello"))
        await hear(room, "heard hello")
        assert sorted(actor.key.name or "" for actor in room.host.registry.actors) == ["a", "other"]


# --- orders --------------------------------------------------------------------------------------------------------
@FACTS.inside("7.1 accept() a second time does nothing")
def twice(thing: Thing) -> None:
    client, server = WebSocketPair()
    server.accept()
    server.accept()
    client.accept({"allowHalfOpen": True})
    client.accept(allow_half_open=False)


@FACTS.inside("7.1 accept() knows one option, in either spelling")
def options(thing: Thing) -> None:
    with pytest.raises(TypeError, match="accept\\(\\) has no option 'half_open'.*it takes allow_half_open"):
        WebSocketPair().server.accept({"half_open": True})


@FACTS.inside("7.1 accept() after accept_web_socket() is refused")
def after_hibernation(thing: Thing) -> None:
    _, server = WebSocketPair()
    thing.ctx.accept_web_socket(server)
    with pytest.raises(TypeError, match=r"Can't accept\(\) WebSocket after enabling hibernation\."):
        server.accept()


class Handing(Thing):
    """Returns the client's end of `prepare()`, which may have done something to it."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.client: Any = None

    def fetch(self, request: Any) -> Response:
        kind = request.url.split("/")[3]
        self.client, server = WebSocketPair()
        if kind not in ("unaccepted", "hibernating"):
            server.accept()
        if kind == "accepted":
            self.client.accept()
        if kind == "used":
            self.client.handed_over = True
        if kind == "hibernating":
            self.client = server
            self.ctx.accept_web_socket(server)
        if kind == "constructed":
            self.client = WebSocket("ws://127.0.0.1:1/")
        return Response(None, status=101, web_socket=self.client)


async def fetched(thing: Thing, kind: str) -> Any:
    headers = {"Upgrade": "websocket"}
    return await thing.env.THINGS.get_by_name("other").fetch(f"http://room/{kind}", headers=headers)


for _kind, _sentence, _match in (
    ("accepted", "accept()", r"Can't return WebSocket in a Response after calling accept\(\)\."),
    ("hibernating", "accept_web_socket()", r"Can't return WebSocket in a Response after calling accept_web_socket\(\)"),
    ("used", "another response", r"Can't return WebSocket that was already used in a response\."),
    (
        "constructed",
        "WebSocket(url)",
        r"Can't return WebSocket in a Response if it was created with `new WebSocket\(\)`",
    ),
    ("unaccepted", "nothing at all", r"nobody accepted the server's end of this WebSocket: call ctx.accept_web_socket"),
):

    @FACTS.inside(f"7.1 a response cannot hand over an end after {_sentence}", actor=Handing)
    async def refused(thing: Thing, kind: str = _kind, match: str = _match) -> None:
        with pytest.raises(TypeError, match=match):
            await fetched(thing, kind)


@FACTS.driven(
    "7.1 an end that was handed over can be accepted by its receiver, and by its maker no more", actor=Handing
)
async def used(stage: Stage) -> None:
    async def receive(thing: Thing) -> None:
        response = await fetched(thing, "plain")
        assert (response.status, response.web_socket is response.webSocket) == (101, True)
        response.web_socket.accept()

    await stage.run(receive)
    with pytest.raises(TypeError, match=r"Can't accept\(\) WebSocket that was already used in a response\."):
        await stage.run(lambda thing: thing.client.accept(), name="other")


@FACTS.inside("7.1 accept() is not for sockets made with WebSocket(url)")
def constructed(thing: Thing) -> None:
    ws = WebSocket("ws://127.0.0.1:1/")
    with pytest.raises(
        TypeError, match=r"Websockets obtained from the 'new WebSocket\(\)' constructor cannot call acc"
    ):
        ws.accept()


# --- both ends in one program --------------------------------------------------------------------------------------
@FACTS.driven("7.1 both ends of a pair may be accepted in one program: messages cross in order, also early ones")
async def pair(stage: Stage) -> None:
    async def both(thing: Thing) -> list[Any]:
        client, server = WebSocketPair()
        heard: list[Any] = []
        over = asyncio.Event()
        client.accept()
        client.send("early")
        server.accept()

        def reply(event: SocketEvent) -> None:
            heard.append(event.data)
            server.send(event.data)

        server.add_event_listener("message", reply)
        client.add_event_listener("message", lambda event: heard.append(f"back {event.data}"))
        client.add_event_listener("close", lambda event: over.set())
        for n in range(50):
            client.send(str(n))
        server.add_event_listener("message", lambda event: server.close() if event.data == "49" else None)
        await over.wait()
        return heard

    async with wired(stage, Standing) as room:
        found = await room.run(both)
        order = ["early", *(str(n) for n in range(50))]
        assert [each for each in found if not each.startswith("back ")] == order
        assert [each for each in found if each.startswith("back ")] == [f"back {each}" for each in order]
        await room.until(lambda: room.room.statistics().sockets == 0)
        await room.hibernate()
