"""A client that never reads while its object broadcasts 100 MB: it is let go, and nobody else notices."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import socket_client
from benchmarks.memory import resident_mb
from tests.acceptance.running_dev import Dev
from tests.settings import settings

PIECE_BYTES = 64 * 1024
PIECES_PER_ROUND = 16
ROUNDS = 100
"""Rounds of one MiB; the next is asked for when everybody who reads has the last."""
GROWTH_MB_MAX = 20.0
SETTINGS = settings("Room", "ROOM")
PROGRAM = f"""\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Room(DurableObject):
    closed = []

    def fetch(self, request):
        if request.headers.get("upgrade") != "websocket":
            return Response(repr(self.closed))
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws, message):
        for number in range({PIECES_PER_ROUND}):
            piece = bytes([number]) * {PIECE_BYTES}
            for member in self.ctx.get_web_sockets():
                member.send(piece)

    def web_socket_close(self, ws, code, reason, was_clean):
        self.closed.append((code, reason, was_clean))
        ws.close(1000)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOM.get_by_name("room").fetch(request)
"""


@pytest.fixture
def start(tmp_path: Path):
    started: list[Dev] = []

    def start(durable: list[str]) -> Dev:
        (tmp_path / "durable.toml").write_text(SETTINGS)
        (tmp_path / "main.py").write_text(PROGRAM)
        started.append(Dev(tmp_path, "--persist-to", str(tmp_path / "state"), durable=durable))
        return started[-1].wait_ready()

    yield start
    for dev in started:
        dev.discard()


async def take_round(client: ClientConnection) -> int:
    return sum([len(await client.recv()) for _ in range(PIECES_PER_ROUND)])


async def broadcast(dev: Dev) -> tuple[float, list[int]]:
    """By how many MB the gateway grew at most, and what each of the readers received."""
    url = dev.url.replace("http", "ws")
    async with (
        connect(url, max_size=None, compression=None) as first,
        connect(url, max_size=None, compression=None) as second,
    ):
        stuck = socket_client.connect(urlsplit(url).port or 80, "/")
        readers = [first, second]
        await first.send("warm up")
        received = [await take_round(reader) for reader in readers]
        before = most = resident_mb(dev.process.pid)
        for _ in range(ROUNDS):
            await first.send("next")
            received = [sum(pair) for pair in zip(received, [await take_round(r) for r in readers], strict=True)]
            most = max(most, resident_mb(dev.process.pid))
        stuck.close()
    print(f"the gateway grew by {most - before:.1f} MB")
    return most - before, received


async def test_a_client_that_never_reads_costs_little_and_is_let_go(start: Callable[[list[str]], Dev]):
    dev = start([sys.executable, "-m", "durable_cli"])

    grown, received = await broadcast(dev)

    assert received == [(ROUNDS + 1) * PIECES_PER_ROUND * PIECE_BYTES] * 2
    assert grown < GROWTH_MB_MAX
    told = (await asyncio.to_thread(dev.get, "/"))[1]
    assert told.startswith(repr([(1013, "the client reads too slowly", False)])[:-1])


async def test_without_the_bounds_it_would_cost_everything_it_did_not_read(start: Callable[[list[str]], Dev]):
    dev = start([sys.executable, str(Path(__file__).with_name("patient_dev.py"))])

    grown, _ = await broadcast(dev)

    assert grown > 4 * GROWTH_MB_MAX
