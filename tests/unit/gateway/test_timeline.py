"""What the gateway remembers of events, and what it passes on: everything, as it came."""

from __future__ import annotations

import msgspec
import pytest

from durable.clock import ManualClock
from durable.gateway import events
from durable.gateway.events import Event
from durable.gateway.timeline import GatewayTimeline, Line
from durable.limits import TIMELINE_LEFT_ENTRIES_MAX, TIMELINE_TEXT_CHARACTERS_MAX
from durable.supervisor.events import HostDied, Reloaded
from durable.supervisor.timeline_lines import HOST_LINES
from durable.wire.messages import ActorKey, TimelineLeft
from durable.wire.timeline import Remembered, Rings

ALL_US = 10**12
A, B = "a" * 64, "b" * 64


class Bench:
    def __init__(self, rings: Rings | None = None) -> None:
        self.clock = ManualClock()
        self.passed: list[Event] = []
        self.timeline = GatewayTimeline(self.clock, HOST_LINES, rings)
        self.tell = self.timeline.before(self.passed.append)

    def told(self, *happened: Event) -> None:
        for event in happened:
            self.clock.advance(1.0)
            self.tell(event)

    def lines(self, object_id: str | None = None, since_us: int = 0, entries_max: int = 100) -> list[Line]:
        return [each.line for each in self.timeline.recall(object_id, since_us, ALL_US, entries_max)]


def request(path: str, object_id: str | None) -> events.RequestServed:
    return events.RequestServed("GET", path, 200, 2.5, "Room", "a", object_id)


def test_every_event_is_passed_on_remembered_or_not() -> None:
    bench = Bench()
    long = request("/" + "x" * 1000, A)
    happened = [long, events.HostLog("info", "hello"), Reloaded(2, 20.0)]
    bench.told(*happened)
    assert bench.passed == happened
    assert [line.kind for line in bench.lines()] == ["reload", "request"]
    assert len(bench.lines(A)[-1].what) <= TIMELINE_TEXT_CHARACTERS_MAX + len("GET ")


def test_an_object_has_its_own_events_and_those_that_concern_everybody() -> None:
    bench = Bench()
    bench.told(
        request("/a", A),
        request("/b", B),
        request("/worker", None),
        HostDied(4711, 0, "was killed by signal 9 (SIGKILL)"),
        events.SocketOpened("Room", "a", A),
        events.SocketGone("Room", "a", 1001, A),
    )
    assert bench.lines(A) == [
        Line("socket", "closed 1001"),
        Line("socket", "opened"),
        Line("host", "pid 4711", "was killed by signal 9 (SIGKILL)"),
        Line("request", "GET /a", "200", 2.5),
    ]
    assert len(bench.lines()) == 6


def test_the_latest_are_told_and_what_came_since() -> None:
    bench = Bench()
    bench.told(request("/1", A), request("/2", B), request("/3", A))
    assert [line.what for line in bench.lines(entries_max=2)] == ["GET /3", "GET /2"]
    assert [line.what for line in bench.lines(since_us=2_000_000)] == ["GET /3"]


def test_objects_beyond_the_bound_are_forgotten() -> None:
    bench = Bench(Rings(entries_max=3, objects_max=2))
    for number in range(10):
        bench.told(*[request(f"/{number}", str(number))] * 5)
    assert [line.what for line in bench.lines()] == ["GET /9"] * 3 + ["GET /8"] * 3


@pytest.mark.parametrize("actor", [None, ActorKey("Room-1", A, "a")])
def test_what_former_hosts_left_is_kept_within_a_bound(actor: ActorKey | None) -> None:
    bench = Bench()
    key = ActorKey("Room-1", A, "a")
    left = [Remembered(number, 1, "sql", "SELECT", "ok", 1, key) for number in range(1, 701)]

    class Link:
        def on(self, kind, handler) -> None:
            self.handler = handler

    link = Link()
    bench.timeline.listen(link)  # type: ignore[arg-type]
    for at in (0, 1000):
        later = [msgspec.structs.replace(entry, ended_us=entry.ended_us + at) for entry in left]
        link.handler(TimelineLeft(msgspec.msgpack.encode(later)))
    kept = [entry.ended_us for entry in bench.timeline.left_by_hosts(actor, "", 0, ALL_US)]
    assert len(kept) == TIMELINE_LEFT_ENTRIES_MAX
    assert kept[-1] == 1700
    assert [each.ended_us for each in bench.timeline.left_by_hosts(actor, "Room-1", 1698, 1699)] == [1699]
    assert not list(bench.timeline.left_by_hosts(ActorKey("Room-1", B), "", 0, ALL_US))
    assert not list(bench.timeline.left_by_hosts(None, "Other-1", 0, ALL_US))
