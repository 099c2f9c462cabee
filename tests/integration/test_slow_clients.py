"""Clients that take their time over a head, a body or an answer: each is let go, and nobody else waits for it.

The bounds are shortened; what is waited for is that the gateway acts, never that time has passed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from aiohttp import web_protocol
from aiohttp.http_parser import HttpRequestParserPy

from durable.gateway import connection, server, uploads
from durable.gateway.connection import ClientConnection
from durable.gateway.events import GatewayFault, MalformedRequest
from durable.limits import BODY_STALL_SECONDS_MAX, DESCRIPTORS_RESERVED, HTTP_HEAD_BYTES_MAX, MIB
from durable.wire.messages import HttpReply
from tests.integration.raw_http import RawClient, connected
from tests.integration.scripted_gateway import EchoHost, ScriptedGateway, wait_until
from tests.integration.test_smuggling import RecordingHost

SHORT = 0.15
"""A bound in seconds, where reaching it is what is tested."""
HOST = "Host: 127.0.0.1\r\n"
HELLO = f"GET /hello HTTP/1.1\r\n{HOST}\r\n"
CHUNKED = f"POST /count HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def gateway() -> AsyncIterator[Any]:
    gateway = await ScriptedGateway().start()
    yield gateway
    await gateway.stop()
    assert not [event for event in gateway.events if isinstance(event, GatewayFault)]


async def trickled(client: RawClient, data: bytes) -> bool:
    """Send byte after byte; True when the other side ends it, False when it has taken all of `data`."""
    ended = asyncio.ensure_future(client.wait_end())
    for byte in data:
        client.writer.write(bytes([byte]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHORT / 20):
                await asyncio.shield(ended)
        if ended.done():
            return True
    ended.cancel()
    return False


def told(gateway: Any) -> list[str]:
    return [event.text for event in gateway.events if isinstance(event, MalformedRequest)]


# --- heads ------------------------------------------------------------------------------------------------------------
DRIP = b"GET /hello HTTP/1.1\r\nX: " + b"a" * 200


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for_and_others_are_served(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HTTP_HEAD_SECONDS_MAX", SHORT)
    async with contextlib.AsyncExitStack() as clients:
        slow = [await clients.enter_async_context(connected(gateway.port)) for _ in range(20)]
        trickling = asyncio.gather(*(trickled(client, DRIP) for client in slow))
        async with connected(gateway.port) as other:
            while not trickling.done():
                assert (await other.ask(HELLO)).status == 200
                await asyncio.sleep(0)

        assert await trickling == [True] * 20
        assert told(gateway)[0].startswith("the headers of a request took more than ")
        assert len(told(gateway)) <= 2
    await wait_until(lambda: gateway.server.statistics().connections == 0)


async def test_a_head_that_stops_is_answered_before_the_connection_ends(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HTTP_HEAD_SECONDS_MAX", SHORT)
    async with connected(gateway.port) as client:
        answer = await client.ask(DRIP)

        assert (answer.status, answer.ends_connection) == (408, True)


async def test_the_bound_holds_for_every_head_of_a_connection(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(gateway.port) as client:
        await client.ask(HELLO)
        monkeypatch.setattr(connection, "HTTP_HEAD_SECONDS_MAX", SHORT)

        assert await trickled(client, DRIP)


async def test_without_that_bound_the_head_goes_on(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HTTP_HEAD_SECONDS_MAX", SHORT)
    monkeypatch.setattr(ClientConnection, "_head_goes_on", lambda self, size: None)
    async with connected(gateway.port) as client:
        assert not await trickled(client, DRIP[:60])


async def test_a_head_that_came_in_pieces_and_in_time_has_no_late_effect(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HTTP_HEAD_SECONDS_MAX", SHORT)
    async with connected(gateway.port) as client:
        await client.send(HELLO[:9])
        [ours] = await connections(gateway, lambda one: one._head_timer is not None)
        assert (await client.ask(HELLO[9:])).status == 200

        await wait_until(lambda: ours._head_timer is None)

        assert (await client.ask(HELLO)).status == 200


async def connections(gateway: Any, ready: Any) -> list[Any]:
    """The gateway's ends of the connections, as soon as all are `ready`."""
    found: list[Any] = []

    def look() -> bool:
        found[:] = list(gateway.server._server._connections)
        return bool(found) and all(ready(one) for one in found)

    await wait_until(look)
    return found


