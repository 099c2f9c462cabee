"""A process that opens many WebSockets and leaves them alone, until it is told on standard input what to do.

python -m tests.faults.idle_sockets PORT --sockets 5000 --objects 100
> echo 500     says something on 500 of them, one after the other; prints the milliseconds each answer took
> end          waits until every socket was closed by the server; prints how many said 1001 before
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from typing import Any

from benchmarks.socket_client import ANSWER, QUESTION, upgrade_request

OPENING_TOGETHER = 50
DESCRIPTORS_SPARE = 100


class Client(asyncio.Protocol):
    """One socket: it knows the answer it waits for and the close frame it got."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = bytearray()
        self.opened = asyncio.get_running_loop().create_future()
        self.answered: asyncio.Future[None] | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.opened.done():
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if end:
                self.data = rest
                self.opened.set_result(head.startswith(b"HTTP/1.1 101"))
        elif self.answered is not None and len(self.data) >= len(ANSWER):
            assert self.data == ANSWER, bytes(self.data[:200])
            self.data.clear()
            self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        if not self.opened.done():
            self.opened.set_result(False)

    @property
    def close_code(self) -> int:
        return int.from_bytes(self.data[2:4], "big") if self.data[:1] == b"\x88" else 1006


async def open_one(port: int, path: str, turn: asyncio.Semaphore) -> Client:
    async with turn:
        _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
        client.transport.write(upgrade_request(port, path))
        if not await client.opened:
            raise SystemExit(f"no upgrade: {bytes(client.data[:500])!r}")
        return client


async def echo(clients: list[Client], times: int) -> list[float]:
    took = []
    for client in random.sample(clients, times):
        client.answered = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        client.transport.write(QUESTION)
        await client.answered
        took.append((time.perf_counter() - started) * 1000)
    return took


async def main(port: int, sockets: int, objects: int) -> None:
    turn = asyncio.Semaphore(OPENING_TOGETHER)
    clients = await asyncio.gather(*(open_one(port, f"/{n % objects}", turn) for n in range(sockets)))
    print(json.dumps(len(clients)), flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().split():
        if line[0] == "echo":
            print(json.dumps(await echo(clients, int(line[1]))), flush=True)
        else:
            for client in clients:
                await client.lost
            print(json.dumps(Counter(client.close_code for client in clients)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--sockets", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=100)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = given.sockets + DESCRIPTORS_SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    asyncio.run(main(given.port, given.sockets, given.objects))
