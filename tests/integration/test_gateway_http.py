"""The gateway's listening half as a whole: real TCP clients on one side, a scripted host on a real channel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest

from durable.errors import UserInputError
from durable.gateway import uploads
from durable.gateway.access import Access
from durable.gateway.events import BoundBeyondLoopback, Event, MalformedRequest, RequestServed
from durable.gateway.http import HttpFront
from durable.gateway.link import HostLink
from durable.gateway.relay import Relay
from durable.gateway.router import Router
from durable.gateway.server import GatewayServer
from durable.limits import BODY_CHUNK_BYTES, BODY_WINDOW_BYTES, MIB
from durable.wire.channel import Channel, channel_pair
from durable.wire.messages import (
    BodyChunk,
    BodyCredit,
    BodyEnd,
    Cancel,
    FromGateway,
    HttpReply,
    HttpRequest,
)


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


class Running:
    """A gateway with one host; `url` is where it listens."""

    def __init__(self):
        self.events: list[Event] = []
        ours, theirs = channel_pair()
        self.host = EchoHost(theirs)
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


@pytest.fixture
async def running():
    gateway = await Running().start()
    yield gateway
    await gateway.stop()


async def nobody(_request):
    raise AssertionError("no request is expected here")


async def curl(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--max-time", "20", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output


async def wait_until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_curl_gets_an_answer(running):
    assert await curl(running.url + "/hello") == b"hello"
    [served] = [event for event in running.events if isinstance(event, RequestServed)]
    assert (served.method, served.path, served.status) == ("GET", "/hello", 200)
    assert served.duration_ms > 0


async def test_localhost_is_served_under_both_protocols_and_nowhere_else(running):
    listening = {connection.local for connection in listeners(running.port)}

    assert "127.0.0.1" in listening
    assert listening <= {"127.0.0.1", "::1"}
    assert await curl(f"http://localhost:{running.port}/hello") == b"hello"


async def test_a_large_upload_streams_through_and_back(running, tmp_path):
    data = os.urandom(5 * MIB + 17)
    (tmp_path / "data").write_bytes(data)

    echoed = await curl("-T", str(tmp_path / "data"), running.url + "/echo")

    assert echoed == data


async def test_a_chunked_upload_of_unknown_length_streams(running, tmp_path):
    data = os.urandom(3 * MIB)
    (tmp_path / "data").write_bytes(data)

    size = await curl("-H", "Transfer-Encoding: chunked", "-T", str(tmp_path / "data"), running.url + "/count")

    assert int(size) == len(data)


async def test_curls_100_continue_is_answered_at_once(running):
    body = "x" * 2000

    echoed = await curl("-H", "Expect: 100-continue", "--expect100-timeout", "15", "-d", body, running.url + "/echo")

    assert echoed == body.encode()


async def test_a_reader_that_does_not_read_holds_its_source_back(running):
    reader, writer = await running.connect()
    writer.write(f"GET /endless HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await wait_until(lambda: running.host.sent_bytes > 0)
    sent = -1
    while sent != running.host.sent_bytes:
        sent = running.host.sent_bytes
        await asyncio.sleep(0.2)

    # What is under way fits into the windows and the kernel's buffers; it does not grow with what the source has.
    assert sent < 16 * MIB
    for _ in range(50):
        await reader.read(MIB)
    await wait_until(lambda: running.host.sent_bytes > sent)
    writer.close()
    await wait_until(lambda: running.host._refused)


async def test_a_client_that_leaves_cancels_at_the_host(running):
    _, writer = await running.connect()
    writer.write(f"GET /never HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await wait_until(lambda: running.host.seen)

    writer.close()

    await wait_until(lambda: running.host.cancelled == [1])
    await wait_until(lambda: [e.status for e in running.events if isinstance(e, RequestServed)] == [499])


async def test_a_host_that_dies_in_the_middle_of_a_body_cuts_the_response_short(running):
    reader, writer = await running.connect()
    writer.write(f"GET /endless HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")

    running.host.channel.close()
    running.link.lost()

    rest = await asyncio.wait_for(reader.read(), 10)
    assert not rest.endswith(b"0\r\n\r\n")
    writer.close()


async def test_malformed_requests_are_refused_and_reported_in_one_line(running, caplog):
    for _ in range(5):
        reader, writer = await running.connect()
        writer.write(b"\x1b[31mGET / HTTP/9.9\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400 Bad Request\r\n")
        writer.close()

    reports = [event for event in running.events if isinstance(event, MalformedRequest)]
    assert len(reports) == 1
    assert reports[0].text.isprintable()
    assert caplog.records == []


SMUGGLING = [
    b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
    b"POST /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: +5\r\n\r\nhello",
    b"POST /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rb\r\n\r\n",
    b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n folded: x\r\n\r\n",
    b"GET /hello HTTP/1.1\r\n\r\n",
    b"GET http://evil.example/hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("sent", SMUGGLING, ids=range(len(SMUGGLING)))
async def test_ambiguous_requests_are_refused_and_reach_no_host(running, sent):
    reader, writer = await running.connect()
    writer.write(sent)

    head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)

    assert head.split()[1] in (b"400", b"403")
    assert running.host.seen == []
    writer.close()


async def test_a_bad_chunk_ends_the_body_and_the_connection(running, monkeypatch):
    # aiohttp's parser in C leaves the reader of a body waiting when a chunk is broken; the stall bound ends it.
    monkeypatch.setattr(uploads, "BODY_STALL_SECONDS_MAX", 0.2)
    reader, writer = await running.connect()
    writer.write(b"POST /count HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await wait_until(lambda: running.host.seen)

    writer.write(b"zz\r\nGET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
    assert b"Connection: close\r\n" in answer
    assert [request.url.rpartition("/")[2] for request in running.host.seen] == ["count"]
    writer.close()


async def test_a_taken_port_is_named_with_its_holder_and_another_to_try():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = GatewayServer(nobody, "127.0.0.1", port, on_event=print)

        with pytest.raises(UserInputError) as caught:
            await server.start()

    assert caught.value.fix == f"durable dev --port {port + 1}"
    if sys.platform == "linux":
        assert str(caught.value).startswith(f"Port {port} is already in use by pid {os.getpid()} (")
    else:
        assert str(caught.value) == f"Port {port} is already in use."


async def test_an_address_of_another_machine_is_refused_clearly():
    server = GatewayServer(nobody, "192.0.2.1", 0, on_event=print)

    with pytest.raises(UserInputError, match=r"192\.0\.2\.1 is not an address of this machine"):
        await server.start()


async def test_listening_beyond_this_machine_is_reported():
    events: list[Event] = []
    server = GatewayServer(nobody, "0.0.0.0", 0, on_event=events.append)
    port = await server.start()
    await server.stop()
    await server.stop()

    assert events == [BoundBeyondLoopback("0.0.0.0", port)]


async def test_a_stop_lets_running_requests_finish(running):
    reader, writer = await running.connect()
    writer.write(f"GET /never HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await wait_until(lambda: running.host.seen)

    stopping = asyncio.ensure_future(running.server.stop())
    await asyncio.sleep(0.05)
    running.host.channel.send(HttpReply(1, 0, 200, "", [], b"finished"))
    await stopping

    assert (await reader.read()).endswith(b"finished")
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await running.connect()


async def test_forgotten_tasks_complain_to_nobody(running):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    for path in ("endless", "never", "echo"):
        _, writer = await running.connect()
        head = f"POST /{path} HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + b"3\r\nabc\r\n")
        await asyncio.sleep(0.02)
        writer.transport.abort()
    await wait_until(lambda: not running.link.statistics().pending)
    await asyncio.sleep(0.05)

    assert complaints == []
    assert running.link.statistics().bodies == 0


def listeners(port: int):
    """What the kernel says listens on a port, from a program that is not ours."""
    output = subprocess.run(
        [sys.executable, "-c", LISTENERS, str(port)], capture_output=True, text=True, check=True
    ).stdout
    return [type("Listener", (), {"local": address})() for address in json.loads(output)]


LISTENERS = """
import ipaddress, json, sys
found = []
for table, width in (("/proc/net/tcp", 8), ("/proc/net/tcp6", 32)):
    for line in open(table).read().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, port = local.split(":")
        if state == "0A" and int(port, 16) == int(sys.argv[1]):
            words = [bytes.fromhex(address[i:i + 8])[::-1] for i in range(0, width, 8)]
            found.append(str(ipaddress.ip_address(b"".join(words))))
print(json.dumps(found))
"""
