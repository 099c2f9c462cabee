"""Streams: one reader, two readers, a writer, and who hears of it when one of them stops."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from durable.limits import BODY_WINDOW_BYTES, HTTP_BODY_BYTES_MAX
from durable.sdk import tee as tee_module
from durable.sdk.pipes import BytePipe
from durable.sdk.streams import ReadableStream, TransformStream
from durable.sdk.tee import tee


class Source:
    """Chunks, counted as they are asked for; remembers that it was closed."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = list(chunks)
        self.asked = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self._chunks:
                self.asked += 1
                await asyncio.sleep(0)
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            self.closed = True


async def whole(stream: object) -> bytes:
    return b"".join([chunk async for chunk in stream])  # type: ignore[attr-defined]


async def test_a_stream_has_one_reader() -> None:
    stream = ReadableStream(b"abc")
    assert not stream.locked
    assert await whole(stream) == b"abc"
    assert stream.locked
    for again in (stream.get_reader, stream.take, stream.__aiter__):
        with pytest.raises(TypeError, match="this stream is locked"):
            again()


async def test_a_reader_reads_by_hand() -> None:
    stream = ReadableStream(Source(b"a", b"b"))
    reader = cast("Any", stream).getReader()
    first = await reader.read()
    assert (first.done, first.value) == (False, b"a")
    reader.releaseLock()
    with pytest.raises(TypeError, match="has released its stream"):
        await reader.read()
    assert await whole(stream) == b"b"


async def test_the_end_stays_the_end() -> None:
    reader = ReadableStream(b"").get_reader()
    assert [(result.done, result.value) for result in [await reader.read(), await reader.read()]] == [(True, None)] * 2


async def test_a_cancelled_stream_closes_its_source() -> None:
    source = Source(b"a", b"b")
    reader = ReadableStream(source).get_reader()
    await reader.read()
    await reader.cancel("enough")
    assert source.closed
    assert (await reader.read()).done


async def test_two_readers_read_at_their_own_pace() -> None:
    source = Source(b"a", b"b", b"c")
    first, second = tee(source)
    assert await anext(first) == b"a"
    assert source.asked == 1
    assert await whole(second) == b"abc"
    assert await whole(first) == b"bc"
    assert source.closed


async def test_two_readers_at_once_read_each_piece_once() -> None:
    source = Source(b"a", b"b")
    first, second = tee(source)
    assert list(await asyncio.gather(whole(first), whole(second))) == [b"ab", b"ab"]
    assert source.asked == 2


async def test_a_reader_that_is_cancelled_does_not_hurt_the_other() -> None:
    source = Source(b"a", b"b")
    first, second = tee(source)
    reading = asyncio.ensure_future(anext(first))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await whole(second) == b"ab"


async def test_both_readers_get_the_failure() -> None:
    first, second = tee(Source(b"a", OSError("gone")))
    for reader in (first, second):
        assert await anext(reader) == b"a"
        with pytest.raises(OSError, match="gone"):
            await anext(reader)


async def test_the_source_goes_on_until_neither_wants_more() -> None:
    source = Source(b"a", b"b", b"c")
    first, second = tee(source)
    await anext(first)
    await first.aclose()
    assert not source.closed
    assert await anext(second) == b"a"
    await second.aclose()
    assert source.closed
    with pytest.raises(StopAsyncIteration):
        await anext(second)


async def test_what_waits_for_the_slower_reader_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(tee_module)["HTTP_BODY_BYTES_MAX"] == HTTP_BODY_BYTES_MAX
    monkeypatch.setattr(tee_module, "HTTP_BODY_BYTES_MAX", 3)
    first, _ = tee(Source(b"ab", b"cd", b"ef"))
    assert [await anext(first), await anext(first)] == [b"ab", b"cd"]
    with pytest.raises(
        OSError, match="one reader of a cloned body is 4 bytes behind the other, and 3 are kept at most"
    ):
        await anext(first)


