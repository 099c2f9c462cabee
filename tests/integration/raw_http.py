"""HTTP by hand: requests as the bytes they are, and what comes back, for tests of what no proper client would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

WAIT_SECONDS = 20.0
"""A safety net; nothing here takes more than a second on an idle machine."""


@dataclass(frozen=True)
class Answer:
    """One response; `status` 0 stands for a connection that ended without one."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def ends_connection(self) -> bool:
        return self.status == 0 or self.headers.get("connection", "") == "close"


NOTHING = Answer(0, {})


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data if isinstance(data, bytes) else data.encode("latin-1"))
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self, *, method: str = "GET") -> Answer:
        """The next response on this connection, its body included."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return NOTHING
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            status = int(first.split(" ")[1])
            body = b""
            if status != 101 and method != "HEAD":
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    body = await self._body(headers)
            return Answer(status, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return body

    async def ask(self, data: bytes | str, *, method: str = "GET") -> Answer:
        await self.send(data)
        return await self.answer(method=method)

    async def wait_end(self) -> bytes:
        """Whatever else comes until the other side ends the connection."""
        rest = b""
        async with asyncio.timeout(WAIT_SECONDS):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    rest += data
        return rest

    def leave(self) -> None:
        """Be gone, as a process that was killed is."""
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def connected(port: int, ip: str = "127.0.0.1") -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection(ip, port)
    client = RawClient(reader, writer)
    try:
        yield client
    finally:
        client.leave()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(port: int, data: bytes | str, *, ip: str = "127.0.0.1") -> Answer:
    """The response to one request on a connection of its own."""
    async with connected(port, ip) as client:
        return await client.ask(data)
