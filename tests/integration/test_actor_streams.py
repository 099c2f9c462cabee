"""Bodies as streams, in both directions: credit, cancellation, and nothing left behind."""

from __future__ import annotations

from typing import Any

import pytest

from durable.limits import BODY_CHUNK_BYTES, BODY_WINDOW_BYTES, INLINE_BODY_BYTES_MAX
from durable.wire import messages as wire

PROGRAM = """
import asyncio
from durable import DurableObject, Request, Response, WorkerEntrypoint

MIB = 1024 * 1024

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.log = []

    async def fetch(self, request):
        path = request.url.split("/")[3]
        if path == "count":
            return Response(str(len(await request.bytes())))
        if path == "ignore":
            return Response("ignored")
        if path == "large":
            return Response(b"x" * MIB)
        if path == "endless":
            return Response(self.endless())
        if path == "waiting":
            return Response(self.waiting())
        if path == "broken":
            return Response(self.broken())
        if path == "odd":
            return Response(self.odd())
        if path == "writing":
            return Response(self.writing())
        return Response(self.words())

    async def words(self):
        for word in ("one ", b"two ", bytearray(b"three ")):
            yield word
            await asyncio.sleep(0)

    async def endless(self):
        try:
            while True:
                yield b"x" * 65536
        finally:
            self.log.append("endless closed")

    async def waiting(self):
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            self.log.append("waiting closed")
            await self.ctx.storage.put("closed", True)

    async def broken(self):
        yield "some"
        raise ValueError("broke")

    async def odd(self):
        yield 5

    async def writing(self):
        for n in range(3):
            await self.ctx.storage.put("n", n)
            yield str(n)
            await asyncio.sleep(0)

    def look(self):
        return list(self.log)

    async def get(self, key):
        return await self.ctx.storage.get(key)

    async def send_stream(self, name):
        async def body():
            for n in range(3):
                await self.ctx.storage.put("sent", n)
                yield str(n)
                await asyncio.sleep(0)
            self.log.append("sent all")
        response = await self.env.THINGS.get_by_name(name).fetch(
            Request("http://localhost/count", method="POST", body=body())
        )
        return await response.text()

    async def read_twice(self, name):
        return await self.env.THINGS.get_by_name(name).fetch("http://localhost/words")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/")[3]
        thing = self.env.THINGS.get_by_name("a")
        if path == "drop":
            await thing.fetch("http://localhost/endless")
            return Response("dropped")
        if path == "worker":
            return Response(self.events())
        return await thing.fetch(request)

    async def events(self):
        yield "tick"
        await asyncio.Event().wait()
"""


def open_bodies(gateway: Any) -> tuple[int, int]:
    found: tuple[int, int] = gateway.host.bodies.statistics()
    return found


