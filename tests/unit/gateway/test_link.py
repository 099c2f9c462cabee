from __future__ import annotations

import asyncio
from functools import partial

import pytest

import durable.gateway.withheld as withheld_module
from durable.errors import HostGoneError, ReloadingError, WireError
from durable.gateway.events import GatewayFault
from durable.gateway.link import LinkStatistics
from durable.gateway.streams import BodyBrokenError
from durable.limits import BODY_CHUNK_BYTES, BODY_WINDOW_BYTES
from durable.wire.messages import (
    ActorKey,
    BodyChunk,
    BodyCredit,
    BodyEnd,
    Call,
    CallReply,
    Cancel,
    Closed,
    Done,
    EpochDurable,
    EpochFailed,
    Failed,
    HttpReply,
    HttpRequest,
    Log,
    SocketSend,
)

A = ActorKey("Room-1", "a" * 64, "a")
B = ActorKey("Room-1", "b" * 64, "b")


def call(actor=A):
    return partial(_call, actor)


def _call(actor, identity):
    return Call(identity, actor, "ping", b"")


def http(actor=None):
    return lambda identity: HttpRequest(identity, actor, "GET", "http://localhost/", [])


async def started(settle, awaitable):
    task = asyncio.ensure_future(awaitable)
    await settle()
    return task


async def test_an_answer_comes_back_to_the_one_who_asked(host, settle):
    first = await started(settle, host.link.request(call()))
    second = await started(settle, host.link.request(call()))

    await host.say(CallReply(2, 0, b"two"), CallReply(1, 0, b"one"))

    assert await first == CallReply(1, 0, b"one")
    assert await second == CallReply(2, 0, b"two")
    assert host.link.in_flight == 0


async def test_an_answer_waits_until_its_epoch_is_durable(host, settle):
    task = await started(settle, host.link.request(call()))

    await host.say(CallReply(1, 7, b"result"))
    assert not task.done()
    await host.say(EpochDurable(6))
    assert not task.done()
    await host.say(EpochDurable(7))

    assert (await task).payload == b"result"
    assert host.link.durable == 7


async def test_an_answer_whose_epoch_is_durable_already_does_not_wait_behind_others(host, settle):
    slow = await started(settle, host.link.request(call(A)))
    quick = await started(settle, host.link.request(call(B)))
    await host.say(EpochDurable(3))

    await host.say(CallReply(1, 5, b""), CallReply(2, 3, b""))

    assert quick.done()
    assert not slow.done()
    await host.say(EpochDurable(5))
    assert slow.done()


async def test_frames_of_one_socket_never_overtake_each_other_whatever_their_epochs(host):
    sent: list[str] = []
    host.link.on(SocketSend, lambda message: sent.append(message.text))

    await host.say(
        SocketSend([1, 2], "first", None, epoch=4),
        SocketSend([2], "second", None, epoch=0),
        SocketSend([3], "elsewhere", None, epoch=0),
    )
    assert sent == ["elsewhere"]
    await host.say(EpochDurable(4))

    assert sent == ["elsewhere", "first", "second"]


async def test_a_body_waits_for_the_reply_that_announces_it(host, settle):
    task = await started(settle, host.link.request(http()))

    await host.say(HttpReply(1, 2, 200, "", [], stream=9), BodyChunk(9, b"abc"), BodyEnd(9))
    assert not task.done()
    await host.say(EpochDurable(2))

    body = host.link.reply_body(await task)
    assert await body.read() == b"abc"
    assert await body.read() == b""


async def test_a_body_that_ended_before_anybody_looked_is_still_whole(host, settle):
    task = await started(settle, host.link.request(http()))

    await host.say(HttpReply(1, 0, 200, "", [], stream=9), BodyChunk(9, b"a"), BodyChunk(9, b"b"), BodyEnd(9))

    body = host.link.reply_body(await task)
    assert [await body.read(), await body.read(), await body.read()] == [b"a", b"b", b""]
    assert host.link.statistics().bodies == 0


async def test_a_cancelled_request_is_cancelled_at_the_host_and_its_late_answer_is_put_away(host, settle):
    unclaimed: list[HttpReply] = []
    host.link.unclaimed = unclaimed.append
    task = await started(settle, host.link.request(http()))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await host.said(Cancel) == [Cancel(1)]

    await host.say(HttpReply(1, 0, 101, "", [], stream=4, socket=77))
    assert await host.said(BodyCredit) == [BodyCredit(4, 0)]
    assert [reply.socket for reply in unclaimed] == [77]


async def test_an_answer_that_came_in_the_moment_of_cancelling_is_put_away_too(host, settle):
    unclaimed: list[HttpReply] = []
    host.link.unclaimed = unclaimed.append
    task = await started(settle, host.link.request(http()))

    host.link._deliver([HttpReply(1, 0, 101, "", [], socket=78)])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [reply.socket for reply in unclaimed] == [78]
    assert await host.said(Cancel) == []


