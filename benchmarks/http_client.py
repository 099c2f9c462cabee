"""One HTTP/1.1 load process: keep-alive connections that each ask again as soon as they are answered.

It must cost far less than the servers it measures, so request bytes are built once and an answer of the size of the
one before is recognised by its length alone. It knows nothing of the servers.

    python -m benchmarks.http_client PORT /sql/{i} --connections 64 --objects 8 --seconds 3
    {"count": 61234, "seconds": 3.0, "errors": 0, "p50_ms": 2.9, "p99_ms": 5.1, "client_cpu": 0.4}
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import uvloop

OK: Final = b"HTTP/1.1 200"
CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Load:
    """What all connections count together, inside the measured window only."""

    def __init__(self) -> None:
        self.measuring = False
        self.errors = 0
        self.first_error = ""
        self.durations: list[float] = []

    def fail(self, what: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or what


class Connection(asyncio.Protocol):
    def __init__(self, load: Load, requests: Iterator[bytes]) -> None:
        self.load = load
        self.requests = requests
        self.answer_bytes = 0
        self.buffer = b""
        self.transport: Any = None
        self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        # Nothing is pipelined: a piece as long as the last whole answer that starts like one is a whole answer.
        if (len(data) != self.answer_bytes or not data.startswith(OK)) and not self.whole_answer(data):
            return
        if self.load.measuring:
            self.load.durations.append(time.perf_counter() - self.asked)
        self.ask()

    def whole_answer(self, data: bytes) -> bool:
        self.buffer += data
        head_bytes = self.buffer.find(b"\r\n\r\n") + 4
        if head_bytes < 4:
            return False
        found = CONTENT_LENGTH.search(self.buffer, 0, head_bytes)
        if found is None:
            self.load.fail(f"no Content-Length in {self.buffer[:300]!r}")
            self.transport.close()
            return False
        size = head_bytes + int(found[1])
        if len(self.buffer) < size:
            return False
        answered, self.buffer = self.buffer, b""
        if not answered.startswith(OK):
            self.load.fail(answered[:500].decode("latin-1"))
        self.answer_bytes = size if answered.startswith(OK) else 0
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.load.measuring:
            self.load.fail(f"connection lost: {exc!r}")


def request_bytes(port: int, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n".encode()


def turns(first: int, *, connections: int, objects: int) -> list[int]:
    """The objects that one connection asks, over and over. Together the connections ask all of them equally often.

    Connection 3 of 64 asks objects 3, 67, 131, 195, 59, … of 200, and always object 3 of 64.
    """
    length = objects // math.gcd(objects, connections)
    return [(first + turn * connections) % objects for turn in range(length)]


async def run(port: int, path: str, *, connections: int, objects: int, warmup: float, seconds: float) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    load = Load()
    opened = []
    for i in range(connections):
        asked = turns(i, connections=connections, objects=objects)
        requests = itertools.cycle([request_bytes(port, path.replace("{i}", str(number))) for number in asked])
        transport, _ = await loop.create_connection(partial(Connection, load, requests), "127.0.0.1", port)
        opened.append(transport)
    await asyncio.sleep(warmup)
    started, cpu_started = time.perf_counter(), time.process_time()
    load.measuring = True
    await asyncio.sleep(seconds)
    load.measuring = False
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    for transport in opened:
        transport.abort()
    return summary(load.durations, elapsed, cpu, load.errors, load.first_error)


def summary(durations: list[float], seconds: float, cpu: float, errors: int, first_error: str) -> dict[str, Any]:
    """`client_cpu` near 1 means that this process was the bottleneck and the result is too low."""
    ordered = sorted(durations)

    def at(share: float) -> float:
        return ordered[int(share * (len(ordered) - 1))] * 1000 if ordered else 0.0

    result = {"count": len(ordered), "seconds": seconds, "errors": errors, "p50_ms": at(0.5), "p99_ms": at(0.99)}
    result["client_cpu"] = cpu / seconds
    return result | ({"first_error": first_error} if first_error else {})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    result = uvloop.run(
        run(
            given.port,
            given.path,
            connections=given.connections,
            objects=given.objects,
            warmup=given.warmup,
            seconds=given.seconds,
        )
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
