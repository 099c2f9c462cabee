from __future__ import annotations

import asyncio

import pytest

import durable.gateway.relay as relay_module
from durable.gateway.relay import Relay, RelayStatistics
from durable.gateway.router import Router
from durable.wire.messages import (
    ActorKey,
    BodyChunk,
    BodyCredit,
    BodyEnd,
    Call,
    CallReply,
    Cancel,
    EpochDurable,
    Failed,
    HttpReply,
    HttpRequest,
)

ELSEWHERE = ActorKey("Room-1", "00000001" + "b" * 56, "b")
HERE = ActorKey("Room-1", "00000000" + "b" * 56, "h")


@pytest.fixture
async def hosts(new_host):
    asker, owner = await new_host(1, 0), await new_host(2, 1)
    router = Router(2)
    router.attach([asker.link, owner.link])
    relay = Relay(router, asker.events.append)
    for each in (asker, owner):
        relay.serve(each.link)
    asker.relay, asker.router = relay, router
    return asker, owner


async def test_a_call_to_another_shard_is_answered_under_the_askers_id(hosts):
    asker, owner = hosts

    await asker.say(Call(41, ELSEWHERE, "ping", b"args", epoch=0))
    assert await owner.said(Call) == [Call(1, ELSEWHERE, "ping", b"args", epoch=0)]
    await owner.say(CallReply(1, 0, b"result"))

    assert await asker.said(CallReply) == [CallReply(41, 0, b"result")]
    assert asker.relay.statistics() == RelayStatistics(open=0, relayed=1)


async def test_a_call_leaves_only_when_its_callers_writes_are_durable(hosts):
    asker, owner = hosts

    await asker.say(Call(41, ELSEWHERE, "ping", b"", epoch=6))
    assert await owner.said(Call) == []
    await asker.say(EpochDurable(6))

    assert len(await owner.said(Call)) == 1


async def test_an_answer_leaves_only_when_the_callees_writes_are_durable(hosts):
    asker, owner = hosts
    await asker.say(Call(41, ELSEWHERE, "ping", b""))

    await owner.say(CallReply(1, 9, b""))
    assert await asker.said(CallReply) == []
    await owner.say(EpochDurable(9))

    assert await asker.said(CallReply) == [CallReply(41, 0, b"")]


async def test_calls_arrive_in_the_order_they_were_made(hosts):
    asker, owner = hosts

    await asker.say(*(Call(number, ELSEWHERE, f"m{number}", b"") for number in range(1, 6)))

    assert [call.method for call in await owner.said(Call)] == ["m1", "m2", "m3", "m4", "m5"]


async def test_a_call_to_the_askers_own_shard_is_relayed_all_the_same(hosts):
    asker, _ = hosts

    await asker.say(Call(41, HERE, "ping", b""))

    assert await asker.said(Call) == [Call(1, HERE, "ping", b"")]


async def test_calls_pass_during_a_hold(hosts):
    asker, owner = hosts
    asker.router.hold()

    await asker.say(Call(41, ELSEWHERE, "ping", b""))

    assert len(await owner.said(Call)) == 1


async def test_bodies_are_carried_both_ways_with_credit_from_the_far_end(hosts):
    asker, owner = hosts

    await asker.say(HttpRequest(5, ELSEWHERE, "POST", "http://x/", [], stream=3), BodyChunk(3, b"up"))
    [request] = await owner.said(HttpRequest)
    assert request.stream != 0
    assert await owner.said(BodyChunk) == [BodyChunk(request.stream, b"up")]
    assert await asker.said(BodyCredit) == [BodyCredit(3, 2)]
    await asker.say(BodyEnd(3))
    assert await owner.said(BodyEnd) == [BodyEnd(request.stream)]

    await owner.say(HttpReply(request.id, 0, 200, "", [], stream=8), BodyChunk(8, b"down"))
    [reply] = await asker.said(HttpReply)
    assert reply.id == 5
    assert await asker.said(BodyChunk) == [BodyChunk(reply.stream, b"down")]
    await owner.say(BodyEnd(8, "ValueError: it broke"))
    assert await asker.said(BodyEnd) == [BodyEnd(reply.stream, "ValueError: it broke")]


async def test_an_asker_that_wants_no_more_of_a_body_stops_its_source(hosts):
    asker, owner = hosts
    await asker.say(HttpRequest(5, ELSEWHERE, "GET", "http://x/", []))
    [request] = await owner.said(HttpRequest)
    await owner.say(HttpReply(request.id, 0, 200, "", [], stream=8), BodyChunk(8, b"1"))
    [reply] = await asker.said(HttpReply)

    await asker.say(BodyCredit(reply.stream, 0))
    await owner.say(BodyChunk(8, b"2"))

    assert BodyCredit(8, 0) in await owner.said(BodyCredit)
    assert [chunk.data for chunk in await asker.said(BodyChunk)] == [b"1"]


async def test_a_cancelled_question_is_cancelled_at_its_owner(hosts):
    asker, owner = hosts
    await asker.say(Call(41, ELSEWHERE, "ping", b""))

    await asker.say(Cancel(41))

    assert await owner.said(Cancel) == [Cancel(1)]
    assert asker.relay.statistics().open == 0


async def test_a_dead_owner_is_a_failure_that_the_asker_may_retry(hosts):
    asker, owner = hosts
    await asker.say(Call(41, ELSEWHERE, "ping", b""))

    owner.link.lost()

    [failed] = await asker.said(Failed)
    assert (failed.id, failed.status) == (41, 503)
    assert (failed.error.type, failed.error.module) == ("HostGoneError", "durable.errors")
    assert failed.error.flags == ["retryable"]


async def test_a_dead_asker_leaves_nothing_behind(hosts):
    asker, owner = hosts
    await asker.say(Call(41, ELSEWHERE, "ping", b""))

    asker.link.lost()

    assert await owner.said(Cancel) == [Cancel(1)]
    assert asker.relay.statistics().open == 0


async def test_too_many_open_questions_are_refused(hosts, monkeypatch):
    monkeypatch.setattr(relay_module, "RELAYED_REQUESTS_MAX", 1)
    asker, _ = hosts

    await asker.say(Call(1, ELSEWHERE, "ping", b""), HttpRequest(2, ELSEWHERE, "GET", "http://x/", [], stream=6))

    [failed] = await asker.said(Failed)
    assert (failed.id, failed.error.flags) == (2, ["overloaded"])
    assert failed.error.message == "This process has 1 requests open to other objects."
    assert await asker.said(BodyCredit) == [BodyCredit(6, 0)]


async def test_a_socket_handed_over_by_another_shard_keeps_its_id(hosts):
    asker, owner = hosts
    await asker.say(HttpRequest(5, ELSEWHERE, "GET", "http://x/", [], upgrade=True))

    await owner.say(HttpReply(1, 0, 101, "", [], socket=900))

    assert [(reply.id, reply.socket) for reply in await asker.said(HttpReply)] == [(5, 900)]
    await asyncio.sleep(0)