async def test_a_question_that_cannot_be_encoded_fails_for_its_asker_only(host, settle):
    with pytest.raises(WireError, match="HttpRequest cannot be encoded"):
        await host.link.request(lambda identity: HttpRequest(identity, None, "GET", "http://x/\udcff", []))

    task = await started(settle, host.link.request(call()))
    await host.say(CallReply(2, 0, b""))
    assert task.done()
    assert host.ends == []


async def test_loss_delivers_what_the_dead_host_still_said_and_fails_the_rest(host, settle):
    answered = await started(settle, host.link.request(call()))
    pending = await started(settle, host.link.request(call()))
    undurable = await started(settle, host.link.request(call()))
    host.say_nowait(CallReply(1, 0, b"last words"), CallReply(3, 8, b"not on disk"))
    host.die()

    host.link.lost()

    assert (await answered).payload == b"last words"
    for task in (pending, undurable):
        with pytest.raises(HostGoneError, match="The process that ran this object ended before it answered"):
            await task
    with pytest.raises(HostGoneError):
        await host.link.request(call())


async def test_requests_that_outlive_a_drain_are_told_of_the_reload(host, settle):
    task = await started(settle, host.link.request(call()))
    await host.say(Closed(0, []))

    host.link.lost()

    with pytest.raises(ReloadingError, match="The program was reloaded before this request was answered"):
        await task


async def test_a_host_killed_at_the_end_of_its_drain_counts_as_reloaded(host, settle):
    task = await started(settle, host.link.request(call()))

    host.link.lost(reloading=True)

    with pytest.raises(ReloadingError):
        await task


async def test_closed_says_that_its_epoch_is_durable(host, settle):
    closed: list[Closed] = []
    host.link.on(Closed, closed.append)
    task = await started(settle, host.link.request(call()))

    await host.say(CallReply(1, 3, b""), Closed(3, [5]))

    assert task.done()
    assert closed == [Closed(3, [5])]


async def test_a_failed_epoch_drops_what_its_actors_said_and_releases_the_others(host, settle):
    sent: list[str] = []
    host.link.on(SocketSend, lambda message: sent.append(message.text))
    host.link.socket_owner = {1: A, 2: B}.get
    asked_a = await started(settle, host.link.request(call(A)))
    asked_b = await started(settle, host.link.request(call(B)))
    await host.say(
        CallReply(1, 5, b"a"),
        CallReply(2, 5, b"b"),
        SocketSend([1], "from a", None, epoch=5),
        SocketSend([2], "from b", None, epoch=5),
    )

    await host.say(EpochFailed(5, [A]), EpochDurable(5))

    failed = await asked_a
    assert isinstance(failed, Failed)
    assert failed.error.message.startswith("Durable Object storage operation failed")
    assert failed.error.flags == ["durable_object_reset"]
    assert (await asked_b).payload == b"b"
    assert sent == ["from b"]


async def test_a_failed_epoch_drops_messages_whose_speaker_nobody_knows(host):
    sent: list[str] = []
    host.link.on(SocketSend, lambda message: sent.append(message.text))
    done: list[Done] = []
    host.link.on(Done, done.append)
    await host.say(SocketSend([1], "whose?", None, epoch=5), Done([3], epoch=5))

    await host.say(EpochFailed(5, [A]), EpochDurable(5))

    assert sent == []
    assert done == [Done([3], epoch=5)]


async def test_a_failed_epoch_ends_the_bodies_and_questions_of_its_actors(host, settle):
    task = await started(settle, host.link.request(http()))
    await host.say(HttpReply(1, 0, 200, "", [], stream=4, served_by=A), BodyChunk(4, b"secret", epoch=2))
    await host.say(HttpRequest(9, B, "GET", "http://x/", [], stream=5, epoch=2))

    await host.say(EpochFailed(2, [A], [9]))

    with pytest.raises(BodyBrokenError, match="storage operation failed"):
        await host.link.reply_body(await task).read()
    assert [failed.id for failed in await host.said(Failed)] == [9]
    assert BodyCredit(5, 0) in await host.said(BodyCredit)


async def test_a_failed_epoch_drops_what_its_actors_ask_in_later_epochs_and_nobody_elses_questions(host, settle):
    asked: list[int] = []
    host.link.on(HttpRequest, lambda question: asked.append(question.id))
    for number, epoch in ((8, 2), (9, 3), (10, 3)):
        await host.say(HttpRequest(number, B, "GET", "http://x/", [], epoch=epoch))

    await host.say(EpochFailed(2, [A], [9]), EpochDurable(2), EpochDurable(3))

    assert asked == [8, 10]
    assert [failed.id for failed in await host.said(Failed)] == [9]


