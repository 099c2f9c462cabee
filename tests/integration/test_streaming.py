"""Bodies that are larger than anybody wants to hold: they flow at the reader's pace, and end when a side leaves.

Everything is real: an emulator, its host, sockets. Whoever waits here waits for a condition.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.running_emulator import WAIT_SECONDS, Running, running
from tests.settings import settings

MIB = 1024 * 1024
CHUNK = bytes(range(256)) * 256
"""64 KiB, of which neither a lost nor a repeated piece goes unnoticed by a hash."""
UPLOAD_BYTES = 20 * MIB
DOWNLOAD_BYTES = 50 * MIB
HELD_BYTES_MAX = 12 * MIB
"""What may be on its way between a producer and a reader that stands still: our windows and the kernel's buffers."""
GROWTH_BYTES_MAX = 24 * MIB
"""By how much a process may grow while five times as much flows through it."""

PROGRAM = """\
import asyncio
import hashlib
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint

CHUNK = bytes(range(256)) * 256

made = 0
endings = []
reading = []
ticks = asyncio.Queue()
may_read = asyncio.Event()


async def pour(size):
    global made
    try:
        while made < size:
            made += len(CHUNK)
            yield CHUNK
        endings.append("complete")
    finally:
        endings.append("closed")


async def tick():
    try:
        yield "event: hello\\n\\n"
        while True:
            yield f"data: {await ticks.get()}\\n\\n"
    finally:
        endings.append("closed")


async def answer(request):
    what, _, size = urlsplit(request.url).path.strip("/").partition("/")[2].partition("/")
    if what == "pour":
        return Response(pour(int(size)), headers={"Content-Type": "application/octet-stream"})
    if what == "ticks":
        return Response(tick(), headers={"Content-Type": "text/event-stream"})
    if what == "wait":
        await may_read.wait()
    try:
        digest, total, pieces = hashlib.sha256(), 0, 0
        async for piece in request.body:
            reading.append(len(piece))
            digest.update(piece)
            total += len(piece)
            pieces += 1
        endings.append("complete")
    finally:
        endings.append("closed")
    return Response.json({"sha256": digest.hexdigest(), "bytes": total, "pieces": pieces})


class Store(DurableObject):
    async def fetch(self, request):
        if request.url.endswith("/abort"):
            self.ctx.abort("enough")
        return await answer(request)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        place = urlsplit(request.url).path.strip("/").partition("/")[0]
        if place == "state":
            return Response.json({"made": made, "endings": endings, "reading": len(reading)})
        if place == "tick":
            ticks.put_nowait(request.url.rpartition("/")[2])
            return Response("")
        if place == "read":
            may_read.set()
            return Response("")
        if place == "actor":
            return await self.env.STORE.get_by_name("a").fetch(request)
        return await answer(request)
"""

SETTINGS = (
    settings("Store", "STORE")
    + """
[dev]
port = 0
"""
)

in_both_places = pytest.mark.parametrize("place", ["worker", "actor"])


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        yield run


async def state(run: Running) -> dict[str, Any]:
    async with run.client.get(run.emulator.url + "/state") as response:
        return dict(await response.json())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


async def until_ended(run: Running, *endings: str) -> None:
    async def ended() -> bool:
        return (await state(run))["endings"] == list(endings)

    await until(ended)


async def until_reading(run: Running) -> None:
    async def reading() -> bool:
        return bool((await state(run))["reading"])

    await until(reading)


async def standstill(number: Callable[[], Awaitable[int]]) -> int:
    """The number once it has not changed while thirty requests were answered."""
    last, unchanged = -1, 0
    async with asyncio.timeout(WAIT_SECONDS):
        while unchanged < 30:
            now = await number()
            unchanged = unchanged + 1 if now == last and now > 0 else 0
            last = now
    return last


def memory_bytes(pid: int, field: str) -> int:
    """`VmRSS` is what a process holds, `VmHWM` the most that it ever held (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


@asynccontextmanager
async def plain_get(run: Running, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """A client that reads only what it is told to: the connection, after the response's head."""
    address = urlsplit(run.emulator.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=64 * 1024)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_SECONDS)
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"chunked" in head.lower()
        yield reader
    finally:
        writer.transport.abort()


