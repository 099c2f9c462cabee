"""The gateway's listening half with a host that a test scripts: real TCP on one side, a real channel on the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from durable.gateway.access import Access
from durable.gateway.events import Event
from durable.gateway.http import HttpFront
from durable.gateway.link import HostLink
from durable.gateway.relay import Relay
from durable.gateway.router import Router
from durable.gateway.server import GatewayServer
from durable.limits import BODY_CHUNK_BYTES, BODY_WINDOW_BYTES
from durable.wire.channel import Channel
from durable.wire.messages import BodyChunk, BodyCredit, BodyEnd, Cancel, FromGateway, HttpReply, HttpRequest
from durable.wire.socket_pair import channel_pair


class EchoHost:
    """Answers by path: /hello, /echo (streams the request's body back), /count (its size), /endless, /never."""

    def __init__(self, sock: socket.socket) -> None:
        self.cancelled: list[int] = []
        self.seen: list[HttpRequest] = []
        self.sent_bytes = 0
        self._echoes: dict[int, int] = {}
        self._counts: dict[int, tuple[int, int]] = {}
        self._stream = 0
        self._refused: set[int] = set()
        self._credit: dict[int, int] = {}
        self.channel = Channel(sock, FromGateway, on_messages=self._hear, on_closed=lambda _error: None)

    def _hear(self, messages):
        for message in messages:
            getattr(self, "on_" + type(message).__name__)(message)

    def on_HttpRequest(self, message):
        self.seen.append(message)
        path = message.url.split("/", 3)[3].partition("?")[0]
        if path == "hello":
            self.channel.send(HttpReply(message.id, 0, 200, "", [("Content-Type", "text/plain")], b"hello"))
        elif path == "echo":
            if not message.stream:
                self.channel.send(HttpReply(message.id, 0, 200, "", [], message.body))
                return
            self._stream += 1
            self._echoes[message.stream] = self._stream
            self.channel.send(HttpReply(message.id, 0, 200, "", [], stream=self._stream))
        elif path == "count":
            self._counts[message.stream] = (message.id, 0)
        elif path == "endless":
            self._stream += 1
            self._credit[self._stream] = BODY_WINDOW_BYTES
            self.channel.send(HttpReply(message.id, 0, 200, "", [], stream=self._stream))
            self._pour(self._stream)

    def _pour(self, stream):
        while self._credit[stream] >= BODY_CHUNK_BYTES and stream not in self._refused:
            self._credit[stream] -= BODY_CHUNK_BYTES
            self.sent_bytes += BODY_CHUNK_BYTES
            self.channel.send(BodyChunk(stream, b"x" * BODY_CHUNK_BYTES))

    def on_BodyChunk(self, message):
        if message.stream in self._echoes:
            self.channel.send(BodyChunk(self._echoes[message.stream], message.data))
        elif message.stream in self._counts:
            request, size = self._counts[message.stream]
            self._counts[message.stream] = (request, size + len(message.data))
        self.channel.send(BodyCredit(message.stream, len(message.data)))

    def on_BodyEnd(self, message):
        if message.stream in self._echoes:
            self.channel.send(BodyEnd(self._echoes.pop(message.stream), message.error))
        elif message.stream in self._counts:
            request, size = self._counts.pop(message.stream)
            self.channel.send(HttpReply(request, 0, 200, "", [], str(size).encode()))

    def on_BodyCredit(self, message):
        if message.size == 0:
            self._refused.add(message.stream)
        elif message.stream in self._credit:
            self._credit[message.stream] += message.size
            self._pour(message.stream)

    def on_Cancel(self, message: Cancel):
        self.cancelled.append(message.id)


class ScriptedGateway:
    """A gateway with one host; `url` is where it listens."""

    def __init__(self, host=EchoHost):
        self.events: list[Event] = []
        ours, theirs = channel_pair()
        self.host = host(theirs)
        self.link = HostLink(ours, 1, 0, on_event=self.events.append)
        self.router = Router(1)
        self.router.attach([self.link])
        Relay(self.router, self.events.append).serve(self.link)

        async def unexpected(*_arguments):
            raise AssertionError("no test here opens a socket or asks the admin")

        front = HttpFront(
            self.router,
            Access(),
            connect_socket=unexpected,
            admin=unexpected,
            on_event=self.events.append,
            class_names={},
        )
        self.server = GatewayServer(front, "127.0.0.1", 0, on_event=self.events.append, shutdown_seconds=1.0)
        self.port = 0
        self.url = ""
        self._clients = []

    async def start(self):
        self.port = await self.server.start()
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def stop(self):
        for writer in self._clients:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await self.server.stop()
        self.host.channel.close()
        self.link.lost()

    async def connect(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._clients.append(writer)
        return reader, writer


async def wait_until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