async def test_garbage_ends_the_link_and_tells_the_supervisor(host):
    host.socket.send(b"\x05\0\0\0junk!")
    await host.said(Log)

    assert len(host.ends) == 1
    assert isinstance(host.ends[0], WireError)


async def test_end_of_stream_alone_fails_nobody(host, settle):
    task = await started(settle, host.link.request(call()))

    host.die()
    await settle()

    assert host.ends == [None]
    assert not task.done()
    task.cancel()


async def test_a_bug_in_one_room_does_not_swallow_the_next_message(host, settle):
    def broken(_message):
        raise ZeroDivisionError("a bug of ours")

    host.link.on(Log, broken)
    task = await started(settle, host.link.request(call()))

    await host.say(Log("info", "x"), CallReply(1, 0, b""))

    assert task.done()
    [fault] = host.events
    assert isinstance(fault, GatewayFault)
    assert "ZeroDivisionError: a bug of ours" in fault.traceback


async def test_a_host_that_never_makes_anything_durable_is_given_up_at_the_bound(host, monkeypatch):
    monkeypatch.setattr(withheld_module, "WITHHELD_MESSAGES_MAX", 2)

    await host.say(*(SocketSend([socket], "x", None, epoch=1) for socket in range(3)))

    assert str(host.ends[0]) == "2 messages wait for epoch 1; the limit is 2"


async def test_old_keys_are_forgotten_although_some_epoch_is_always_underway():
    withheld = withheld_module.Withheld()

    for epoch in range(1, 5001):
        assert withheld.hold(SocketSend([epoch], "x", None, epoch=epoch))
        assert len(withheld.release(epoch - 1)) == (1 if epoch > 1 else 0)

    assert len(withheld._key_epochs) < 1100


async def test_statistics_show_what_is_open(host, settle):
    task = await started(settle, host.link.request(call()))
    await host.say(EpochDurable(2), SocketSend([1], "x", None, epoch=3))

    assert host.link.statistics() == LinkStatistics(requests=1, pending=1, withheld=1, durable=2, bodies=0)
    task.cancel()


# --- bodies -----------------------------------------------------------------------------------------------------------
async def test_a_body_to_a_host_waits_for_credit(host, settle):
    body = host.link.bodies.open()
    data = b"x" * (BODY_WINDOW_BYTES + BODY_CHUNK_BYTES)

    writing = await started(settle, body.write(data))
    assert not writing.done()
    assert sum(len(chunk.data) for chunk in await host.said(BodyChunk)) == BODY_WINDOW_BYTES
    await host.say(BodyCredit(body.stream, BODY_CHUNK_BYTES))

    assert writing.done()
    body.end()
    assert sum(len(chunk.data) for chunk in await host.said(BodyChunk)) == len(data)
    assert await host.said(BodyEnd) == [BodyEnd(body.stream, "")]


async def test_a_refused_body_goes_nowhere(host, settle):
    body = host.link.bodies.open()
    writing = await started(settle, body.write(b"x" * (BODY_WINDOW_BYTES + 1)))

    await host.say(BodyCredit(body.stream, 0))

    assert writing.done()
    assert body.refused
    body.end()
    assert await host.said(BodyEnd) == []
    assert host.link.statistics().bodies == 0


async def test_credit_is_given_for_what_was_taken_only(host, settle):
    reader = host.link.bodies.expect(3)
    await host.say(BodyChunk(3, b"abcd"), BodyChunk(3, b"ef"))

    piece = await reader.read()
    assert await host.said(BodyCredit) == []
    reader.took(piece)

    assert await host.said(BodyCredit) == [BodyCredit(3, 4)]


async def test_a_host_that_ignores_its_credit_loses_the_stream_only(host, settle):
    reader = host.link.bodies.expect(3)
    pieces = 2 * BODY_WINDOW_BYTES // BODY_CHUNK_BYTES + 1
    for _ in range(pieces):
        await host.say(BodyChunk(3, b"x" * BODY_CHUNK_BYTES))

    assert await host.said(BodyCredit) == [BodyCredit(3, 0)]
    with pytest.raises(BodyBrokenError, match="came without credit; the window is 1048576 bytes"):
        while await reader.read():
            pass
    assert host.ends == []


async def test_bodies_break_off_when_the_host_dies(host, settle):
    reader = host.link.bodies.expect(3)
    writer = host.link.bodies.open()
    reading = await started(settle, reader.read())

    host.link.lost()

    with pytest.raises(BodyBrokenError, match="the process that was sending this body is gone"):
        await reading
    assert writer.refused
    assert host.link.bodies.open().refused
