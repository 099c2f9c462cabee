"""Client sockets over real connections: aiohttp's server on our side, `websockets`, aiohttp and bare TCP on the other.

The host is scripted: it answers each upgrade with a socket of its own and says what the test tells it to.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from websockets.exceptions import ConnectionClosed

from durable.errors import WireError
from durable.gateway import client_socket
from durable.gateway.events import SocketOpened
from durable.wire.messages import (
    AutoResponded,
    AutoResponseState,
    SetAutoResponse,
    SocketAccepted,
    SocketClosed,
    SocketFailed,
    SocketMessage,
    SocketSend,
    SocketState,
)
from tests.integration.scripted_host import ROOM, VANISHED, Bench, running_bench


@pytest.fixture
async def bench():
    async with running_bench() as bench:
        yield bench


# --- messages ------------------------------------------------------------------------------------------------------
async def test_messages_reach_the_host_in_order_with_growing_numbers(bench: Bench):
    client = await bench.dial()

    await client.send("hello")
    await client.send(b"\x00\x01")
    last = await bench.next(SocketMessage, 2)

    assert bench.host.heard[0] == SocketMessage(last.event - 1, 1, "hello", None)
    assert last == SocketMessage(last.event, 1, None, b"\x00\x01")
    assert bench.events == [SocketOpened("Room", "general", ROOM.id)]


async def test_what_the_actor_said_before_the_client_was_connected_comes_first(bench: Bench):
    bench.before_reply = lambda number: bench.host.say(
        SocketSend([number], "early", None), SocketSend([number], None, b"b")
    )

    client = await bench.dial()
    bench.host.say(SocketSend([1], "late", None))

    assert [await client.recv() for _ in range(3)] == ["early", b"b", "late"]


async def test_one_message_reaches_every_socket_and_unknown_ones_do_no_harm(bench: Bench):
    clients = [await bench.dial() for _ in range(5)]

    bench.host.say(SocketSend([1, 2, 99, 3, 4, 5], "to all", None))

    assert [await client.recv() for client in clients] == ["to all"] * 5


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1_000_000])
async def test_every_length_arrives_whole_both_ways(bench: Bench, size: int):
    client = await bench.dial()

    await client.send("x" * size)
    message = await bench.next(SocketMessage)
    bench.host.say(SocketSend([1], message.text, None))

    assert len(await client.recv()) == size


async def test_clients_that_offer_deflate_get_it_and_share_the_work(bench: Bench):
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(bench.url, compress=15) for _ in range(2)]
        plain = await bench.dial()
        assert sockets[0].compress
        text = "many words " * 1000

        for _ in range(3):
            bench.host.say(SocketSend([1, 2, 3], text, None))
        await sockets[0].send_str(text)

        for client in sockets:
            assert [await client.receive_str() for _ in range(3)] == [text] * 3
        assert [await plain.recv() for _ in range(3)] == [text] * 3
        assert (await bench.next(SocketMessage)).text == text
        bench.room.close_all()


async def test_32_mib_arrive_and_one_byte_more_does_not(bench: Bench):
    client = await bench.dial()
    await client.send(bytes(32 * 1024 * 1024))
    message = await bench.next(SocketMessage)
    assert len(message.binary) == 32 * 1024 * 1024
    bench.host.finish(message)

    with pytest.raises(ConnectionClosed):
        await client.send(bytes(32 * 1024 * 1024 + 1))
        await client.recv()

    assert (client.close_code, client.close_reason) == (1009, "Message is too large")
    failed = await bench.next(SocketFailed)
    assert failed.message == (
        "WebSocket protocol error; protocolError.statusCode = 1009; protocolError.description = Message is too large"
    )


async def test_pings_are_answered_without_the_host(bench: Bench):
    client = await bench.dial()

    latency = await (await client.ping())

    assert latency >= 0
    assert bench.host.heard == []


# --- upgrades ------------------------------------------------------------------------------------------------------
async def test_headers_and_protocol_of_the_response_reach_the_client(bench: Bench):
    bench.reply_headers = [
        ("Sec-WebSocket-Protocol", "chat.v2"),
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("Connection", "close"),
    ]

    client = await bench.dial(subprotocols=["chat.v1", "chat.v2"])

    assert client.subprotocol == "chat.v2"
    assert client.response is not None
    assert client.response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert client.response.headers["Connection"] == "upgrade"
    states, _ = bench.room.attach_states(0, 1)
    assert states[0].protocol == "chat.v2"


async def test_a_header_that_would_inject_another_is_refused_and_the_actor_told(bench: Bench):
    bench.reply_headers = [("X-Bad", "a\r\nSet-Cookie: evil=1")]

    with pytest.raises(websockets.exceptions.InvalidStatus):
        await bench.dial()

    assert "X-Bad" in str(bench.errors[0])
    assert (await bench.next(SocketClosed)).code == 1006


async def test_a_handshake_without_a_key_is_refused_and_the_actor_told(bench: Bench):
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 500")
    assert str(bench.errors[0]) == "The response has status 101, but the client's WebSocket handshake is not valid."
    assert (await bench.next(SocketClosed)).code == 1006
    writer.close()


async def test_a_socket_accepted_after_its_reply_begins_then(bench: Bench):
    bench.accept_first = False
    client = await bench.dial()
    await client.send("waiting")
    await asyncio.sleep(0.01)
    assert bench.host.heard == []

    bench.host.say(SocketAccepted(1, ROOM, [], True))

    assert (await bench.next(SocketMessage)).text == "waiting"
    assert bench.events == [SocketOpened("Room", "general", ROOM.id)]


async def test_a_socket_that_is_never_accepted_is_closed_at_the_bound(bench: Bench):
    bench.accept_first = False
    client = await bench.dial()

    bench.room.expire(bench.room._records[1])

    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, client.close_reason) == (1011, "the server did not accept this WebSocket")


async def test_a_socket_whose_client_never_comes_is_closed_for_its_actor(bench: Bench):
    bench.host.say(SocketAccepted(9, ROOM, [], True), SocketSend([9], "kept", None))

    bench.room.expire(bench.room._records[9])

    closed = await bench.next(SocketClosed)
    assert closed == SocketClosed(closed.event, 9, 1006, VANISHED, False)
    bench.host.finish(closed)
    assert bench.room.statistics().sockets == 0


async def test_a_client_that_comes_as_its_socket_is_given_up_is_turned_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    prepare = client_socket.Upgrade.prepare

    async def late(upgrade: client_socket.Upgrade, request: web.BaseRequest) -> Any:
        bench.room.expire(bench.room._records[1])
        return await prepare(upgrade, request)

    monkeypatch.setattr(client_socket.Upgrade, "prepare", late)
    client = await bench.dial()

    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (await bench.next(SocketClosed)).code == 1006
    assert bench.room.statistics().connected == 0


async def test_a_socket_accepted_twice_is_the_hosts_fault(bench: Bench):
    bench.host.say(SocketAccepted(9, ROOM, [], True))

    with pytest.raises(WireError, match="socket 9 was accepted twice"):
        bench.host.say(SocketAccepted(9, ROOM, [], True))


# --- auto-response -------------------------------------------------------------------------------------------------
async def test_an_exact_match_is_answered_here_and_the_host_told_when(bench: Bench):
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"))
    client = await bench.dial()

    await client.send("ping")
    assert await client.recv() == "pong"
    await client.send("ping ")
    await client.send(b"ping")
    await bench.next(SocketMessage, 2)

    assert [message for message in bench.host.heard if isinstance(message, AutoResponded)] == [AutoResponded(1, 5000)]
    assert bench.host.texts == ["ping ", None]


async def test_without_a_host_the_answer_still_comes_and_the_time_is_kept(bench: Bench):
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"))
    client = await bench.dial()
    bench.room.hold()

    await client.send("ping")
    assert await client.recv() == "pong"

    states, pairs = bench.room.attach_states(0, 1)
    assert states == [SocketState(1, ROOM, ["tag1"], None, "", 5000)]
    assert pairs == [AutoResponseState(ROOM, "ping", "pong")]
    assert bench.host.heard == []


async def test_unsetting_the_pair_ends_the_answers(bench: Bench):
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"), SetAutoResponse(ROOM, None, None))
    client = await bench.dial()

    await client.send("ping")

    assert (await bench.next(SocketMessage)).text == "ping"
    assert bench.room.attach_states(0, 1)[1] == []


async def test_sockets_without_hibernation_have_no_auto_response(bench: Bench):
    bench.hibernatable = False
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"))
    client = await bench.dial()

    await client.send("ping")

    assert (await bench.next(SocketMessage)).text == "ping"
