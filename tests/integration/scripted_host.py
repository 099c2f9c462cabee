"""A gateway's room of sockets behind a real server, with a host that says what the test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from durable.clock import ManualClock
from durable.gateway.events import Event
from durable.gateway.headers import InvalidHeaderError
from durable.gateway.websockets import ClientSockets
from durable.wire.messages import (
    ActorKey,
    Begun,
    Done,
    HttpReply,
    SocketAccepted,
    SocketFailed,
    SocketMessage,
)

ROOM = ActorKey("Room-1", f"{1:064x}", "general")
VANISHED = "WebSocket disconnected without sending Close frame."


class Host:
    """A link whose other side is the test. `heard` is what the gateway sent it."""

    def __init__(self, number: int, shard: int = 0) -> None:
        self.host_number = number
        self.shard = shard
        self.is_lost = False
        self.unsent_bytes = 0
        self.closed_in_order = False
        self.unclaimed: Any = None
        self.socket_owner: Any = None
        self.handlers: dict[type, Any] = {}
        self.heard: list[Any] = []

    def on(self, kind: type, handler: Any) -> None:
        self.handlers[kind] = handler

    def send(self, message: Any) -> None:
        self.heard.append(message)

    def say(self, *messages: Any) -> None:
        for message in messages:
            self.handlers[type(message)](message)

    @property
    def texts(self) -> list[str | None]:
        return [message.text for message in self.heard if isinstance(message, SocketMessage)]

    def begin(self, *messages: Any) -> None:
        self.say(Begun([message.event for message in messages]))

    def finish(self, *messages: Any) -> None:
        self.say(Done([message.event for message in messages]))


class Placement:
    """A router with one shard."""

    def __init__(self) -> None:
        self.link: Host | None = None

    def owner_nowait(self, actor: ActorKey | None) -> Any:
        return self.link


class Bench:
    """A server whose every request is upgraded onto a socket that the scripted host accepted."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        router: Any = Placement()
        self.router: Placement = router
        self.clock = ManualClock(wall_ms=5000)
        self.room = ClientSockets(
            router, on_event=self.events.append, class_name=lambda key: key.split("-")[0], clock=self.clock
        )
        self.host = self.start_host(1)
        self.port = 0
        self.sockets = 0
        self.hibernatable = True
        self.reply_headers: list[tuple[str, str]] = []
        self.before_reply: Callable[[int], None] = lambda _socket: None
        self.accept_first = True
        self.connected: asyncio.Queue[int] = asyncio.Queue()
        self.errors: list[BaseException] = []
        self.writers: list[asyncio.StreamWriter] = []

    def start_host(self, number: int) -> Host:
        host = Host(number)
        self.room.listen(host)  # type: ignore[arg-type]
        self.router.link = host
        self.host = host
        return host

    def lose_host(self) -> Host:
        lost = self.host
        lost.is_lost = True
        self.router.link = None
        self.room.host_lost(lost)  # type: ignore[arg-type]
        return lost

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.sockets += 1
        number = self.sockets
        if self.accept_first:
            self.host.say(SocketAccepted(number, ROOM, [f"tag{number}"], self.hibernatable))
        self.before_reply(number)
        reply = HttpReply(1, 0, 101, "", self.reply_headers, socket=number)
        self.connected.put_nowait(number)
        try:
            return await self.room.connect(request, reply, self.host)  # type: ignore[arg-type]
        except ConnectionError:
            assert request.transport is not None
            request.transport.close()
            raise
        except InvalidHeaderError as error:
            self.errors.append(error)
            self.host.unclaimed(reply)
            return web.Response(status=500, text=str(error))

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    async def dial(self, **options: Any) -> ClientConnection:
        options.setdefault("compression", None)
        connection = await connect(self.url, max_size=None, **options)
        await self.connected.get()
        return connection

    async def raw(self, along: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection after its handshake, for bytes that no library would send; `along` goes with the handshake."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + along
        )
        await reader.readuntil(b"\r\n\r\n")
        await self.connected.get()
        return reader, writer

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (found := condition()):
                await asyncio.sleep(0.002)
        return found

    async def failed(self) -> SocketFailed:
        """The host hears that a client broke the protocol, and is done with that."""
        failed: SocketFailed = await self.next(SocketFailed)
        self.host.finish(failed)
        return failed

    async def next(self, kind: type, count: int = 1) -> Any:
        """The `count`-th message of that kind that the present host heard."""
        found = await self.until(
            lambda: len(all_of := [m for m in self.host.heard if isinstance(m, kind)]) >= count and all_of
        )
        return found[count - 1]


@contextlib.asynccontextmanager
async def running_bench() -> AsyncIterator[Bench]:
    bench = Bench()
    server = web.Server(bench.handle, handler_cancellation=True)
    runner = web.ServerRunner(server)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    bench.port = listening.getsockname()[1]
    await web.SockSite(runner, listening).start()
    yield bench
    for writer in bench.writers:
        writer.transport.abort()
    for record in list(bench.room._records.values()):
        record.close(1006, "")
    await runner.shutdown()
    await runner.cleanup()


def masked(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    key = os.urandom(4)
    body = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return bytes((first | opcode, 0x80 | len(payload))) + key + body


async def until_closed(client: ClientConnection) -> AsyncIterator[str | bytes]:
    """What the client receives before its connection is closed."""
    try:
        while True:
            yield await client.recv()
    except ConnectionClosed:
        return
