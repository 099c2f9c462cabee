"""Questions and answers with stubs and bodies beside them: in order, and with nothing left of those that fail."""

from __future__ import annotations

import pytest

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
    HttpRequest,
    Luggage,
    StubCount,
    StubKey,
)

ELSEWHERE = ActorKey("Room-1", "00000001" + "b" * 56, "b")
OF_ASKER, OF_OWNER, OF_THIRD, OF_NOBODY = (StubKey(host, 7) for host in (1, 2, 3, 9))


@pytest.fixture
async def hosts(new_host):
    asker, owner, third = [await new_host(number, number - 1) for number in (1, 2, 3)]
    router = Router(3)
    router.attach([asker.link, owner.link, third.link])
    relay = Relay(router, asker.events.append)
    for each in (asker, owner, third):
        relay.serve(each.link)
    asker.relay, asker.router = relay, router
    return asker, owner, third


async def test_a_call_of_a_stub_goes_to_the_host_that_owns_it(hosts):
    asker, owner, _ = hosts

    await asker.say(Call(41, None, "", b"args", target=OF_OWNER))
    assert await owner.said(Call) == [Call(1, None, "", b"args", target=OF_OWNER)]
    await owner.say(CallReply(1, 0, b"result"))

    assert await asker.said(CallReply) == [CallReply(41, 0, b"result")]


async def test_a_stub_of_a_process_that_is_gone_is_broken(hosts):
    asker, owner, _ = hosts
    await asker.say(Call(41, None, "", b"", target=OF_NOBODY))
    await asker.say(Call(42, None, "", b"", target=OF_OWNER))

    owner.link.lost()

    failed = await asker.said(Failed)
    assert [(each.id, each.error.type, each.broken) for each in failed] == [
        (41, "HostGoneError", True),
        (42, "HostGoneError", True),
    ]
    assert asker.relay.statistics().open == 0


async def test_no_plain_call_overtakes_one_that_takes_the_longer_way(hosts):
    asker, owner, _ = hosts

    await asker.say(
        Call(1, ELSEWHERE, "m1", b"", luggage=Luggage([OF_ASKER])),
        Call(2, ELSEWHERE, "m2", b""),
        HttpRequest(3, ELSEWHERE, "PUT", "http://x/", [], stream=5),
        Call(4, ELSEWHERE, "m4", b""),
    )

    sent = await owner.said(Call | HttpRequest)
    assert [getattr(message, "method", "") for message in sent] == ["m1", "m2", "PUT", "m4"]


async def test_a_stub_is_given_back_behind_the_question_that_brings_it(hosts):
    asker, owner, third = hosts
    await third.say(Call(1, ActorKey("Room-1", "00000000" + "b" * 56, "h"), "give", b"", luggage=Luggage([OF_THIRD])))
    assert len(await asker.said(Call)) == 1

    await asker.say(Call(2, ELSEWHERE, "take", b"", luggage=Luggage([OF_THIRD])), StubCount(OF_THIRD, -1))

    assert len(await owner.said(Call)) == 1
    assert await third.said(StubCount) == [StubCount(OF_THIRD, 1), StubCount(OF_THIRD, -1)]


async def test_a_stub_is_given_back_behind_the_answer_that_brings_it_home(hosts):
    asker, owner, _ = hosts
    await asker.say(Call(1, ELSEWHERE, "echo", b"", luggage=Luggage([OF_ASKER])))
    [call] = await owner.said(Call)

    await owner.say(CallReply(call.id, 0, b"", Luggage([OF_ASKER])), StubCount(OF_ASKER, -1))

    told = await asker.said(CallReply | StubCount)
    assert [type(each) for each in told] == [CallReply, StubCount]
    assert told[1] == StubCount(OF_ASKER, -1)


async def test_what_a_lost_host_held_is_given_back(hosts):
    asker, owner, _ = hosts
    await asker.say(Call(1, ELSEWHERE, "keep", b"", luggage=Luggage([OF_ASKER, OF_ASKER])))
    await owner.said(Call)

    owner.link.lost()

    assert StubCount(OF_ASKER, -2) in await asker.said(StubCount)


async def test_an_answer_that_nobody_wants_gives_its_stubs_and_bodies_back(hosts):
    asker, owner, _ = hosts
    await asker.say(Call(1, ELSEWHERE, "give", b""))
    [call] = await owner.said(Call)
    await asker.say(Cancel(1))

    await owner.say(CallReply(call.id, 0, b"", Luggage([OF_OWNER], [4])))

    assert await owner.said(StubCount) == [StubCount(OF_OWNER, -1)]
    assert BodyCredit(4, 0) in await owner.said(BodyCredit)
    assert await asker.said(CallReply) == []


async def test_bodies_beside_values_are_carried_both_ways(hosts):
    asker, owner, _ = hosts

    await asker.say(Call(5, ELSEWHERE, "put", b"", luggage=Luggage([], [3])), BodyChunk(3, b"up"), BodyEnd(3))
    [call] = await owner.said(Call)
    [stream] = call.luggage.streams
    assert await owner.said(BodyChunk) == [BodyChunk(stream, b"up")]

    await owner.say(CallReply(call.id, 0, b"", Luggage([], [8])), BodyChunk(8, b"down"), BodyEnd(8))
    [reply] = await asker.said(CallReply)
    [stream] = reply.luggage.streams
    assert await asker.said(BodyChunk) == [BodyChunk(stream, b"down")]
    assert await asker.said(BodyEnd) == [BodyEnd(stream)]
    assert asker.relay.statistics() == RelayStatistics(open=0, relayed=1)


async def test_a_call_waits_for_its_epoch_and_its_body_behind_it(hosts):
    asker, owner, _ = hosts

    await asker.say(Call(5, ELSEWHERE, "put", b"", epoch=4, luggage=Luggage([], [3])), BodyChunk(3, b"up"))
    assert await owner.said(Call | BodyChunk) == []
    await asker.say(EpochDurable(4))

    assert [type(each) for each in await owner.said(Call | BodyChunk)] == [Call, BodyChunk]
