"""One WebSocket load process on raw frames: `echo` (every socket sends again when answered) and `fanout` (one room).

Frames are built once and counted by their bytes, because parsing a quarter of a million frames a second in Python would
measure this client. The first frame of every socket is compared in full. It knows nothing of the servers.

    python -m benchmarks.socket_client echo PORT /echo --connections 64 --seconds 3
    python -m benchmarks.socket_client fanout PORT /room --connections 100 --seconds 3
    {"count": 91234, "seconds": 3.0, "errors": 0, "p50_ms": 1.2, "p99_ms": 3.4, "client_cpu": 0.6}
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import time
from collections import deque
from functools import partial
from typing import Any, Final

import uvloop

from benchmarks.http_client import summary

PAYLOAD: Final = json.dumps({"user": "ada", "text": "x" * 70}).encode()
"""A chat message of about 100 bytes: shorter than 126, so that a frame's length takes one byte."""
ANSWER: Final = bytes([0x81, len(PAYLOAD)]) + PAYLOAD
MASK: Final = b"\x1f\x2e\x3d\x4c"
QUESTION: Final = (
    bytes([0x81, 0x80 | len(PAYLOAD)]) + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(PAYLOAD))
)
FANOUT_WINDOW: Final = 8
"""Broadcasts on their way at a time: enough to keep a server busy, few enough that no client buffer grows."""


LISTENERS_READ_SECONDS: Final = 0.002
"""Members that only listen are read by this clock: one call for several frames, or this client would be the limit."""


def upgrade_request(port: int, path: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def connect(port: int, path: str) -> socket.socket:
    """An upgraded socket, nothing of its frames read yet."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(upgrade_request(port, path))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            break
        head += byte
    if not head.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"no upgrade: {(head + sock.recv(500))[:700].decode('latin-1')}")
    sock.setblocking(False)
    return sock


class Frames:
    """Counts the frames of one socket; the first is compared in full."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.bytes = 0
        self.first = b""

    def add(self, data: bytes | bytearray | memoryview) -> int:
        """How many frames `data` completes."""
        if len(self.first) < len(ANSWER):
            self.first += bytes(data[: len(ANSWER) - len(self.first)])
            if not ANSWER.startswith(self.first):
                self.load.fail(f"unexpected first frame {self.first!r}")
        whole = (self.bytes + len(data)) // len(ANSWER) - self.bytes // len(ANSWER)
        self.bytes += len(data)
        if self.load.measuring:
            self.load.frames += whole
        return whole


class Load:
    def __init__(self) -> None:
        self.measuring = False
        self.frames = 0
        self.errors = 0
        self.first_error = ""
        self.durations: list[float] = []

    def fail(self, what: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or what


class Talker(asyncio.Protocol):
    """Keeps `window` frames on their way: each answer is followed by the next question."""

    def __init__(self, load: Load, window: int) -> None:
        self.load = load
        self.window = window
        self.frames = Frames(load)
        self.sent_at: deque[float] = deque()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def start(self) -> None:
        self.sent_at.extend([time.perf_counter()] * self.window)
        self.transport.write(QUESTION * self.window)

    def data_received(self, data: bytes) -> None:
        whole = self.frames.add(data)
        now = time.perf_counter()
        for _ in range(whole):
            sent = self.sent_at.popleft()
            if self.load.measuring:
                self.load.durations.append(now - sent)
        self.sent_at.extend([now] * whole)
        self.transport.write(QUESTION * whole)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.load.measuring:
            self.load.fail(f"socket lost: {exc!r}")


class Listeners:
    """The members of a room that only receive."""

    def __init__(self, load: Load, sockets: list[socket.socket]) -> None:
        self.load = load
        self.members = [(sock, Frames(load)) for sock in sockets]
        self.buffer = bytearray(256 * 1024)
        self.view = memoryview(self.buffer)

    def read(self) -> None:
        for sock, frames in self.members:
            try:
                size = sock.recv_into(self.buffer)
            except BlockingIOError:
                continue
            if not size:
                self.load.fail("a listener's socket was closed")
            frames.add(self.view[:size])

    async def read_for_ever(self) -> None:
        while True:
            self.read()
            await asyncio.sleep(LISTENERS_READ_SECONDS)


async def run(
    kind: str, port: int, path: str, *, connections: int, objects: int, warmup: float, seconds: float
) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    load = Load()
    opened = [connect(port, path.replace("{i}", str(i % objects))) for i in range(connections)]
    talking, listening = (opened, []) if kind == "echo" else (opened[:1], opened[1:])
    talkers = []
    for sock in talking:
        window = 1 if kind == "echo" else FANOUT_WINDOW
        talkers.append((await loop.create_connection(partial(Talker, load, window), sock=sock))[1])
    listeners = Listeners(load, listening)
    reading = loop.create_task(listeners.read_for_ever())
    for talker in talkers:
        talker.start()
    await asyncio.sleep(warmup)
    started, cpu_started = time.perf_counter(), time.process_time()
    load.measuring = True
    await asyncio.sleep(seconds)
    listeners.read()
    load.measuring = False
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    silent = sum(not frames.bytes for frames in [t.frames for t in talkers] + [f for _, f in listeners.members])
    if silent:
        load.fail(f"{silent} sockets received nothing")
    reading.cancel()
    for talker in talkers:
        talker.transport.abort()
    for sock in listening:
        sock.close()
    return summary(load.durations, elapsed, cpu, load.errors, load.first_error) | {"count": load.frames}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["echo", "fanout"])
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = vars(parser.parse_args())
    print(json.dumps(uvloop.run(run(given.pop("kind"), given.pop("port"), given.pop("path"), **given))))


if __name__ == "__main__":
    main()