async def test_a_head_that_does_not_end_is_refused_by_its_size(gateway: Any) -> None:
    async with connected(gateway.port) as client:
        field = "X: " + "a" * 40_000 + "\r\n"
        await client.send(HELLO[:-2] + field * (HTTP_HEAD_BYTES_MAX // len(field)))
        await connections(gateway, lambda one: one._head_bytes > 100_000)

        assert (await client.ask(field)).status == 431

    assert told(gateway) == ["the headers of a request are longer than 128 KiB"]


async def test_a_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", SHORT)
    gateway: Any = await ScriptedGateway().start()
    async with connected(gateway.port) as fresh, connected(gateway.port) as used:
        assert (await used.ask(HELLO)).status == 200

        assert await fresh.wait_end() == await used.wait_end() == b""
    await gateway.stop()
    assert told(gateway) == []


async def test_connections_that_take_the_last_descriptors_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "descriptor_limit", lambda: DESCRIPTORS_RESERVED + 2)
    gateway: Any = await ScriptedGateway().start()
    async with connected(gateway.port) as first:
        async with connected(gateway.port) as second:
            assert [(await client.ask(HELLO)).status for client in (first, second)] == [200, 200]
            async with connected(gateway.port) as third:
                assert await third.wait_end() == b""
            assert (await first.ask(HELLO)).status == 200
        await wait_until(lambda: gateway.server.statistics().connections == 1)
        async with connected(gateway.port) as fourth:
            assert (await fourth.ask(HELLO)).status == 200
    await gateway.stop()


# --- bodies -----------------------------------------------------------------------------------------------------------
async def test_a_body_that_stops_is_ended_for_both_sides(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BODY_STALL_SECONDS_MAX", SHORT)
    for sent in (CHUNKED + "3\r\nabc\r\n", CHUNKED, f"POST /echo HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\nabc"):
        async with connected(gateway.port) as client, connected(gateway.port) as other:
            await client.send(sent)
            assert (await other.ask(HELLO)).status == 200

            answer = await client.answer()

            assert (answer.status, answer.ends_connection) == (408, True)
            assert answer.body.startswith(b"body_stalled: ")
    await wait_until(lambda: gateway.link.statistics().pending == gateway.link.statistics().bodies == 0)


async def test_a_slow_body_that_goes_on_is_taken_to_its_end(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    timeout = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda delay: waits.append(delay) or timeout(delay))  # type: ignore[func-returns-value]
    async with connected(gateway.port) as client:
        await client.send(CHUNKED)
        for count in range(1, 30):
            await client.send("1\r\nx\r\n")
            await wait_until(lambda count=count: list(gateway.host._counts.values())[-1:] == [(1, count)])

        answer = await client.ask("0\r\n\r\n")

    assert answer.body == b"29"
    # Each piece had the whole bound for itself: it is one of silence, not one of the whole body.
    assert waits.count(BODY_STALL_SECONDS_MAX) >= 29


@pytest.fixture(params=["C", "Python"])
async def recording(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    if request.param == "Python":
        monkeypatch.setattr(web_protocol, "HttpRequestParser", HttpRequestParserPy)
    gateway: Any = await ScriptedGateway(CountingHost).start()
    yield gateway
    await gateway.stop()


class CountingHost(RecordingHost):
    """Knows how many messages a body took."""

    chunks = 0

    def on_BodyChunk(self, message: Any) -> None:
        self.chunks += 1
        super().on_BodyChunk(message)


async def test_a_flood_of_chunks_of_one_byte_arrives_in_few_messages(recording: Any) -> None:
    async with connected(recording.port) as client:
        await client.send(CHUNKED)
        for _ in range(50):
            await client.send("1\r\nx\r\n" * 2000)

        assert (await client.ask("0\r\n\r\n")).status == 200

    [(_, body)] = recording.host.told
    assert len(body) == 100_000
    assert recording.host.chunks < 20_000


def endless(piece: str) -> Iterable[str]:
    for _ in range(400):
        yield piece * 100


@pytest.mark.parametrize(
    ("start", "piece"),
    [("1;x", "y" * 100), ("0\r\n", "X: y\r\n"), ("0\r\nX: ", "y" * 100)],
    ids=["one extension", "trailers", "one trailer"],
)
async def test_a_body_that_goes_on_without_saying_anything_ends(
    recording: Any, monkeypatch: pytest.MonkeyPatch, start: str, piece: str
) -> None:
    monkeypatch.setattr(uploads, "BODY_STALL_SECONDS_MAX", SHORT)
    async with connected(recording.port) as client, connected(recording.port) as other:
        await client.send(CHUNKED + start)
        answering = asyncio.ensure_future(client.answer())
        for data in endless(piece):
            client.writer.write(data.encode())
            await asyncio.sleep(0)
            if answering.done():
                break

        assert (await answering).status in (0, 400, 408)
        assert (await other.ask(HELLO)).status == 200
    await wait_until(lambda: recording.link.statistics().bodies == 0)
    assert recording.host.told == [("/hello", b"")]


# --- answers ----------------------------------------------------------------------------------------------------------
class LargeHost(EchoHost):
    """Answers everything at once with more than the kernel keeps for a client that does not read."""

    size = 32 * MIB

    def on_HttpRequest(self, message: Any) -> None:
        self.seen.append(message)
        size = 10 if message.url.endswith("hello") else self.size
        self.channel.send(HttpReply(message.id, 0, 200, "", [], b"x" * size))


@pytest.mark.parametrize("requests", [f"GET /large HTTP/1.1\r\n{HOST}\r\n" * 20, f"GET /large HTTP/1.0\r\n{HOST}\r\n"])
async def test_a_client_that_takes_nothing_of_its_answer_is_let_go(
    monkeypatch: pytest.MonkeyPatch, requests: str
) -> None:
    monkeypatch.setattr(connection, "BODY_STALL_SECONDS_MAX", SHORT)
    gateway: Any = await ScriptedGateway(LargeHost).start()
    async with connected(gateway.port) as client, connected(gateway.port) as other:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(requests)
        await wait_until(lambda: gateway.host.seen)
        assert (await other.ask(HELLO)).status == 200

        await wait_until(lambda: gateway.server.statistics().connections == 1)

        # The others were never asked for: nothing piles up behind an answer that is not taken.
        assert [request.url.rpartition("/")[2] for request in gateway.host.seen] == ["large", "hello"]
        assert (await other.ask(HELLO)).status == 200
    await gateway.stop()


async def test_without_that_bound_a_client_that_takes_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_STALL_SECONDS_MAX", SHORT)
    monkeypatch.setattr(ClientConnection, "_watch_taking", lambda self: None)
    gateway: Any = await ScriptedGateway(LargeHost).start()
    async with connected(gateway.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(f"GET /large HTTP/1.0\r\n{HOST}\r\n")
        await wait_until(lambda: gateway.host.seen)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4 * SHORT):
                await wait_until(lambda: gateway.server.statistics().connections == 0)
    await gateway.stop()


async def test_a_client_that_takes_nothing_of_a_stream_is_let_go(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_STALL_SECONDS_MAX", SHORT)
    async with connected(gateway.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(f"GET /endless HTTP/1.1\r\n{HOST}\r\n")

        await wait_until(lambda: gateway.host._refused)
        await wait_until(lambda: gateway.server.statistics().connections == 0)
    assert gateway.link.statistics().bodies == 0


async def test_a_client_that_reads_slowly_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = ClientConnection.check_taking

    def counted(self: ClientConnection) -> None:
        looks.append(1)
        look(self)

    monkeypatch.setattr(ClientConnection, "check_taking", counted)
    monkeypatch.setattr(connection, "BODY_STALL_SECONDS_MAX", SHORT)
    gateway: Any = await ScriptedGateway(LargeHost).start()
    async with connected(gateway.port) as client:
        await client.send(f"GET /large HTTP/1.1\r\n{HOST}\r\n")
        size = 0
        async with asyncio.timeout(20):
            while size < LargeHost.size:
                # A part, and then nothing until the gateway has looked: three times at least.
                part = size + (4 * MIB if len(looks) < 3 else LargeHost.size)
                while size < min(part, LargeHost.size):
                    size += len(await client.reader.read(MIB))
                seen = len(looks)
                await wait_until(lambda seen=seen: len(looks) > seen or len(looks) >= 3)
        assert gateway.server.statistics().connections == 1
    await gateway.stop()
    assert len(looks) >= 3
