"""What a host had not begun when it died, or fell silent, is asked of another; what it had begun never is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable.errors import HostGoneError
from durable.gateway.relay import Relay
from durable.gateway.router import Router
from durable.limits import RESENDS_MAX
from durable.wire.messages import ActorKey, Call, CallReply, HttpReply, HttpRequest
from durable.wire.progress import Progress
from tests.unit.gateway.conftest import ScriptedHost

EVEN = ActorKey("Room-1", "00000004" + "a" * 56, None)

NewHost = Callable[..., Awaitable[ScriptedHost]]


def get(identity: int, stream: int = 0) -> HttpRequest:
    return HttpRequest(identity, None, "GET", "http://localhost/", [], stream=stream)


def call(identity: int) -> Call:
    return Call(identity, EVEN, "count", b"")


async def watched(new_host: NewHost, number: int = 1, shard: int = 0) -> ScriptedHost:
    """A host that shares what it has begun."""
    host = await new_host(number, shard)
    host.link.progress = Progress.private()
    return host


def begin(host: ScriptedHost, *, worker: int = 0, actor: int = 0) -> None:
    assert host.link.progress is not None
    host.link.progress.numbers[0], host.link.progress.numbers[1] = worker, actor


async def ask(router: Router, host: ScriptedHost, question: Callable[[int], Any]) -> Any:
    """As the front does."""
    try:
        return await host.link.request(question)
    except HostGoneError as error:
        return (await router.ask_again(question, error))[1]


@pytest.mark.parametrize("question", [get, call])
async def test_what_had_not_begun_is_answered_by_the_replacement(
    new_host: NewHost, settle: Callable[[], Awaitable[None]], question: Callable[[int], Any]
) -> None:
    router, first = Router(1), await watched(new_host)
    router.attach([first.link])
    asking = [asyncio.ensure_future(ask(router, first, question)) for _ in range(3)]
    await settle()
    begin(first, worker=1, actor=1)

    router.detach(first.link)
    first.link.lost(death="was killed by signal 9 (SIGKILL)")
    await settle()
    second = await watched(new_host, 2)
    second.answer = lambda message: second.say_nowait(CallReply(message.id, 0, b"second"))
    router.attach_one(0, second.link)
    others = [await one for one in asking[1:]]

    with pytest.raises(HostGoneError) as begun:
        await asking[0]
    assert (
        str(begun.value)
        == "The process that ran this object ended before it answered: it was killed by signal 9 (SIGKILL)."
    )
    assert [reply.payload for reply in others] == [b"second"] * 2


async def test_what_no_host_lives_long_enough_to_begin_is_given_up(
    new_host: NewHost, settle: Callable[[], Awaitable[None]]
) -> None:
    router = Router(1)
    host = await watched(new_host)
    router.attach([host.link])
    asking = asyncio.ensure_future(ask(router, host, get))
    for number in range(2, RESENDS_MAX + 3):
        await settle()
        router.detach(host.link)
        host.link.lost()
        host = await watched(new_host, number)
        router.attach_one(0, host.link)

    with pytest.raises(HostGoneError):
        await asking


async def test_a_host_that_shares_nothing_has_begun_with_everything(
    new_host: NewHost, settle: Callable[[], Awaitable[None]]
) -> None:
    host = await new_host()
    asking = asyncio.ensure_future(host.link.request(get))
    await settle()

    host.link.lost()

    with pytest.raises(HostGoneError) as gone:
        await asking
    assert gone.value.begun


async def test_a_silent_host_gets_no_more_requests_and_those_it_has_not_begun_are_taken_from_it(
    new_host: NewHost, settle: Callable[[], Awaitable[None]]
) -> None:
    router = Router(2)
    stuck, fine = await watched(new_host, 1, 0), await watched(new_host, 2, 1)
    router.attach([stuck.link, fine.link])
    fine.answer = lambda message: fine.say_nowait(HttpReply(message.id, 0, 200, "", []))
    begun = asyncio.ensure_future(ask(router, stuck, get))
    waiting = asyncio.ensure_future(ask(router, stuck, get))
    upload = asyncio.ensure_future(ask(router, stuck, lambda identity: get(identity, stream=9)))
    of_actor = asyncio.ensure_future(ask(router, stuck, call))
    await settle()
    begin(stuck, worker=1)

    stuck.link.is_silent = True
    stuck.link.take_back()

    assert (await waiting).status == 200
    assert {router.owner_nowait(None) for _ in range(4)} == {fine.link}
    assert stuck.link.progress is not None
    assert stuck.link.progress.numbers[2] == 4
    await settle()
    # Its body is there already; its object is nowhere else; and nobody runs twice.
    assert not any(asking.done() for asking in (begun, upload, of_actor))
    stuck.link.is_silent = False
    assert router.owner_nowait(None) is not None
    for asking in (begun, upload, of_actor):
        asking.cancel()


async def test_when_all_are_silent_requests_wait_at_one_of_them(new_host: NewHost) -> None:
    router = Router(2)
    hosts = [await watched(new_host, number, number) for number in range(2)]
    router.attach([host.link for host in hosts])
    for host in hosts:
        host.link.is_silent = True

    assert router.owner_nowait(None) in [host.link for host in hosts]


async def test_a_call_from_another_host_that_had_not_begun_is_relayed_again(
    new_host: NewHost, settle: Callable[[], Awaitable[None]]
) -> None:
    router = Router(2)
    owner, asker = await watched(new_host, 1, 0), await watched(new_host, 2, 1)
    router.attach([owner.link, asker.link])
    relay = Relay(router, asker.events.append)
    relay.serve(asker.link)
    await asker.say(Call(5, EVEN, "count", b""))
    await settle()

    router.detach(owner.link)
    owner.link.lost()
    await settle()
    successor = await watched(new_host, 3, 0)
    successor.answer = lambda message: successor.say_nowait(CallReply(message.id, 0, b"counted"))
    router.attach_one(0, successor.link)

    (reply,) = await asker.said(CallReply)
    assert (reply.id, reply.payload) == (5, b"counted")
