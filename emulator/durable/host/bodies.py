"""Streamed bodies: over the channel with credit, and inside the host between an actor and whoever reads from it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any, cast

from durable.actor.actor import Actor
from durable.actor.pins import BODY
from durable.limits import BODY_CHUNK_BYTES, BODY_WINDOW_BYTES
from durable.wire.messages import BodyChunk, BodyCredit, BodyEnd, Message


class Pipe:
    """A stream of bytes from one writer to one reader. `on_taken` hears how much was read; 0: no more is wanted."""

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
        ended, self._ended = self._ended, True
        self._chunks.clear()
        self._wake()
        if not ended:
            self._on_taken(0)

    @property
    def ended(self) -> bool:
        """Whether the writer has said all, or need say no more."""
        return self._ended

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
        self._arrived = None

    async def take(self) -> bytes | None:
        """The next piece; None at the end. Raises OSError when the writer failed."""
        while not self._chunks:
            if self._ended:
                if self._error:
                    raise OSError(self._error)
                return None
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        data = self._chunks.popleft()
        if not self._ended:
            self._on_taken(len(data))
        return data


class PipeReader(AsyncIterator[bytes]):
    """The reading end, iterated once. Closing it, or just dropping it, tells the writer that no more is wanted."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> PipeReader:
        return self

    async def __anext__(self) -> bytes:
        data = await self._pipe.take()
        if data is None:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        self._pipe.abandon()

    def __del__(self) -> None:
        if not self._pipe.ended:
            # The collector may run in any thread; after the loop's end there is nobody to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._pipe.abandon)


class Credit:
    """Bytes that may still be sent before the reader has to catch up."""

    def __init__(self) -> None:
        self._left = BODY_WINDOW_BYTES
        self._waiting: asyncio.Future[None] | None = None
        self.refused = False
        self.on_refused: Callable[[], object] | None = None
        """Ends the sender, which may be waiting for its source and not for credit."""

    def add(self, size: int) -> None:
        """The reader took `size` bytes; 0: it wants no more."""
        if size == 0:
            self.refused = True
            if self.on_refused is not None:
                self.on_refused()
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

    def incoming(self, stream: int) -> PipeReader:
        """The stream that the gateway announced under this number."""

        def taken(size: int) -> None:
            if size == 0:
                self._incoming.pop(stream, None)
            self._send(BodyCredit(stream, size))

        self._incoming[stream] = pipe = Pipe(taken)
        return PipeReader(pipe)

    def refuse(self, stream: int) -> None:
        """Nobody here wants the stream that the gateway announced."""
        self._send(BodyCredit(stream, 0))

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

    def withdraw(self, stream: int) -> None:
        """The announcement could not be sent: the body goes nowhere."""
        credit = self._outgoing.get(stream)
        if credit is not None:
            credit.add(0)

    def statistics(self) -> tuple[int, int]:
        """How many bodies are open: towards this host, and from it."""
        return len(self._incoming), len(self._outgoing)

    @property
    def is_sending(self) -> bool:
        """Whether any body from this host is not over."""
        return bool(self._outgoing)

    async def send_all(self, stream: int, content: bytes | AsyncIterable[bytes | str]) -> None:
        """Send the whole of `content` under an announced number; a failure of the source ends it with its message."""
        credit = self._outgoing[stream]
        task = asyncio.current_task()
        assert task is not None
        credit.on_refused = task.cancel
        try:
            async with contextlib.aclosing(chunks_of(content)) as chunks:
                while not credit.refused and (data := await anext(chunks, None)) is not None:
                    if not await credit.spend(len(data)):
                        return
                    self._send(BodyChunk(stream, data))
                    await self._drain()
            self._send(BodyEnd(stream))
        except BaseException as error:
            if not credit.refused:
                self._send(BodyEnd(stream, _sendable(f"{type(error).__name__}: {error}")))
            if not (isinstance(content, PipeReader) and isinstance(error, OSError)):
                raise
            # Passed on, and nobody's failure here: a client that left, or a stream whose own actor has told of it.
        finally:
            del self._outgoing[stream]


async def chunks_of(content: bytes | AsyncIterable[bytes | str]) -> AsyncGenerator[bytes, None]:
    """`content` as chunks of bounded size. Closing this closes its source, so that a generator's `finally` runs now."""
    if isinstance(content, bytes):
        for at in range(0, len(content), BODY_CHUNK_BYTES):
            yield content[at : at + BODY_CHUNK_BYTES]
        return
    source = aiter(content)
    try:
        async for piece in source:
            data = _bytes_of(piece)
            for at in range(0, len(data), BODY_CHUNK_BYTES):
                yield data[at : at + BODY_CHUNK_BYTES]
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _bytes_of(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, (bytearray, memoryview)):
        return bytes(cast("bytearray", piece))
    raise TypeError(f"a streamed body yields str or bytes, got {type(piece).__name__}")


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def pump_from_actor(actor: Actor, content: AsyncIterable[bytes | str]) -> PipeReader:
    """Run an actor's streamed body inside the actor, turn by turn, each chunk held until what it reveals is durable."""
    credit = Credit()
    pipe = Pipe(credit.add)

    def lost(failure: BaseException) -> None:
        pipe.end(f"the actor was reset: {failure}")

    async def pump() -> None:
        error = ""
        try:
            async with contextlib.aclosing(chunks_of(content)) as chunks:
                async for data in chunks:
                    if not await credit.spend(len(data)):
                        return

                    def put(epoch: int, data: bytes = data) -> None:
                        actor.when_durable(epoch, lambda: pipe.put(data), lost)

                    actor.emit(put)
        except Exception as failure:
            actor.engine.log_failure(failure, actor.label, "response body")
            error = f"{type(failure).__name__}: {failure}"
        actor.emit(lambda epoch: actor.when_durable(epoch, lambda: pipe.end(error), lost))

    def over(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            pipe.end("the actor was reset")
        elif task.exception() is not None:
            pipe.end(str(task.exception()))

    task = actor.spawn(pump(), BODY)
    credit.on_refused = task.cancel
    task.add_done_callback(over)
    return PipeReader(pipe)


def detached(actor: Actor | None, content: Any) -> Any:
    """`content` for a reader outside of `actor`: a stream that the actor's code makes is run by the actor itself."""
    if actor is None or content is None or isinstance(content, (bytes, PipeReader)):
        return content
    return pump_from_actor(actor, content)