async def test_a_streamed_response_arrives_whole_and_in_order(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/words")
    assert reply.body == b""
    assert await gateway.body(reply.stream) == b"one two three "
    assert open_bodies(gateway) == (0, 0)


async def test_a_large_body_is_streamed_with_no_more_in_flight_than_the_window(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/endless")
    await gateway.until(lambda: sum(len(chunk.data) for chunk in gateway.of(wire.BodyChunk)) >= BODY_WINDOW_BYTES)
    await gateway.settled()
    sent = sum(len(chunk.data) for chunk in gateway.of(wire.BodyChunk))
    assert BODY_WINDOW_BYTES <= sent < BODY_WINDOW_BYTES + BODY_CHUNK_BYTES
    gateway.send(wire.BodyCredit(reply.stream, BODY_CHUNK_BYTES))
    await gateway.until(lambda: sum(len(chunk.data) for chunk in gateway.of(wire.BodyChunk)) > sent)
    gateway.send(wire.BodyCredit(reply.stream, 0))
    await gateway.step_until(lambda: open_bodies(gateway) == (0, 0))
    assert await gateway.call("look") == ["endless closed"]


async def test_bytes_too_large_for_a_frame_are_streamed(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/large")
    assert reply.stream
    body = await gateway.body(reply.stream)
    assert len(body) == 1024 * 1024 > INLINE_BODY_BYTES_MAX


async def test_a_client_that_leaves_ends_a_generator_that_waits_for_something_else(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/waiting")
    await gateway.until(lambda: gateway.of(wire.BodyChunk))
    assert not gateway.host.registry.evict(gateway.key().id)
    gateway.send(wire.BodyCredit(reply.stream, 0))
    await gateway.step_until(lambda: open_bodies(gateway) == (0, 0))
    assert await gateway.call("look") == ["waiting closed"]
    assert await gateway.call("get", "closed") is True
    assert gateway.host.registry.evict(gateway.key().id)


async def test_a_client_that_leaves_ends_a_workers_stream(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/worker")
    await gateway.until(lambda: gateway.of(wire.BodyChunk))
    gateway.send(wire.BodyCredit(reply.stream, 0))
    await gateway.step_until(lambda: open_bodies(gateway) == (0, 0))
    assert gateway.of(wire.BodyEnd) == []


@pytest.mark.parametrize(
    ("path", "error"),
    [("/broken", "ValueError: broke"), ("/odd", "TypeError: a streamed body yields str or bytes, got int")],
)
async def test_a_stream_that_breaks_says_why(gateway: Any, path: str, error: str) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch(path)
    with pytest.raises(OSError, match=error):
        await gateway.body(reply.stream)
    log = gateway.of(wire.Log)[0]
    assert (log.text, log.label) == (error, 'Thing "a"')
    assert open_bodies(gateway) == (0, 0)


async def test_chunks_of_a_stream_wait_for_the_writes_they_reveal(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/writing")
    assert await gateway.body(reply.stream) == b"012"
    order = [type(message) for message in gateway.of(wire.EpochDurable, wire.BodyChunk)]
    assert order[0] is wire.EpochDurable
    assert order[-1] is wire.BodyChunk
    assert gateway.of(wire.EpochDurable)[-1].epoch == gateway.host.durable_epoch


async def test_a_request_body_is_read_with_credit_for_what_was_taken(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    asking = gateway.send_fetch("/count", method="POST", stream=7)
    gateway.send(wire.BodyChunk(7, b"12345"))
    gateway.send(wire.BodyChunk(7, b"678"))
    gateway.send(wire.BodyEnd(7))
    assert (await asking).body == b"8"
    assert open_bodies(gateway) == (0, 0)


async def test_a_request_body_that_nobody_reads_is_refused(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    asking = gateway.send_fetch("/ignore", method="POST", stream=7)
    gateway.send(wire.BodyChunk(7, b"12345"))
    assert (await asking).body == b"ignored"
    await gateway.until(lambda: gateway.of(wire.BodyCredit))
    assert gateway.of(wire.BodyCredit) == [wire.BodyCredit(7, 0)]
    assert open_bodies(gateway) == (0, 0)


async def test_a_request_body_that_breaks_off_is_an_error_where_it_is_read(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    asking = gateway.send_fetch("/count", method="POST", stream=7)
    gateway.send(wire.BodyEnd(7, "the client went away"))
    failed = await asking
    assert (failed.error.type, failed.error.message) == ("OSError", "the client went away")


async def test_a_streamed_response_that_its_caller_drops_ends_at_its_source(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert (await gateway.fetch("/drop")).body == b"dropped"
    await gateway.step_until(lambda: not gateway.host.registry.live(gateway.key().id).pins())
    assert await gateway.call("look") == ["endless closed"]


async def test_an_actor_that_sends_a_stream_runs_it_itself(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("send_stream", "b") == "3"
    assert await gateway.call("look") == ["sent all"]
    assert await gateway.call("get", "sent") == 2
    assert gateway.of(wire.EpochDurable)
