"""A host that owns half of the actors: what it asks of the others goes through the gateway, which the test plays."""

from __future__ import annotations

from typing import Any

import pytest

from durable import values
from durable.wire import messages as wire

PROGRAM = """
import asyncio
from durable import DurableObject, Request, Response, WorkerEntrypoint

class Thing(DurableObject):
    def echo(self, *args, **kwargs):
        return args, kwargs

    async def ask(self, name, *args):
        await self.ctx.storage.put("asked", name)
        return await self.env.THINGS.get_by_name(name).echo(*args, times=2)

    async def fetch_from(self, name):
        response = await self.env.THINGS.get_by_name(name).fetch("http://localhost/x", headers={"a": "b"})
        return [response.status, await response.text(), response.headers["c"]]

    async def ignore_from(self, name):
        await self.env.THINGS.get_by_name(name).fetch("http://localhost/x")
        return "ignored"

    async def give_up(self, name):
        try:
            async with asyncio.timeout(0.001):
                await self.env.THINGS.get_by_name(name).fetch("http://localhost/x")
        except TimeoutError:
            return "gave up"

    async def abort_while_asking(self, name):
        self.call = asyncio.create_task(self.ask(name))
        await asyncio.sleep(0)

    def abort(self):
        self.ctx.abort("enough")

    async def upload(self, name):
        async def body():
            yield "abc"
            yield "def"
        await self.env.THINGS.get_by_name(name).fetch(Request("http://localhost/x", method="PUT", body=body()))

    async def unsendable(self, name):
        await self.env.THINGS.get_by_name(name).fetch("http://localhost/half-\\ud800")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.THINGS.get_by_name(request.url.split("/")[3]).fetch(request)
"""


@pytest.fixture
async def shard(gateway: Any) -> Any:
    await gateway.start(PROGRAM, shards=2)
    return gateway


def ours(gateway: Any) -> str:
    return next(name for name in "abcdefgh" if int(gateway.key(name).id[:8], 16) % 2 == 0)


def theirs(gateway: Any) -> str:
    return next(name for name in "abcdefgh" if int(gateway.key(name).id[:8], 16) % 2 == 1)


async def asked(gateway: Any, kind: type) -> Any:
    return (await gateway.until(lambda: gateway.of(kind)))[0]


async def test_a_call_to_an_actor_of_another_shard_leaves_with_the_callers_epoch(shard: Any) -> None:
    calling = shard.send_call("ask", theirs(shard), 1, name=ours(shard))
    call = await asked(shard, wire.Call)
    assert (call.actor, call.method) == (shard.key(theirs(shard)), "echo")
    assert values.decode(call.payload) == ((1,), {"times": 2})
    assert call.epoch > 0
    shard.send(wire.CallReply(call.id, 0, values.encode("from afar")))
    assert values.decode((await calling).payload) == "from afar"
    assert shard.host.registry.live(shard.key(theirs(shard)).id) is None


async def test_a_failure_in_another_shard_is_raised_as_what_it_was(shard: Any) -> None:
    calling = shard.send_call("ask", theirs(shard), name=ours(shard))
    call = await asked(shard, wire.Call)
    report = wire.ErrorReport("OverloadedError", "too much", "durable.errors", "OverloadedError", flags=["overloaded"])
    shard.send(wire.Failed(call.id, 0, report, 503))
    failed = await calling
    assert (failed.error.message, failed.status, "overloaded" in failed.error.flags) == ("too much", 503, True)


async def test_a_request_to_another_shard_carries_its_head_and_its_answer_may_stream(shard: Any) -> None:
    calling = shard.send_call("fetch_from", theirs(shard), name=ours(shard))
    request = await asked(shard, wire.HttpRequest)
    assert (request.actor, request.method, request.url) == (shard.key(theirs(shard)), "GET", "http://localhost/x")
    assert request.headers == [("a", "b")]
    shard.send(wire.HttpReply(request.id, 0, 201, "Created", [("c", "d")], b"", 9))
    shard.send(wire.BodyChunk(9, b"one "))
    shard.send(wire.BodyChunk(9, b"two"))
    shard.send(wire.BodyEnd(9))
    assert values.decode((await calling).payload) == [201, "one two", "d"]
    assert shard.host.bodies.statistics() == (0, 0)


async def test_a_streamed_answer_that_nobody_reads_is_refused(shard: Any) -> None:
    calling = shard.send_call("ignore_from", theirs(shard), name=ours(shard))
    request = await asked(shard, wire.HttpRequest)
    shard.send(wire.HttpReply(request.id, 0, 200, "OK", [], b"", 9))
    assert values.decode((await calling).payload) == "ignored"
    await shard.until(lambda: shard.of(wire.BodyCredit))
    assert shard.of(wire.BodyCredit) == [wire.BodyCredit(9, 0)]
    assert shard.host.bodies.statistics() == (0, 0)


async def test_a_caller_that_gives_up_cancels_and_a_late_answer_is_refused(shard: Any) -> None:
    calling = shard.send_call("give_up", theirs(shard), name=ours(shard))
    request = await asked(shard, wire.HttpRequest)
    assert values.decode((await calling).payload) == "gave up"
    assert shard.of(wire.Cancel) == [wire.Cancel(request.id)]
    shard.send(wire.HttpReply(request.id, 0, 200, "OK", [], b"", 9))
    await shard.until(lambda: shard.of(wire.BodyCredit))
    assert shard.of(wire.BodyCredit) == [wire.BodyCredit(9, 0)]


async def test_an_actor_that_is_reset_cancels_what_it_asked(shard: Any) -> None:
    calling = shard.send_call("abort_while_asking", theirs(shard), name=ours(shard))
    call = await asked(shard, wire.Call)
    await calling
    await shard.send_call("abort", name=ours(shard))
    await shard.until(lambda: shard.of(wire.Cancel))
    assert shard.of(wire.Cancel) == [wire.Cancel(call.id)]


async def test_a_streamed_request_body_follows_its_announcement(shard: Any) -> None:
    shard.send_call("upload", theirs(shard), name=ours(shard))
    request = await asked(shard, wire.HttpRequest)
    assert (request.method, request.body) == ("PUT", b"")
    assert await shard.body(request.stream) == b"abcdef"


async def test_a_request_that_cannot_be_sent_fails_where_it_was_made(shard: Any) -> None:
    failed = await shard.send_call("unsendable", theirs(shard), name=ours(shard))
    assert failed.error.type == "WireError"
    assert "HttpRequest cannot be encoded" in failed.error.message


async def test_an_upgrade_answered_by_another_shard_hands_its_socket_on(shard: Any) -> None:
    asking = shard.send_fetch("/" + theirs(shard), upgrade=True, headers=[("upgrade", "websocket")])
    request = await asked(shard, wire.HttpRequest)
    assert request.upgrade
    shard.send(wire.HttpReply(request.id, 0, 101, "Switching Protocols", [], b"", 0, 77))
    reply = await asking
    assert (reply.status, reply.socket, reply.served_by) == (101, 77, shard.key(theirs(shard)))