async def upload(chunks: int) -> AsyncIterator[bytes]:
    for _ in range(chunks):
        yield CHUNK


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk of a chunked body (RFC 9112 §7.1); empty at its end."""
    async with asyncio.timeout(WAIT_SECONDS):
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        return (await reader.readexactly(size + 2))[:-2]


# --- requests ---------------------------------------------------------------------------------------------------------


@in_both_places
async def test_a_large_request_body_flows_through_without_being_held(run: Running, place: str):
    [pid] = run.pids
    before = memory_bytes(pid, "VmRSS")
    async with run.client.post(f"{run.emulator.url}/{place}/size", data=upload(UPLOAD_BYTES // len(CHUNK))) as response:
        answer = await response.json()

    assert answer["bytes"] == UPLOAD_BYTES
    assert answer["sha256"] == hashlib.sha256(CHUNK * (UPLOAD_BYTES // len(CHUNK))).hexdigest()
    assert answer["pieces"] > 10
    assert memory_bytes(pid, "VmHWM") - before < GROWTH_BYTES_MAX // 2


@in_both_places
async def test_a_body_that_nobody_reads_yet_holds_its_sender_back(run: Running, place: str):
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(UPLOAD_BYTES // len(CHUNK)):
            sent += len(CHUNK)
            yield CHUNK

    async def sent_bytes() -> int:
        await state(run)
        return sent

    asking = asyncio.ensure_future(run.client.post(f"{run.emulator.url}/{place}/wait", data=body()))
    assert await standstill(sent_bytes) < HELD_BYTES_MAX

    await run.get("/read")
    async with await asking as response:
        assert (await response.json())["bytes"] == UPLOAD_BYTES


@in_both_places
async def test_a_client_that_leaves_in_the_middle_of_its_body_ends_whoever_reads_it(run: Running, place: str):
    address = urlsplit(run.emulator.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /{place}/size HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {UPLOAD_BYTES}\r\n\r\n"
    writer.write(head.encode() + CHUNK * 4)
    await writer.drain()
    # Left only once the program is at it: a request whose client is gone before need not run at all.
    await until_reading(run)
    writer.transport.abort()

    await until_ended(run, "closed")


# --- responses --------------------------------------------------------------------------------------------------------


@in_both_places
async def test_a_reader_that_stands_still_stops_the_producer_and_gets_everything_later(run: Running, place: str):
    async def made() -> int:
        return int((await state(run))["made"])

    [pid] = run.pids
    host_before, gateway_before = memory_bytes(pid, "VmRSS"), memory_bytes(os.getpid(), "VmRSS")
    async with plain_get(run, f"/{place}/pour/{DOWNLOAD_BYTES}") as reader:
        assert await standstill(made) < HELD_BYTES_MAX
        assert (await state(run))["endings"] == []
        assert memory_bytes(os.getpid(), "VmRSS") - gateway_before < GROWTH_BYTES_MAX

        digest, total = hashlib.sha256(), 0
        while data := await read_chunk(reader):
            digest.update(data)
            total += len(data)

    assert total == DOWNLOAD_BYTES
    assert digest.digest() == hashlib.sha256(CHUNK * (DOWNLOAD_BYTES // len(CHUNK))).digest()
    assert memory_bytes(pid, "VmHWM") - host_before < GROWTH_BYTES_MAX
    await until_ended(run, "complete", "closed")


@in_both_places
async def test_a_client_that_leaves_stops_a_producer_that_waits_for_it(run: Running, place: str):
    async def made() -> int:
        return int((await state(run))["made"])

    async with plain_get(run, f"/{place}/pour/{DOWNLOAD_BYTES}") as reader:
        await read_chunk(reader)
        assert await standstill(made) < HELD_BYTES_MAX
        assert (await state(run))["endings"] == []

    await until_ended(run, "closed")
    assert await made() < HELD_BYTES_MAX


@in_both_places
async def test_a_client_that_leaves_stops_a_producer_that_waits_for_something_else(run: Running, place: str):
    async with plain_get(run, f"/{place}/ticks") as reader:
        assert await read_chunk(reader) == b"event: hello\n\n"
        assert (await state(run))["endings"] == []

    await until_ended(run, "closed")
    assert (await run.get("/state"))[0] == 200


@in_both_places
async def test_a_slow_stream_arrives_piece_by_piece_while_its_object_answers_others(run: Running, place: str):
    async with plain_get(run, f"/{place}/ticks") as reader:
        assert await read_chunk(reader) == b"event: hello\n\n"
        for number in range(5):
            # Nothing more comes before it is said, and then it comes although the stream is not over.
            await run.get(f"/tick/{number}")
            assert await read_chunk(reader) == f"data: {number}\n\n".encode()
            async with run.client.post(f"{run.emulator.url}/{place}/size", data=CHUNK) as response:
                assert (await response.json())["bytes"] == len(CHUNK)


@in_both_places
async def test_many_streams_at_once_do_not_starve_each_other(run: Running, place: str):
    async with plain_get(run, f"/{place}/pour/{DOWNLOAD_BYTES}") as idle:
        await read_chunk(idle)
        async with plain_get(run, f"/{place}/ticks") as ticking:
            assert await read_chunk(ticking) == b"event: hello\n\n"
            async with run.client.post(f"{run.emulator.url}/{place}/size", data=upload(64)) as response:
                assert (await response.json())["bytes"] == len(CHUNK) * 64
            await run.get("/tick/still")
            assert await read_chunk(ticking) == b"data: still\n\n"


@in_both_places
async def test_a_stop_cuts_open_streams_without_a_word(tmp_path: Path, place: str, capfd: pytest.CaptureFixture[str]):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        async with plain_get(run, f"/{place}/ticks") as first, plain_get(run, f"/{place}/ticks") as second:
            for reader in (first, second):
                assert await read_chunk(reader) == b"event: hello\n\n"
            await run.emulator.stop()
            for reader in (first, second):
                # Cut, and not ended as if it were complete: the last chunk of a complete body is empty.
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await read_chunk(reader)
    assert capfd.readouterr().err == ""


async def test_an_object_that_is_reset_ends_its_streams(run: Running):
    async with plain_get(run, f"/actor/pour/{DOWNLOAD_BYTES}") as waits_for_reader:
        await read_chunk(waits_for_reader)
        async with plain_get(run, "/actor/ticks") as waits_for_something:
            assert await read_chunk(waits_for_something) == b"event: hello\n\n"

            status, text = await run.get("/actor/abort")

            assert status == 500
            assert "enough" in text
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await read_chunk(waits_for_something)
            await until_ended(run, "closed", "closed")
    # The next activation knows nothing of it.
    async with plain_get(run, "/actor/ticks") as reader:
        assert await read_chunk(reader) == b"event: hello\n\n"
