"""A client that asks for auto-responses as fast as it can and reads none of them costs a bounded amount of memory."""

from __future__ import annotations

import asyncio

import pytest

from durable.limits import AUTO_RESPONSE_BYTES_MAX, MIB, SOCKET_SEND_BUFFER_BYTES_MAX, SOCKET_SEND_UNTAKEN_BYTES_MAX
from durable.wire.messages import AutoResponded, SetAutoResponse, SocketClosed, SocketMessage
from tests.integration.scripted_host import ROOM, Bench, running_bench

PING = bytes((0x81, 0x84, 0, 0, 0, 0)) + b"ping"
"""One masked text frame."""
KERNEL_BYTES_MAX = 16 * MIB
"""What the kernel may take for a client that reads nothing, on both sides of a connection."""


@pytest.fixture
async def bench():
    async with running_bench() as bench:
        yield bench


async def test_a_flood_of_unread_answers_ends_its_connection_and_wakes_nobody(bench: Bench):
    bench.host.say(SetAutoResponse(ROOM, "ping", "p" * AUTO_RESPONSE_BYTES_MAX))
    neighbour = await bench.dial()
    _, writer = await bench.raw()

    def told(kind: type) -> list[object]:
        return [each for each in bench.host.heard if isinstance(each, kind)]

    while not told(SocketClosed):
        try:
            writer.write(PING * 100)
            await asyncio.wait_for(writer.drain(), 10)
        except ConnectionError:
            break
        await asyncio.sleep(0)

    assert (await bench.next(SocketClosed)).code == 1013
    answers_bytes = len(told(AutoResponded)) * AUTO_RESPONSE_BYTES_MAX
    assert SOCKET_SEND_BUFFER_BYTES_MAX < answers_bytes <= SOCKET_SEND_UNTAKEN_BYTES_MAX + KERNEL_BYTES_MAX
    assert told(SocketMessage) == []
    await neighbour.send("ping")
    assert await neighbour.recv() == "p" * AUTO_RESPONSE_BYTES_MAX
