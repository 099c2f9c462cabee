"""Auto-responses: how many are kept, and what a host is told of when they were sent."""

from __future__ import annotations

from typing import Any

import pytest

from durable.clock import ManualClock
from durable.gateway.auto_responses import AutoResponses
from durable.gateway.socket_record import SocketRecord
from durable.limits import CHANNEL_HIGH_WATER_BYTES
from durable.wire.messages import ActorKey, AutoResponded, AutoResponseState, SetAutoResponse, SocketState


def actor(number: int) -> ActorKey:
    return ActorKey("Room-1", f"{number:064x}", None)


class Link:
    def __init__(self) -> None:
        self.unsent_bytes = 0
        self.heard: list[Any] = []

    def send(self, message: Any) -> None:
        self.heard.append(message)


class Bench:
    """One host, or none, and sockets that take whatever they are sent."""

    def __init__(self) -> None:
        self.link: Link | None = Link()
        self.clock = ManualClock(wall_ms=5000)
        delivery: Any = self
        self.responses = AutoResponses(delivery, self.clock)
        self.sent: list[str] = []

    def link_of(self, record: SocketRecord) -> Any:
        return self.link

    def send(self, frame: Any) -> None:
        self.sent.append(frame.payload.decode())

    def record(self, socket: int, owner: ActorKey) -> SocketRecord:
        room: Any = None
        client: Any = self
        record = SocketRecord(room, socket, room)
        record.actor, record.client = owner, client
        return record


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_the_exact_text_is_answered_and_the_host_told_when(bench: Bench):
    record = bench.record(7, actor(1))
    bench.responses.set(SetAutoResponse(actor(1), "ping", "pong"))

    assert bench.responses.answer(record, "ping")
    assert not bench.responses.answer(record, "ping ")
    assert not bench.responses.answer(bench.record(8, actor(2)), "ping")

    assert bench.sent == ["pong"]
    assert bench.link is not None
    assert bench.link.heard == [AutoResponded(7, 5000)]


async def test_a_host_that_is_far_behind_is_told_the_last_time_alone_and_later(bench: Bench):
    record = bench.record(7, actor(1))
    bench.responses.set(SetAutoResponse(actor(1), "ping", "pong"))
    link = bench.link
    assert link is not None
    link.unsent_bytes = CHANNEL_HIGH_WATER_BYTES + 1

    for _ in range(1000):
        bench.clock.advance(1)
        assert bench.responses.answer(record, "ping")
    bench.responses.tell_late()
    assert (len(bench.sent), link.heard) == (1000, [])

    link.unsent_bytes = 0
    bench.responses.tell_late()
    bench.responses.tell_late()
    assert link.heard == [AutoResponded(7, bench.clock.wall_ms())]


async def test_a_host_that_ended_meanwhile_is_told_nothing(bench: Bench):
    record = bench.record(7, actor(1))
    bench.responses.set(SetAutoResponse(actor(1), "ping", "pong"))
    assert bench.link is not None
    bench.link.unsent_bytes = CHANNEL_HIGH_WATER_BYTES + 1
    bench.responses.answer(record, "ping")

    bench.link = None
    bench.responses.tell_late()

    assert record.auto_response_ms == 5000  # the next one gets it with the socket


async def test_the_next_host_gets_the_pairs_of_its_sockets_and_the_others_are_over(bench: Bench):
    for number in (1, 2, 3):
        bench.responses.set(SetAutoResponse(actor(number), "ping", "pong"))
    states = [SocketState(7, actor(1), [], None)]

    given = bench.responses.of_next_host(lambda key: key != actor(3), states)

    assert given == [AutoResponseState(actor(1), "ping", "pong")]
    assert len(bench.responses) == 2
    assert bench.responses.of_next_host(lambda key: key == actor(3), [SocketState(8, actor(3), [], None)]) == [
        AutoResponseState(actor(3), "ping", "pong")
    ]


async def test_a_time_limit_for_events_is_kept_like_a_pair_and_answers_nothing(bench: Bench):
    bench.responses.set(SetAutoResponse(actor(1), None, None, 0, 500))
    record = bench.record(7, actor(1))

    assert not bench.responses.answer(record, "ping")
    assert bench.responses.of_next_host(lambda key: True, [SocketState(7, actor(1), [], None)]) == [
        AutoResponseState(actor(1), None, None, 500)
    ]
    bench.responses.set(SetAutoResponse(actor(1), None, None))
    assert len(bench.responses) == 0
