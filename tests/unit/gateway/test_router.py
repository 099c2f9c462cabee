from __future__ import annotations

import asyncio

import pytest

import durable.gateway.router as router_module
from durable.clock import ManualClock
from durable.errors import OverloadedError, ProgramBrokenError, ReloadingError
from durable.gateway.router import Router, RouterStatistics
from durable.wire.messages import ActorKey, ErrorReport

EVEN = ActorKey("Room-1", "00000004" + "a" * 56, None)
ODD = ActorKey("Room-1", "00000005" + "a" * 56, None)


@pytest.fixture
async def links(new_host):
    return [(await new_host(number, number)).link for number in range(2)]


@pytest.fixture
async def two(links):
    router = Router(2)
    router.attach(links)
    return router


async def test_an_actor_belongs_to_the_shard_that_its_id_names(two, links):
    assert two.placement(EVEN.id) == 0
    assert two.placement(ODD.id) == 1
    assert await two.link_for(EVEN) is links[0]
    assert await two.link_for(ODD) is links[1]


async def test_worker_requests_take_turns_between_idle_hosts(two, links):
    chosen = [two.owner_nowait(None) for _ in range(4)]

    assert sorted(link.shard for link in chosen) == [0, 0, 1, 1]


async def test_worker_requests_prefer_the_host_with_less_to_do(two, links, settle):
    from durable.wire.messages import Call

    busy = asyncio.ensure_future(links[0].request(lambda identity: Call(identity, EVEN, "m", b"")))
    await settle()

    assert {two.owner_nowait(None) for _ in range(4)} == {links[1]}
    busy.cancel()


async def test_held_events_go_on_in_order_when_the_new_generation_is_attached_and_released(links, settle):
    router = Router(2)
    router.attach(links)
    router.hold()
    order: list[str] = []

    async def event(name, actor):
        await router.link_for(actor)
        order.append(name)

    tasks = [asyncio.ensure_future(event(name, actor)) for name, actor in [("1", EVEN), ("2", ODD), ("3", None)]]
    await settle()
    router.attach(links)
    await settle()
    assert order == []
    router.release()
    await asyncio.gather(*tasks)

    assert order == ["1", "2", "3"]


async def test_what_running_events_ask_is_not_held(two, links):
    two.hold()

    assert await two.link_for(ODD, through_hold=True) is links[1]


async def test_events_of_a_dead_shard_wait_for_its_replacement_while_others_go_on(two, links, new_host, settle):
    two.detach(links[1])
    waiting = asyncio.ensure_future(two.link_for(ODD))
    await settle()
    assert await two.link_for(EVEN) is links[0]
    assert await two.link_for(None) is links[0]
    assert not waiting.done()

    replacement = (await new_host(7, 1)).link
    two.attach_one(1, replacement)

    assert await waiting is replacement


async def test_who_waits_too_long_is_told_so_and_later_ones_go_on_waiting(settle):
    clock = ManualClock()
    router = Router(1, clock=clock, hold_seconds_max=30.0)
    early = asyncio.ensure_future(router.link_for(EVEN))
    await settle()
    clock.advance(20)
    late = asyncio.ensure_future(router.link_for(EVEN))
    await settle()
    clock.advance(10)

    router.turn_away_late()

    with pytest.raises(ReloadingError, match="No process was ready to run this within 30 seconds"):
        await early
    assert not late.done()
    assert router.statistics() == RouterStatistics(shards=1, attached=0, held=False, waiting=1, turned_away=1)
    late.cancel()


async def test_more_than_the_bound_are_turned_away_at_once(monkeypatch, settle):
    monkeypatch.setattr(router_module, "HELD_REQUESTS_MAX", 1)
    router = Router(1)
    first = asyncio.ensure_future(router.link_for(EVEN))
    await settle()

    with pytest.raises(OverloadedError, match="1 requests are waiting for the program to be reloaded"):
        await router.link_for(EVEN)
    first.cancel()


async def test_a_cancelled_wait_is_forgotten(links, settle):
    router = Router(1)
    gone = asyncio.ensure_future(router.link_for(EVEN))
    await settle()
    gone.cancel()
    await settle()

    router.attach(links[:1])

    assert router.statistics().waiting == 0


async def test_a_program_that_cannot_be_loaded_is_said_to_all_until_a_host_is_attached(links, settle):
    router = Router(1)
    waiting = asyncio.ensure_future(router.link_for(None))
    await settle()

    router.refuse(ErrorReport("SyntaxError", "invalid syntax (main.py, line 3)"))

    sentence = r"The program cannot be loaded: SyntaxError: invalid syntax \(main.py, line 3\)"
    with pytest.raises(ProgramBrokenError, match=sentence):
        await waiting
    with pytest.raises(ProgramBrokenError, match=sentence):
        await router.link_for(EVEN)
    router.attach(links[:1])
    assert router.refusal is None
    assert await router.link_for(EVEN) is links[0]
