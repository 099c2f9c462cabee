"""A disk under the test's control, a server outside of the emulator, and waiting until nothing moves any more."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from durable.host.outgoing import close_client
from tests.conformance.stage import Stage, Thing

FAILED = "the disk refused to make .* durable: Input/output error"
"""What callers see of a write that `HeldDisk` refused."""

_values = itertools.count(1)


class HeldDisk:
    """Syncs when it may: `with disk.held():` nothing becomes durable; `fails` makes what comes then an I/O error."""

    def __init__(self) -> None:
        self.fails = False
        self.file_syncs = 0
        self._may = threading.Event()
        self._may.set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._may.clear()
        try:
            yield
        finally:
            self._may.set()

    def sync_file(self, descriptor: int) -> None:
        self._wait()
        self.file_syncs += 1

    def sync_folder(self, path: str) -> None:
        self._wait()

    def _wait(self) -> None:
        assert self._may.wait(20), "the test held the disk for ever"
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def disk_of(stage: Stage) -> HeldDisk:
    """The disk that the fact was set up with."""
    disk: Any = stage.gateway.host.commits.disk
    assert isinstance(disk, HeldDisk)
    return disk


async def prepared(stage: Stage, *names: str) -> HeldDisk:
    """Objects that exist on a disk that is up to date, so that the next write is one commit and nothing else."""
    for name in names or ("a",):
        await stage.run(lambda thing: thing.ctx.storage.put("there", True), name=name)
    return disk_of(stage)


async def quiet(stage: Stage) -> None:
    """Nothing moves any more, except what waits for the disk."""
    for _ in range(3):
        await stage.gateway.settled()
        for _ in range(20):
            await asyncio.sleep(0)


def is_held(stage: Stage, message: Any) -> bool:
    """Whether the gateway may not let the message out yet."""
    return bool(message.epoch > stage.gateway.durable)


def fresh() -> int:
    """A value that was not stored before: SQLite writes nothing for one that is there already."""
    return next(_values)


def write(thing: Thing, value: Any = None) -> None:
    """A confirmed write, the plainest there is."""
    thing.ctx.storage.kv.put("written", fresh() if value is None else value)


class Outside:
    """An HTTP server that counts its requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """The server, on a port of its own, and afterwards no connection left open."""
    here = Outside()
    server = await asyncio.start_server(here.serve, "127.0.0.1", 0)
    here.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield here
    finally:
        await close_client()
        server.close()
        await server.wait_closed()