async def test_a_pipe_makes_its_writer_wait() -> None:
    pipe = BytePipe()
    await pipe.write(b"x" * BODY_WINDOW_BYTES)
    writing = asyncio.ensure_future(pipe.write(b"y"))
    await asyncio.sleep(0)
    assert not writing.done()
    assert len(await anext(pipe)) == BODY_WINDOW_BYTES
    await writing
    pipe.end()
    assert await whole(pipe) == b"y"
    with pytest.raises(OSError, match="this stream is closed"):
        pipe.put(b"z")


async def test_a_writer_hears_that_nobody_reads() -> None:
    heard: list[str] = []
    pipe = BytePipe(lambda: heard.append("gone"))
    await pipe.write(b"x" * BODY_WINDOW_BYTES)
    writing = asyncio.ensure_future(pipe.write(b"y"))
    await asyncio.sleep(0)
    await pipe.aclose()
    await pipe.aclose()
    with pytest.raises(OSError, match="wants no more of it"):
        await writing
    assert heard == ["gone"]
    assert await whole(pipe) == b""


async def test_a_writer_that_fails_is_heard_after_what_it_wrote() -> None:
    pipe = BytePipe()
    pipe.put(b"a")
    pipe.end("broke")
    assert await anext(pipe) == b"a"
    with pytest.raises(OSError, match="broke"):
        await anext(pipe)


async def test_what_is_written_is_read() -> None:
    stream = TransformStream.new()
    writer = cast("Any", stream.writable).getWriter()
    with pytest.raises(TypeError, match="locked"):
        stream.writable.get_writer()
    await writer.write("é")
    await writer.write(bytearray(b"b"))
    await writer.close()
    assert await whole(stream.readable) == "éb".encode()


async def test_a_stream_is_piped_into_another() -> None:
    stream = TransformStream()
    await asyncio.gather(cast("Any", ReadableStream(b"abc")).pipeTo(stream.writable), whole(stream.readable))
    broken = TransformStream()
    with pytest.raises(OSError, match="gone"):
        await ReadableStream(Source(OSError("gone"))).pipe_to(broken.writable)
    with pytest.raises(OSError, match="the writer gave up: gone"):
        await whole(broken.readable)


async def test_functions_make_a_stream() -> None:
    asked: list[str] = []

    async def start(controller: object) -> None:
        asked.append("start")
        controller.enqueue(b"a")  # type: ignore[attr-defined]

    async def pull(controller: object) -> None:
        asked.append("pull")
        controller.enqueue("b")  # type: ignore[attr-defined]
        if len(asked) == 3:
            controller.close()  # type: ignore[attr-defined]

    assert await whole(ReadableStream.new({"start": start, "pull": pull})) == b"abb"
    assert asked == ["start", "pull", "pull"]


async def test_functions_hear_that_nobody_reads_on() -> None:
    ended: list[object] = []
    reader = ReadableStream.new(
        start=lambda controller: controller.enqueue(b"a"), cancel=lambda reason: ended.append(reason)
    ).get_reader()
    assert (await reader.read()).value == b"a"
    await reader.cancel()
    assert ended == [None]


@pytest.mark.parametrize("way", ["raised", "told"])
async def test_functions_that_fail_break_the_stream(way: str) -> None:
    async def start(controller: object) -> None:
        if way == "told":
            controller.error("no luck")  # type: ignore[attr-defined]
        else:
            raise OSError("no luck")

    with pytest.raises(OSError, match="no luck"):
        await whole(ReadableStream.new(start=start))


@pytest.mark.parametrize("source", [5, {"begin": 1}, object()])
def test_what_is_no_source_is_refused(source: object) -> None:
    with pytest.raises(TypeError, match="a stream is made of bytes, of an async iterable of them, or of start"):
        ReadableStream(source)  # type: ignore[arg-type]


async def test_a_stream_carries_bytes_only() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="a stream carries bytes or str, got int"):
        await whole(ReadableStream(numbers()))  # type: ignore[arg-type]
