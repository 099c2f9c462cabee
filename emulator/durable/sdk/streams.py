"""Streams as user code holds them: read by one reader, split in two, written to. They know no HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from durable.sdk import habits
from durable.sdk.aliases import CamelCase
from durable.sdk.contents import BodySource, Content, bytes_of, chunks_of, close
from durable.sdk.pipes import BytePipe
from durable.sdk.stream_sources import functions_of, made_by
from durable.sdk.tee import tee


class ReadableStream(BodySource, CamelCase):
    """A stream of bytes for one reader: `async for chunk in stream`, or `stream.get_reader()`.

    Made of bytes, of an async iterable, or as on the platform of a source: `ReadableStream.new(start=…, pull=…,
    cancel=…)`, whose functions get a controller with `enqueue(chunk)`, `close()` and `error(reason)`.
    """

    __slots__ = ("_iterator", "_take", "locked")

    def __init__(self, source: Content | Mapping[str, Any] | Callable[[], Content] = None, **functions: Any) -> None:
        self._take: Callable[[], Content]
        if callable(source):
            self._take = source
        else:
            content = _content(source, functions)
            self._take = lambda: content
        self._iterator: AsyncIterator[bytes] | None = None
        self.locked = False
        """Whether somebody reads it, or has been given it to read."""

    @classmethod
    def new(cls, source: Content | Mapping[str, Any] = None, strategy: Any = None, **functions: Any) -> ReadableStream:
        """The platform's spelling; a queuing strategy changes nothing here."""
        return cls(source, **functions)

    def take(self) -> Content:
        """What it carries, for whoever sends it on; from then on it is locked."""
        self._lock()
        return self._iterator if self._iterator is not None else self._take()

    def as_body(self) -> tuple[Content, str | None]:
        return self.take(), None

    def _lock(self) -> None:
        if self.locked:
            raise TypeError("this stream is locked: somebody reads it already, and a stream has one reader")
        self.locked = True

    def _chunks(self) -> AsyncIterator[bytes]:
        if self._iterator is None:
            self._iterator = chunks_of(self._take())
        return self._iterator

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._lock()
        return self._arrived()

    async def _arrived(self) -> AsyncIterator[bytes]:
        async with contextlib.aclosing(cast("Any", self._chunks())) as chunks:
            async for chunk in chunks:
                yield habits.arrived(chunk)

    def get_reader(self, options: Any = None) -> StreamReader:
        """Read by hand: `result = await reader.read()`, then `result.done` and `result.value`."""
        self._lock()
        return StreamReader(self)

    def tee(self) -> tuple[ReadableStream, ReadableStream]:
        """Two streams with the same bytes; what only one of them has read waits in memory for the other."""
        first, second = tee(self.take())
        return ReadableStream(first), ReadableStream(second)

    async def pipe_to(self, writable: WritableStream, options: Any = None) -> None:
        """Write all of it to the other stream and close that."""
        writer = writable.get_writer()
        try:
            async for chunk in self:
                await writer.write(chunk)
        except BaseException as error:
            await writer.abort(error)
            raise
        await writer.close()

    async def cancel(self, reason: Any = None) -> None:
        """Want no more of it."""
        await self.aclose()

    async def aclose(self) -> None:
        self.locked = True
        await close(self._chunks())

    def __repr__(self) -> str:
        return f"<ReadableStream{' locked' if self.locked else ''}>"


@dataclass(frozen=True, slots=True)
class ReadResult:
    """`done` with no value at the end, a chunk before."""

    done: bool
    value: bytes | None = None


class StreamReader(CamelCase):
    """The only reader of a stream, until `release_lock()`."""

    def __init__(self, stream: ReadableStream) -> None:
        self._stream: ReadableStream | None = stream

    async def read(self) -> ReadResult:
        """The next chunk. Raises TypeError after `release_lock()`."""
        chunk = await anext(self._of()._chunks(), None)  # pyright: ignore[reportPrivateUsage]
        return ReadResult(True) if chunk is None else ReadResult(False, habits.arrived(chunk))

    async def cancel(self, reason: Any = None) -> None:
        await self._of().aclose()

    def release_lock(self) -> None:
        """Let somebody else read the rest."""
        if self._stream is not None:
            self._stream.locked = False
            self._stream = None

    def _of(self) -> ReadableStream:
        if self._stream is None:
            raise TypeError("this reader has released its stream: ask the stream for another one")
        return self._stream


class WritableStream(CamelCase):
    """The end that is written to; at `BODY_WINDOW_BYTES` unread, a writer waits."""

    def __init__(self, pipe: BytePipe) -> None:
        self._pipe = pipe
        self.locked = False

    def get_writer(self) -> WritableStream:
        """The one writer: `await writer.write(chunk)`, then `await writer.close()`."""
        if self.locked:
            raise TypeError("this stream is locked: somebody writes to it already")
        self.locked = True
        return self

    async def write(self, chunk: Any) -> None:
        """Raises OSError when the reader wants no more."""
        await self._pipe.write(bytes_of(chunk))

    async def close(self) -> None:
        self._pipe.end()

    async def abort(self, reason: Any = None) -> None:
        self._pipe.end(f"the writer gave up: {reason}")

    def release_lock(self) -> None:
        self.locked = False


class TransformStream(CamelCase):
    """What is written to `writable` is read from `readable`, unchanged."""

    def __init__(self) -> None:
        pipe = BytePipe()
        self.readable = ReadableStream(pipe)
        self.writable = WritableStream(pipe)

    @classmethod
    def new(cls) -> TransformStream:
        return cls()


def _content(source: Any, named: Mapping[str, Any]) -> Content:
    """What a stream's source carries. Raises TypeError for what is none."""
    if source is None and not named:
        return None
    if isinstance(source, (bytes, str, bytearray, memoryview)):
        return bytes_of(source)
    if hasattr(source, "__aiter__"):
        return cast("Content", source)
    functions = functions_of(source, named)
    if functions is None:
        raise TypeError(
            f"a stream is made of bytes, of an async iterable of them, or of start, pull and cancel functions, "
            f"not of {type(source).__name__}"
        )
    return made_by(functions)
