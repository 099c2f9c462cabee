"""The alarm scheduler while somebody else moves the clock, and one alarm that is fired by hand."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from durable.clock import ClockSetting, SystemClock
from durable.errors import HostGoneError
from durable.gateway.driven_alarms import AlarmState, DrivenAlarms
from durable.gateway.events import AlarmFired, Event
from durable.limits import ALARM_RUNS_MAX, ALARMS_WAITING_MAX
from durable.storage.index import IndexRow
from durable.wire.messages import ActorKey, AlarmDue, AlarmReply

ROOM = "Room-1"
START_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def actor(number: int) -> ActorKey:
    return ActorKey(ROOM, f"{number:064x}", None)


class Bench:
    """A scheduler on a clock that stands, against an index and a host that are both the test's."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.clock.stand_at(START_MS)
        self.rows: dict[str, int] = {}
        self.asked: list[AlarmDue] = []
        self.events: list[Event] = []
        self.outcome = "done"
        self.sets: dict[str, int] = {}
        """What the next run of an object sets its alarm to, after its own moment."""
        self.refusal: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.alarms = DrivenAlarms(
            self, self.clock, self, on_event=self.events.append, class_name=lambda _: "Room", jitter=random.Random(1)
        )
        self.alarms.set_namespaces([ROOM])

    # the index
    async def due(self, namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]:
        found = sorted((ms, key) for key, ms in self.rows.items() if ms < before_ms)
        return tuple(IndexRow(key, None, 0, 0, ms, 0) for ms, key in found[:limit])

    def correct_alarm(self, actor: ActorKey, expected_ms: int, alarm_ms: int | None) -> None:
        return

    # the router and the link
    async def link_for(self, actor: ActorKey | None) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return self

    async def request(self, question: Any) -> Any:
        due = question(len(self.asked) + 1)
        self.asked.append(due)
        if self.gate is not None:
            await self.gate.wait()
        again = self.sets.get(due.actor.id)
        next_ms = None if again is None else due.scheduled_ms + again
        if self.outcome == "done":
            self.rows.pop(due.actor.id, None)
            if next_ms is not None:
                self.rows[due.actor.id] = next_ms
        return AlarmReply(due.id, 1, self.outcome, next_ms if self.outcome == "done" else due.scheduled_ms)

    def send(self, _message: object) -> None:
        return

    def has(self, number: int, in_ms: int, again_ms: int | None = None) -> None:
        self.rows[actor(number).id] = START_MS + in_ms
        if again_ms is not None:
            self.sets[actor(number).id] = again_ms

    async def move_to(self, in_ms: int) -> None:
        self.clock.stand_at(START_MS + in_ms)
        await self.alarms.run_due()


async def next_in(bench: Bench, in_ms: int) -> int | None:
    due_ms = await bench.alarms.next_due_ms(START_MS + in_ms)
    return None if due_ms is None else due_ms - START_MS


async def test_held_it_starts_nothing_by_itself() -> None:
    bench = Bench()
    bench.has(1, 0)
    bench.alarms.hold()
    await bench.alarms.step()
    assert bench.asked == []

    bench.alarms.release()
    await bench.alarms.step()
    await asyncio.sleep(0)
    assert len(bench.asked) == 1
    await bench.alarms.stop()


async def test_the_next_alarm_is_found_however_far_it_is_and_to_the_millisecond() -> None:
    bench = Bench()
    bench.alarms.hold()
    bench.has(1, 14 * DAY_MS + 1)
    assert await next_in(bench, 14 * DAY_MS) is None
    assert await next_in(bench, 14 * DAY_MS + 1) == 14 * DAY_MS + 1


async def test_what_a_run_sets_is_due_next_and_runs_are_over_when_it_returns() -> None:
    bench = Bench()
    bench.alarms.hold()
    bench.has(1, 1000, again_ms=500)
    assert await next_in(bench, DAY_MS) == 1000
    await bench.move_to(1000)

    assert await next_in(bench, DAY_MS) == 1500
    assert [due.scheduled_ms - START_MS for due in bench.asked] == [1000]
    assert [type(event) for event in bench.events] == [AlarmFired]
    assert bench.alarms.runs == 1


