"""Body streams between the gateway and one host, with credit. Knows nothing of HTTP.

Either side may have `BODY_WINDOW_BYTES` of a body in flight. `BodyReader` is a body that a host sends, `BodyWriter` one
that the gateway sends; the ids of the two directions are independent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from durable.limits import BODY_CHUNK_BYTES, BODY_WINDOW_BYTES
from durable.wire.messages import BodyChunk, BodyCredit, BodyEnd, Message


class BodyBrokenError(Exception):
    """The body ended before it was complete; the text says why."""


class BodyReader:
    """A body on its way from a host. One consumer reads it to its end or cancels it; what it took is the new credit."""

    __slots__ = ("_chunks", "_ended", "_error", "_forget", "_owed", "_send", "_waiter", "speaker", "stream")

    def __init__(
        self, stream: int, send: Callable[[Message], None], forget: Callable[[int], None], speaker: str | None = None
    ) -> None:
        self.stream = stream
        self.speaker = speaker
        """Id of the actor whose words these are, when it is known."""
        self._send = send
        self._forget = forget
        self._chunks: deque[bytes] = deque()
        self._owed = 0
        self._ended = False
        self._error = ""
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """From the link. A host that ignores its credit loses the stream, not the gateway its memory."""
        if self._ended or not data:
            return
        self._owed += len(data)
        if self._owed > 2 * BODY_WINDOW_BYTES:
            self._send(BodyCredit(self.stream, 0))
            self.end(f"{self._owed} bytes came without credit; the window is {BODY_WINDOW_BYTES} bytes")
            return
        self._chunks.append(data)
        self._wake()

    def end(self, error: str) -> None:
        """From the link: nothing more comes. What is buffered is still read."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    async def read(self) -> bytes:
        """The next piece, and credit for it; `b""` at the end. Raises `BodyBrokenError`."""
        while not self._chunks:
            if self._ended:
                self._forget(self.stream)
                if self._error:
                    raise BodyBrokenError(self._error)
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._chunks.popleft()

    def took(self, data: bytes) -> None:
        """The consumer is done with a piece: the host may send as much again."""
        if not self._ended:
            self._owed -= len(data)
            self._send(BodyCredit(self.stream, len(data)))

    def cancel(self) -> None:
        """The consumer wants no more; harmless when the body is over."""
        if not self._ended:
            self._send(BodyCredit(self.stream, 0))
            self.end("cancelled")
        self._chunks.clear()
        self._forget(self.stream)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class BodyWriter:
    """A body on its way to a host. `refused` is True once the host wants no more of it or is gone."""

    __slots__ = ("_credit", "_ended", "_forget", "_send", "_waiter", "refused", "stream")

    def __init__(self, stream: int, send: Callable[[Message], None], forget: Callable[[int], None]) -> None:
        self.stream = stream
        self.refused = False
        self._send = send
        self._forget = forget
        self._credit = BODY_WINDOW_BYTES
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def credit(self, size: int) -> None:
        """From the link: the host took `size` bytes; 0 refuses the rest."""
        if size <= 0:
            self.refused = True
            self._forget(self.stream)
        else:
            self._credit = min(self._credit + size, BODY_WINDOW_BYTES)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting for credit. After a refusal it goes nowhere."""
        for at in range(0, len(data), BODY_CHUNK_BYTES):
            piece = data[at : at + BODY_CHUNK_BYTES]
            while self._credit < len(piece) and not self.refused:
                self._waiter = asyncio.get_running_loop().create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            if self.refused:
                return
            self._credit -= len(piece)
            self._send(BodyChunk(self.stream, piece))

    def end(self, error: str = "") -> None:
        """Say that the body is over; once."""
        if not self._ended:
            self._ended = True
            if not self.refused:
                self._send(BodyEnd(self.stream, error))
                self._forget(self.stream)


class Bodies:
    """Every open body of one link, in both directions."""

    __slots__ = ("_last_stream", "_readers", "_send", "_writers", "closed")

    def __init__(self, send: Callable[[Message], None]) -> None:
        self.closed = False
        self._send = send
        self._last_stream = 0
        self._readers: dict[int, BodyReader] = {}
        self._writers: dict[int, BodyWriter] = {}

    def __len__(self) -> int:
        return len(self._readers) + len(self._writers)

    def expect(self, stream: int, speaker: str | None = None) -> BodyReader:
        """Get ready for a body that the host announced; before the message after the announcement is handled."""
        reader = BodyReader(stream, self._send, self._forget_reader, speaker)
        self._readers[stream] = reader
        return reader

    def reader(self, stream: int) -> BodyReader | None:
        return self._readers.get(stream)

    def open(self) -> BodyWriter:
        """A new body towards the host; name its `stream` in the message that announces it."""
        self._last_stream += 1
        writer = BodyWriter(self._last_stream, self._send, self._forget_writer)
        if self.closed:
            writer.credit(0)
        else:
            self._writers[self._last_stream] = writer
        return writer

    def chunk(self, message: BodyChunk) -> None:
        reader = self._readers.get(message.stream)
        if reader is not None:
            reader.feed(message.data)

    def end(self, message: BodyEnd) -> None:
        reader = self._readers.get(message.stream)
        if reader is not None:
            reader.end(message.error)

    def credit(self, message: BodyCredit) -> None:
        writer = self._writers.get(message.stream)
        if writer is not None:
            writer.credit(message.size)

    def lost(self) -> None:
        """The host is gone: bodies from it break off, bodies to it are refused."""
        self.closed = True
        for reader in list(self._readers.values()):
            reader.end("the process that was sending this body is gone")
        for writer in list(self._writers.values()):
            writer.credit(0)

    def _forget_reader(self, stream: int) -> None:
        self._readers.pop(stream, None)

    def _forget_writer(self, stream: int) -> None:
        self._writers.pop(stream, None)


async def pump(reader: BodyReader, writer: BodyWriter) -> None:
    """Carry a body from one host to another; each side's credit is given only when the other side took the bytes."""
    try:
        while data := await reader.read():
            await writer.write(data)
            if writer.refused:
                return
            reader.took(data)
        writer.end()
    except BodyBrokenError as error:
        writer.end(str(error))
    except asyncio.CancelledError:
        writer.end("cancelled")
        raise
    finally:
        reader.cancel()
