"""What one client may cost, over real connections: events that pile up, and a client that does not read."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from durable.gateway import socket_delivery
from durable.limits import SOCKET_KEEPALIVE_SECONDS, SOCKET_SEND_UNTAKEN_BYTES_MAX
from durable.wire.messages import SocketClosed, SocketMessage, SocketSend
from tests.integration.scripted_host import Bench, masked, running_bench, until_closed

MIB = 1024 * 1024


@pytest.fixture
async def bench():
    async with running_bench() as bench:
        yield bench


async def test_a_client_whose_events_pile_up_is_not_read_until_they_are_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socket_delivery, "SOCKET_EVENTS_WAITING_MAX", 4)
    client = await bench.dial()
    quiet = await bench.dial()
    for number in range(10):
        await client.send(str(number))
    await quiet.send("of another client")
    await bench.until(lambda: "of another client" in bench.host.texts)
    await asyncio.sleep(0.02)
    assert [text for text in bench.host.texts if text != "of another client"] == ["0", "1", "2", "3"]

    seen = 0
    while len(bench.host.texts) < 11:
        messages = [message for message in bench.host.heard if isinstance(message, SocketMessage)]
        bench.host.finish(*messages[seen:])
        seen = len(messages)
        await asyncio.sleep(0.002)

    assert [text for text in bench.host.texts if text != "of another client"] == [str(n) for n in range(10)]


@pytest.mark.parametrize("name", ["SOCKET_EVENTS_WAITING_BYTES_MAX", "SOCKET_EVENTS_TOTAL_BYTES_MAX"])
async def test_bytes_are_bounded_like_events(bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(socket_delivery, name, 1000)
    client = await bench.dial()
    for _ in range(4):
        await client.send("x" * 600)
    await asyncio.sleep(0.03)
    assert len(bench.host.texts) == 2

    bench.host.finish(*bench.host.heard)
    await bench.next(SocketMessage, 4)


async def test_a_slow_reader_is_closed_with_1013_and_the_others_go_on(bench: Bench):
    reader, writer = await bench.raw()
    quick = await bench.dial()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    payload = bytes(1024 * 1024)

    received = 0
    for _ in range(100):
        bench.host.say(SocketSend([1, 2], None, payload))
        received += len(await quick.recv())
    closed = await bench.next(SocketClosed)

    assert received == 100 * len(payload)
    assert closed == SocketClosed(closed.event, 1, 1013, "the client reads too slowly", False)
    assert bench.room._records[2].client is not None


async def test_a_client_that_takes_nothing_is_let_go_by_the_clock(bench: Bench):
    reader, _ = await bench.raw()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(9):
        bench.host.say(SocketSend([1], None, bytes(MIB)))
    assert bench.host.heard == []

    bench.room._records[1].client._writer.check_progress()  # type: ignore[union-attr]

    assert (await bench.next(SocketClosed)).code == 1013


async def test_a_client_that_takes_nothing_is_let_go_at_the_bound_at_once(bench: Bench):
    reader, _ = await bench.raw()
    reader._transport.pause_reading()  # type: ignore[attr-defined]

    for _ in range(SOCKET_SEND_UNTAKEN_BYTES_MAX // MIB + 10):
        bench.host.say(SocketSend([1], None, bytes(MIB)))

    assert (await bench.next(SocketClosed)).code == 1013


async def test_a_client_that_reads_slower_than_it_is_sent_may_lag_behind(bench: Bench):
    client = await bench.dial()
    received = 0
    for _ in range(10):
        for _ in range(6):
            bench.host.say(SocketSend([1], None, bytes(MIB)))
        for _ in range(4):
            received += len(await client.recv())
    while received < 60 * MIB:
        received += len(await client.recv())

    bench.room._records[1].client._writer.check_progress()  # type: ignore[union-attr]

    assert bench.host.heard == []


async def test_one_message_may_be_as_large_as_messages_are(bench: Bench):
    client = await bench.dial()

    bench.host.say(SocketSend([1], None, bytes(32 * MIB)))

    assert len(await client.recv()) == 32 * MIB


async def test_pings_of_a_client_that_reads_nothing_are_not_answered_without_end(bench: Bench):
    reader, writer = await bench.raw()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(9):
        bench.host.say(SocketSend([1], None, bytes(MIB)))
    client: Any = bench.room._records[1].client
    before = client._transport.get_write_buffer_size()

    writer.write(masked(9, b"x" * 125) * 500 + masked(1, b"after them"))
    await bench.next(SocketMessage)

    assert client._transport.get_write_buffer_size() == before


async def test_a_message_that_is_begun_and_not_continued_ends_the_connection(bench: Bench):
    reader, writer = await bench.raw()
    writer.write(masked(1, b"whole") + masked(1, b"half of a message", first=0))
    await bench.next(SocketMessage)
    client: Any = bench.room._records[1].client
    await bench.until(lambda: client._reader.watched)
    seen = client._reader.feeds

    writer.write(masked(0, b"more", first=0))
    await bench.until(lambda: client._reader.feeds > seen)
    client.check_message(seen)
    assert client._reader.watched
    client.check_message(client._reader.feeds)

    assert "A message was begun and not continued" in (await bench.failed()).message
    frame = await reader.readexactly(4)
    assert frame[2:4] == (1008).to_bytes(2, "big")


async def test_a_client_whose_machine_is_gone_is_noticed_by_tcp(bench: Bench):
    await bench.raw()
    connection = bench.room._records[1].client._transport.get_extra_info("socket")  # type: ignore[union-attr]

    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == SOCKET_KEEPALIVE_SECONDS


async def test_too_much_said_to_a_client_that_is_not_there_yet_closes_its_socket(bench: Bench):
    bench.before_reply = lambda number: bench.host.say(
        *(SocketSend([number], None, bytes(1024 * 1024)) for _ in range(6))
    )

    client = await bench.dial()
    received = [message async for message in until_closed(client)]

    assert len(received) == 5
    assert client.close_code == 1013