async def test_a_crowd_that_is_due_at_once_runs_at_that_moment_whole() -> None:
    bench = Bench()
    bench.alarms.hold()
    crowd = 3 * ALARM_RUNS_MAX
    for number in range(crowd):
        bench.has(number, 1000)
    assert await next_in(bench, DAY_MS) == 1000
    await bench.move_to(1000)

    assert len({due.actor.id for due in bench.asked}) == len(bench.asked) == crowd
    assert await next_in(bench, DAY_MS) is None


async def test_an_alarm_that_sets_itself_for_now_does_not_run_for_ever() -> None:
    bench = Bench()
    bench.alarms.hold()
    bench.has(1, 1000, again_ms=0)
    bench.has(2, 1000)
    assert await next_in(bench, DAY_MS) == 1000
    await bench.move_to(1000)

    assert sorted({due.actor.id for due in bench.asked}) == [actor(1).id, actor(2).id]
    assert len(bench.asked) <= 4


async def test_retries_are_due_in_seconds_of_the_moved_clock() -> None:
    bench = Bench()
    bench.alarms.hold()
    bench.outcome = "failed"
    bench.has(1, 1000)
    await next_in(bench, DAY_MS)
    await bench.move_to(1000)
    assert bench.alarms.state_of(actor(1)) == AlarmState("retrying", 1)

    first = await next_in(bench, DAY_MS)
    assert first is not None
    assert 3000 <= first <= 3501
    await bench.move_to(first)
    assert [due.retry_count for due in bench.asked] == [0, 1]


async def test_more_alarms_than_memory_holds_are_all_found_in_order() -> None:
    bench = Bench()
    bench.alarms.hold()
    many = ALARMS_WAITING_MAX + 50
    for number in range(many):
        bench.has(number, 1000 + number // 1000)
    moments: list[int] = []
    while (moment := await next_in(bench, DAY_MS)) is not None:
        moments.append(moment)
        await bench.move_to(moment)

    assert moments == sorted(set(moments))
    assert len(bench.asked) == many
    assert bench.rows == {}


async def test_a_standing_clock_is_not_looked_at_every_millisecond() -> None:
    bench = Bench()
    bench.has(1, 1)
    assert await bench.alarms.step() == 1.0
    bench.clock.set(ClockSetting(bench.clock.offset_ms))
    assert await bench.alarms.step() < 1.0
    await bench.alarms.stop()


# --- one alarm by hand -----------------------------------------------------------------------------------------------
async def test_a_fired_alarm_runs_long_before_it_is_due() -> None:
    bench = Bench()
    bench.has(1, DAY_MS)

    assert await bench.alarms.fire(actor(1), START_MS + DAY_MS, 5) == "done"

    assert bench.asked == [AlarmDue(1, actor(1), START_MS + DAY_MS, 0, forced=True)]
    assert bench.alarms.statistics().running == 0
    assert await next_in(bench, 2 * DAY_MS) is None


async def test_a_fired_alarm_that_waits_for_a_retry_is_that_retry() -> None:
    bench = Bench()
    bench.outcome = "failed"
    bench.has(1, 0)
    await bench.alarms.next_due_ms(START_MS)
    await bench.alarms.run_due()
    bench.outcome = "done"

    assert await bench.alarms.fire(actor(1), START_MS, 5) == "done"
    assert [due.retry_count for due in bench.asked] == [0, 1]


async def test_an_alarm_that_runs_is_not_fired_twice_and_a_long_one_is_not_waited_for() -> None:
    bench = Bench()
    bench.gate = asyncio.Event()
    bench.has(1, DAY_MS)

    assert await bench.alarms.fire(actor(1), START_MS + DAY_MS, 0.01) == "running"
    assert bench.alarms.state_of(actor(1)) == AlarmState("running", 0)
    assert await bench.alarms.fire(actor(1), START_MS + DAY_MS, 5) == "busy"
    await bench.alarms.stop()


@pytest.mark.parametrize("refusal", [HostGoneError("gone")])
async def test_a_lost_host_interrupts_a_fired_alarm_which_is_tried_again(refusal: Exception) -> None:
    bench = Bench()
    bench.refusal = refusal
    bench.has(1, 0)

    assert await bench.alarms.fire(actor(1), START_MS, 5) == "interrupted"
    assert bench.alarms.state_of(actor(1)).state == "retrying"
