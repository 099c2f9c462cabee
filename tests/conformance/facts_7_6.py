"""Sockets to servers outside: `WebSocket(url)` and `fetch` with Upgrade, from opening to end."""

from __future__ import annotations

from typing import Any

import pytest

from durable import Response, WebSocket, fetch
from durable.errors import OverloadedError
from durable.sdk.websocket import CLOSED, CLOSING, CONNECTING, OPEN
from tests.conformance.outside import Caller, hear, outside
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import close_of

FACTS = Facts()

VANISHED = "WebSocket disconnected without sending Close frame."
NOT_ESTABLISHED = "Failed to establish websocket connection"


# --- opening -------------------------------------------------------------------------------------------------------
@FACTS.driven("7.6 WebSocket(url) is CONNECTING, then hears open and is OPEN; messages go both ways in order")
async def opens(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        assert await room.run(lambda thing: thing.open(server.url)) == CONNECTING
        await hear(room, ["open", OPEN, ""])
        await room.run(lambda thing: [thing.ws.send(each) for each in ("text", b"bytes", "")][:0])
        await hear(room, ["open", OPEN, ""], "text", b"bytes", "")
        assert server.heard == ["text", b"bytes", ""]


@FACTS.driven("7.6 WebSocket.new(url, protocols) is the same; the protocol that the server chose is there with open")
async def protocols(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        await room.run(lambda thing: thing.open(server.url, ["superchat", "chat"]))
        await hear(room, ["open", OPEN, "superchat"])
        assert await room.run(lambda thing: WebSocket.new(server.url, "chat").ready_state) == CONNECTING


@FACTS.inside("7.6 WebSocket(url) refuses an address that is none, with the platform's sentences")
def addresses(thing: Thing) -> None:
    for url, match in {
        "not a url": "The url is invalid: 'not a url'",
        "ws://": "The url is invalid",
        "/path": "The url is invalid",
        "ftp://host/": "The url scheme must be ws, wss, http or https, got 'ftp'",
        "ws://host/#part": "The url fragment must be empty, got 'part'",
        "ws://host:99999/": "The url is invalid",
    }.items():
        with pytest.raises(ValueError, match=f"WebSocket Constructor: {match}"):
            WebSocket(url)
    for protocols, match in {
        ("a b",): "One of the protocol header tokens is invalid: 'a b'",
        ("",): "One of the protocol header tokens is invalid: ''",
        ("chat", "chat"): "The protocols header cannot have repeating values",
    }.items():
        with pytest.raises(ValueError, match=f"WebSocket Constructor: {match}"):
            WebSocket("ws://127.0.0.1:1/", list(protocols))


@FACTS.driven("7.6 WebSocket(url) at import, where nothing runs, is refused")
async def at_import(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match="this works only while a request or an event of an actor runs"):
        WebSocket("ws://127.0.0.1:1/")


@FACTS.driven("7.6 a connection that fails is an error event, then close with 1006, both in the state CLOSED")
async def fails(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        for url in ("ws://127.0.0.1:1/", server.url + "refused"):
            await room.run(lambda thing, url: thing.journal.clear() or thing.open(url), url)
            await hear(room, ["error", NOT_ESTABLISHED, CLOSED], ["close", 1006, NOT_ESTABLISHED, False, CLOSED])
        (actor,) = room.host.registry.actors
        assert not actor.connections


@FACTS.driven("7.6 while it connects send is refused, and close gives up: error, then close with 1006")
async def impatient(stage: Stage) -> None:
    def hasty(thing: Any, url: str) -> list[int]:
        states = [thing.open(url)]
        with pytest.raises(
            TypeError, match='this WebSocket is still connecting: send in a listener of its "open" event'
        ):
            thing.ws.send("x")
        thing.ws.close()
        return [*states, thing.ws.ready_state]

    async with outside(stage, Caller) as (room, server):
        assert await room.run(hasty, server.url) == [CONNECTING, CLOSING]
        await hear(room, ["error", NOT_ESTABLISHED, CLOSED], ["close", 1006, NOT_ESTABLISHED, False, CLOSED])
        assert server.connections == []


@FACTS.driven("7.6 fetch with Upgrade gives status 101 and web_socket, whose accept() starts the messages")
async def fetched(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        assert await room.run(lambda thing: thing.fetch_socket(server.url, {"Sec-WebSocket-Protocol": "chat"})) == 101
        await room.run(lambda thing: thing.ws.send("hello"))
        await hear(room, "hello")
        assert await room.run(lambda thing: [thing.ws.ready_state, thing.ws.protocol]) == [OPEN, "chat"]
        await room.run(lambda thing: thing.ws.serialize_attachment({"kept": 1}))
        assert await room.run(lambda thing: thing.ws.deserialize_attachment()) == {"kept": 1}


@FACTS.driven("7.6 fetch with Upgrade gives the answer of a server that wants no WebSocket, and raises when none comes")
async def refused(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        assert await room.run(lambda thing: thing.fetch_socket(server.url + "refused")) == 403
        with pytest.raises(OSError, match=r"WebSocket http://127.0.0.1:1/ failed: "):
            await room.run(lambda thing: thing.fetch_socket("ws://127.0.0.1:1/"))


@FACTS.driven("7.6 an object may return a fetched socket unread: its client talks to the server outside")
async def passed_on(stage: Stage) -> None:
    async with outside(stage, Proxy) as (room, server):
        Proxy.url = server.url
        client = await room.dial()
        for message in ("hello", b"bytes"):
            await client.send(message)
            assert await client.recv() == message
        await client.close(4001, "done")
        await room.until(lambda: server.closed == [(4001, "done")])
        client = await room.dial()
        await client.send("x")
        await client.recv()
        await server.connections[1].close(4002, "from outside")
        assert await close_of(client) == (4002, "from outside")
        await room.until(lambda: room.room.statistics().sockets == room.host.held.statistics() == 0)
        await room.hibernate()


class Proxy(Thing):
    url = ""

    async def fetch(self, request: Any) -> Response:
        return await fetch(self.url.replace("ws", "http", 1), headers={"Upgrade": "websocket"})


@FACTS.driven("7.6 any number of sockets may be open, within the bound of their process")
async def many(stage: Stage) -> None:
    async def open_all(thing: Any, url: str) -> None:
        thing.all = [WebSocket(url) for _ in range(150)]
        for ws in thing.all:
            thing.listen(ws)

    async with outside(stage, Caller) as (room, server):
        await room.run(open_all, server.url)
        await room.until_run(lambda thing: len(thing.journal), lambda found: found == 150)
        stage.monkeypatch.setattr("durable.host.outgoing_sockets.OUTGOING_SOCKETS_MAX", 150)
        for opening in (lambda thing: thing.open(server.url), lambda thing: thing.fetch_socket(server.url)):
            with pytest.raises(
                OverloadedError, match="one process can have 150 WebSockets to the outside, all are open"
            ):
                await room.run(opening)


# --- the end -------------------------------------------------------------------------------------------------------
@FACTS.driven("7.6 the server's close is always answered, and is a close event in the state CLOSED")
async def server_closes(stage: Stage) -> None:
    async with outside(stage, Caller, compatibility_date="2026-04-06") as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        await server.connections[0].close(4001, "enough")
        await hear(room, ["open", OPEN, ""], ["close", 4001, "enough", True, CLOSED])
        assert server.closed == [(4001, "enough")]


@FACTS.driven("7.6 close() is CLOSING until the server has answered, then a close event")
async def closes(stage: Stage) -> None:
    def bye(thing: Any) -> int:
        thing.ws.send("last words")
        thing.ws.close(4002, "bye")
        return thing.ws.ready_state

    async with outside(stage, Caller) as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        server.echoes = False
        assert await room.run(bye) == CLOSING
        await hear(room, ["open", OPEN, ""], ["close", 4002, "bye", True, CLOSED])
        assert (server.heard, server.closed) == (["last words"], [(4002, "bye")])


@FACTS.driven("7.6 a server that vanishes is a close event with 1006; what is said to it is ignored")
async def vanishes(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        server.connections[0].transport.abort()
        await hear(room, ["open", OPEN, ""], ["close", 1006, VANISHED, False, CLOSED])
        await room.run(lambda thing: (thing.ws.send("x"), thing.ws.close())[:0])


@FACTS.driven("7.6 a server that breaks the protocol is an error event")
async def breaks(stage: Stage) -> None:
    async with outside(stage, Caller) as (room, server):
        await room.run(lambda thing: thing.open(server.url))
        await hear(room, ["open", OPEN, ""])
        server.connections[0].transport.write(b"\x83\x00")
        await hear(
            room, ["open", OPEN, ""], ["error", "WebSocket protocol error; protocolError.statusCode = 1002; protocolE"
            "rror.description = Unexpected opcode=3", CLOSED],
        )  # fmt: skip
