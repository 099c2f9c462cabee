"""Streamed bodies: over the channel with credit, and inside the host between an actor and whoever reads from it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

from durable.actor.actor import Actor
from durable.limits import BODY_CHUNK_BYTES, BODY_WINDOW_BYTES
from durable.wire.messages import BodyChunk, BodyCredit, BodyEnd, Message


class Pipe(AsyncIterator[bytes]):
    """A bounded stream of bytes: `put` by one side, iterated once by the other. `on_taken` hears how much was read."""

    def __init__(self, on_taken: Callable[[int], None]) -> None:
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._error = ""
        self._on_taken = on_taken
        self._arrived: asyncio.Future[None] | None = None

    def put(self, data: bytes) -> None:
        if not self._ended:
            self._chunks.append(data)
            self._wake()

    def end(self, error: str = "") -> None:
        self._ended = True
        self._error = error
        self._wake()

    def abandon(self) -> None:
        """The reader wants no more."""
        self._ended = True
        self._chunks.clear()
        self._on_taken(0)

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
        self._arrived = None

    def __aiter__(self) -> Pipe:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._ended:
                if self._error:
                    raise OSError(self._error)
                raise StopAsyncIteration
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        data = self._chunks.popleft()
        self._on_taken(len(data))
        return data


class Credit:
    """Bytes that may still be sent before the reader has to catch up."""

    def __init__(self) -> None:
        self._left = BODY_WINDOW_BYTES
        self._waiting: asyncio.Future[None] | None = None
        self.refused = False

    def add(self, size: int) -> None:
        """The reader took `size` bytes; 0: it wants no more."""
        if size == 0:
            self.refused = True
        self._left += size
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
            self._waiting = None

    async def spend(self, size: int) -> bool:
        """Wait until there is credit; False when the reader wants no more."""
        while self._left <= 0 and not self.refused:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        self._left -= size
        return not self.refused


class ChannelBodies:
    """All body streams of one host's channel."""

    def __init__(self, send: Callable[[Message], None], drain: Callable[[], Any]) -> None:
        self._send = send
        self._drain = drain
        self._incoming: dict[int, Pipe] = {}
        self._outgoing: dict[int, Credit] = {}
        self._next = 0

    def incoming(self, stream: int) -> Pipe:
        """The stream that the gateway announced under this number."""
        pipe = Pipe(lambda size: self._send(BodyCredit(stream, size)))
        self._incoming[stream] = pipe
        return pipe

    def chunk(self, message: BodyChunk) -> None:
        pipe = self._incoming.get(message.stream)
        if pipe is not None:
            pipe.put(message.data)

    def end(self, message: BodyEnd) -> None:
        pipe = self._incoming.pop(message.stream, None)
        if pipe is not None:
            pipe.end(message.error)

    def credit(self, message: BodyCredit) -> None:
        credit = self._outgoing.get(message.stream)
        if credit is not None:
            credit.add(message.size)

    def announce(self) -> int:
        """The number under which a body of ours will follow."""
        self._next += 1
        self._outgoing[self._next] = Credit()
        return self._next

    async def send_all(self, stream: int, content: bytes | AsyncIterable[bytes | str]) -> None:
        """Send the whole of `content` under an announced number; a failure of the source ends it with its message."""
        credit = self._outgoing[stream]
        try:
            async for data in chunks_of(content):
                if not await credit.spend(len(data)):
                    return
                self._send(BodyChunk(stream, data))
                await self._drain()
            self._send(BodyEnd(stream))
        except BaseException as error:
            self._send(BodyEnd(stream, f"{type(error).__name__}: {error}"))
            raise
        finally:
            del self._outgoing[stream]
            if isinstance(content, Pipe):
                content.abandon()


async def chunks_of(content: bytes | AsyncIterable[bytes | str]) -> AsyncIterator[bytes]:
    """`content` as chunks of bounded size."""
    if isinstance(content, bytes):
        for at in range(0, len(content), BODY_CHUNK_BYTES):
            yield content[at : at + BODY_CHUNK_BYTES]
        return
    async for piece in content:
        data = piece.encode() if isinstance(piece, str) else piece
        for at in range(0, len(data), BODY_CHUNK_BYTES):
            yield data[at : at + BODY_CHUNK_BYTES]


def pump_from_actor(actor: Actor, content: AsyncIterable[bytes | str]) -> Pipe:
    """Run an actor's streamed body inside the actor, turn by turn, each chunk held until what it reveals is durable."""
    credit = Credit()
    pipe = Pipe(credit.add)
    engine = actor.engine

    async def pump() -> None:
        error = ""
        try:
            async for data in chunks_of(content):
                if not await credit.spend(len(data)):
                    return

                def put(epoch: int, data: bytes = data) -> None:
                    engine.when_durable(epoch, lambda: pipe.put(data))

                actor.emit(put)
        except Exception as failure:
            engine.log_failure(failure, actor.label, "response body")
            error = f"{type(failure).__name__}: {failure}"
        actor.emit(lambda epoch: engine.when_durable(epoch, lambda: pipe.end(error)))

    actor.spawn(pump()).add_done_callback(lambda task: pipe.end("the actor was reset") if task.cancelled() else None)
    return pipe
