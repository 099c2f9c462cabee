"""The alarm scheduler on a clock that the test owns, against scripted hosts: nothing here waits for real time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from durable.clock import ManualClock
from durable.errors import HostGoneError, OverloadedError
from durable.gateway import alarm_scheduler as module
from durable.gateway.alarm_heap import AlarmHeap
from durable.gateway.alarm_scheduler import AlarmScheduler
from durable.gateway.events import AlarmFired, Event, GatewayFault, HostLog
from durable.limits import ALARM_RUNS_MAX
from durable.storage.index import IndexRow
from durable.wire.messages import ActorKey, AlarmDue, AlarmGiveUp, AlarmReply, ErrorReport, Failed

ROOM = "Room-1"
START_MS = 1_700_000_000_000
DAY = 86_400


def actor(number: int, name: str | None = None) -> ActorKey:
    return ActorKey(ROOM, f"{number:064x}", name)


class ScriptedIndex:
    """Rows as the disk has them; `reads` are the windows that were asked for."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], int] = {}
        self.reads: list[int] = []
        self.corrections: list[tuple[str, int, int | None]] = []
        self.broken = False

    async def due(self, namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]:
        if self.broken:
            raise OSError("disk")
        self.reads.append(before_ms)
        found = sorted((ms, key) for (space, key), ms in self.rows.items() if space == namespace and ms < before_ms)
        return tuple(IndexRow(key, None, 0, 0, ms, 0) for ms, key in found[:limit])

    def correct_alarm(self, actor: ActorKey, expected_ms: int, alarm_ms: int | None) -> None:
        self.corrections.append((actor.id, expected_ms, alarm_ms))


Answer = Callable[[Any], Any]


class ScriptedHost:
    """A link and its router in one: answers each question by `answer`, or keeps it open while `paused`."""

    def __init__(self, clock: ManualClock, index: ScriptedIndex, answer: Answer) -> None:
        self.clock = clock
        self.index = index
        self.answer = answer
        self.asked: list[tuple[float, Any]] = []
        self.open: list[asyncio.Future[None]] = []
        self.paused = False
        self.refusal: Exception | None = None

    async def link_for(self, actor: ActorKey | None) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return self

    async def request(self, question: Callable[[int], Any]) -> Any:
        message = question(len(self.asked) + 1)
        self.asked.append((self.clock.monotonic(), message))
        if self.paused:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.open.append(future)
            await future
        answer = self.answer(message)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, AlarmReply) and answer.alarm_ms is None and answer.outcome != "stale":
            self.index.rows.pop((message.actor.namespace, message.actor.id), None)
        return answer

    def send(self, message: Any) -> None:
        self.asked.append((self.clock.monotonic(), message))
        self.index.rows.pop((message.actor.namespace, message.actor.id), None)

    @property
    def due(self) -> list[AlarmDue]:
        return [message for _, message in self.asked if isinstance(message, AlarmDue)]

    @property
    def given_up(self) -> list[AlarmGiveUp]:
        return [message for _, message in self.asked if isinstance(message, AlarmGiveUp)]


def done(message: Any, alarm_ms: int | None = None) -> AlarmReply:
    return AlarmReply(message.id, 1, "done", alarm_ms)


def failed(message: Any) -> AlarmReply:
    return AlarmReply(message.id, 1, "failed", getattr(message, "scheduled_ms", None))


class Bench:
    """A scheduler with everything around it, stepped by hand."""

    def __init__(self, answer: Answer = done) -> None:
        self.clock = ManualClock(START_MS)
        self.index = ScriptedIndex()
        self.host = ScriptedHost(self.clock, self.index, answer)
        self.events: list[Event] = []
        self.scheduler = AlarmScheduler(
            self.index,
            self.clock,
            self.host,
            on_event=self.events.append,
            class_name=lambda namespace: namespace.split("-")[0],
            jitter=random.Random(1),
        )
        self.scheduler.set_namespaces([ROOM])

    def has(self, number: int, in_seconds: float) -> int:
        """The disk's index has an alarm that far from the start."""
        alarm_ms = START_MS + round(in_seconds * 1000)
        self.index.rows[ROOM, actor(number).id] = alarm_ms
        return alarm_ms

    def put(self, number: int, in_seconds: float) -> int:
        """A host wrote an alarm and the index has it durably."""
        alarm_ms = self.has(number, in_seconds)
        self.scheduler.alarm_put(actor(number))
        self.scheduler.alarm_indexed(actor(number), alarm_ms)
        return alarm_ms

    async def step(self) -> float:
        seconds = await self.scheduler.step()
        for _ in range(10):
            await asyncio.sleep(0)
        return seconds

    async def pass_time(self, seconds: float, by: float = 0.5) -> None:
        """Let time pass as the running scheduler would see it."""
        for _ in range(round(seconds / by)):
            self.clock.advance(by)
            await self.step()

    @property
    def fired(self) -> list[int]:
        return [int(message.actor.id, 16) for message in self.host.due]


async def test_an_alarm_fires_at_its_time_and_not_a_millisecond_before():
    bench = Bench()
    alarm_ms = bench.has(1, in_seconds=10)
    await bench.step()

    bench.clock.advance(9.999)
    await bench.step()
    assert bench.fired == []
    bench.clock.advance(0.001)
    await bench.step()

    assert bench.host.due == [AlarmDue(1, actor(1), alarm_ms, 0)]
    assert bench.events == [AlarmFired("Room", None, alarm_ms, "done", object_id=actor(1).id)]
    assert bench.scheduler.statistics().waiting == 0


async def test_the_name_of_the_object_travels_with_its_alarm():
    bench = Bench()
    await bench.step()
    bench.scheduler.alarm_indexed(actor(1, "general"), START_MS)

    await bench.step()

    assert bench.host.due[0].actor.name == "general"


async def test_an_alarm_that_came_due_while_nothing_ran_fires_at_the_first_look_and_once():
    bench = Bench()
    bench.has(1, in_seconds=-3600)

    await bench.step()
    await bench.pass_time(5)

    assert bench.fired == [1]


async def test_overdue_alarms_are_staggered():
    bench = Bench()
    bench.host.paused = True
    for number in range(200):
        bench.has(number, in_seconds=-10)

    await bench.step()
    assert len(bench.fired) == ALARM_RUNS_MAX == 64
    while bench.host.open:
        bench.host.open.pop().set_result(None)
        for _ in range(10):
            await asyncio.sleep(0)
        assert bench.scheduler.statistics().running <= 64

    assert sorted(bench.fired) == list(range(200))


async def test_an_alarm_moved_earlier_is_noticed_without_reading_the_index():
    bench = Bench()
    bench.has(1, in_seconds=50)
    await bench.step()
    reads = len(bench.index.reads)

    alarm_ms = bench.put(1, in_seconds=2)
    await bench.pass_time(2)

    assert [message.scheduled_ms for message in bench.host.due] == [alarm_ms]
    assert len(bench.index.reads) == reads


async def test_an_alarm_moved_later_or_cleared_does_not_fire():
    bench = Bench()
    bench.has(1, in_seconds=5)
    bench.has(2, in_seconds=5)
    await bench.step()

    bench.put(1, in_seconds=9)
    bench.scheduler.alarm_indexed(actor(2), None)
    await bench.pass_time(8)

    assert bench.fired == []
    await bench.pass_time(1)
    assert bench.fired == [1]


async def test_alarms_beyond_the_window_are_read_before_they_are_due():
    bench = Bench()
    await bench.step()
    bench.put(1, in_seconds=200)
    assert bench.scheduler.statistics().waiting == 0

    await bench.pass_time(200)

    assert bench.fired == [1]
    assert len(bench.index.reads) < 10


async def test_an_alarm_written_while_the_index_is_read_is_not_missed():
    bench = Bench()
    gate = asyncio.Event()
    read = bench.index.due

    async def slow(namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]:
        rows = await read(namespace, before_ms, limit)
        await gate.wait()
        return rows

    bench.index.due = slow  # type: ignore[method-assign]
    step = asyncio.ensure_future(bench.scheduler.step())
    await asyncio.sleep(0)

    bench.put(1, in_seconds=3)
    gate.set()
    await step
    await bench.pass_time(3)

    assert bench.fired == [1]


async def test_after_a_jump_ahead_everything_that_became_due_fires_at_the_next_look():
    bench = Bench()
    for number in range(5):
        bench.has(number, in_seconds=3600 * (number + 1))
    await bench.step()

    bench.clock.jump(DAY)
    seconds = await bench.step()

    assert sorted(bench.fired) == [0, 1, 2, 3, 4]
    assert seconds <= 1.0


async def test_after_a_jump_back_nothing_fires_early():
    bench = Bench()
    bench.has(1, in_seconds=5)
    await bench.step()

    bench.clock.jump(-DAY)
    await bench.pass_time(60)
    assert bench.fired == []
    bench.clock.jump(DAY)
    await bench.step()

    assert bench.fired == [1]


async def test_a_jump_back_does_not_stretch_a_retry():
    bench = Bench(failed)
    bench.has(1, in_seconds=0)
    await bench.step()

    bench.clock.jump(-DAY)
    await bench.pass_time(3)

    assert len(bench.fired) == 2


async def test_the_clock_is_looked_at_every_second_even_when_nothing_waits():
    bench = Bench()

    assert await bench.step() == 1.0
    bench.put(1, in_seconds=0.25)
    assert await bench.step() == 0.25


async def test_a_failing_handler_runs_seven_times_with_doubling_gaps_and_is_then_given_up():
    bench = Bench(failed)
    alarm_ms = bench.has(1, in_seconds=0)

    for _ in range(2000):
        await bench.step()
        bench.clock.advance(0.1)

    moments = [moment for moment, message in bench.host.asked if isinstance(message, AlarmDue)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert [message.retry_count for message in bench.host.due] == [0, 1, 2, 3, 4, 5, 6]
    assert {message.scheduled_ms for message in bench.host.due} == {alarm_ms}
    for gap, expected in zip(gaps, (2, 4, 8, 16, 32, 64), strict=True):
        assert expected <= gap <= expected * 1.25 + 0.2
    assert [(message.actor, message.scheduled_ms) for message in bench.host.given_up] == [(actor(1), alarm_ms)]
    logs = [event for event in bench.events if isinstance(event, HostLog)]
    assert logs == [HostLog("error", "alarm() failed 7 times; the alarm was dropped", f'Room "{actor(1).id}"')]


async def test_a_host_that_dies_costs_no_retry():
    answers: list[Any] = [HostGoneError("gone"), HostGoneError("gone"), None]
    bench = Bench(lambda message: answers.pop(0) or done(message))
    bench.has(1, in_seconds=0)
    await bench.step()

    await bench.pass_time(10)

    assert [message.retry_count for message in bench.host.due] == [0, 0, 0]
    assert bench.scheduler.statistics().waiting == 0


async def test_while_no_host_takes_it_an_alarm_is_tried_again_with_growing_pauses():
    bench = Bench()
    bench.has(1, in_seconds=0)
    bench.host.refusal = OverloadedError("too many wait")
    await bench.pass_time(60)
    assert bench.fired == []
    assert bench.scheduler.statistics().fired < 10

    bench.host.refusal = None
    await bench.pass_time(60)

    assert bench.fired == [1]


async def test_a_failure_to_construct_the_object_counts_as_a_try():
    bench = Bench(lambda message: Failed(message.id, 0, ErrorReport("ValueError", "no")))
    bench.has(1, in_seconds=0)

    await bench.step()
    await bench.pass_time(3)

    assert [message.retry_count for message in bench.host.due] == [0, 1]


async def test_an_overloaded_actor_does_not_lose_a_try():
    report = ErrorReport("OverloadedError", "busy", flags=["overloaded"])
    bench = Bench(lambda message: Failed(message.id, 0, report))
    bench.has(1, in_seconds=0)

    await bench.step()
    await bench.pass_time(3)

    assert {message.retry_count for message in bench.host.due} == {0}
    assert len(bench.fired) > 1


async def test_a_handler_that_sets_the_alarm_and_fails_runs_at_the_new_time_as_a_first_try():
    new_ms = START_MS + 700
    answers = [AlarmReply(1, 1, "failed", new_ms, replaced=True), AlarmReply(2, 2, "done", None)]
    bench = Bench(lambda _message: answers.pop(0))
    bench.has(1, in_seconds=0)
    await bench.step()

    bench.clock.advance(0.7)
    await bench.step()

    assert [(message.scheduled_ms, message.retry_count) for message in bench.host.due][1:] == [(new_ms, 0)]


async def test_a_handler_that_deletes_the_alarm_and_fails_is_not_retried():
    bench = Bench(lambda message: AlarmReply(message.id, 1, "failed", None, replaced=True))
    bench.has(1, in_seconds=0)
    await bench.step()

    await bench.pass_time(20)

    assert bench.fired == [1]


async def test_a_class_without_a_handler_is_asked_once():
    bench = Bench(lambda message: AlarmReply(message.id, 1, "missing", None))
    bench.has(1, in_seconds=0)
    await bench.step()

    await bench.pass_time(20)

    assert bench.fired == [1]
    assert [event.outcome for event in bench.events if isinstance(event, AlarmFired)] == ["missing"]


async def test_an_alarm_asked_for_too_early_is_armed_at_the_time_the_object_knows():
    later_ms = START_MS + 4000
    answers = [AlarmReply(1, 1, "stale", later_ms), AlarmReply(2, 2, "done", None)]
    bench = Bench(lambda _message: answers.pop(0))
    early_ms = bench.has(1, in_seconds=0)

    await bench.step()
    assert bench.index.corrections == [(actor(1).id, early_ms, later_ms)]
    await bench.pass_time(3.5)
    assert len(bench.fired) == 1
    await bench.pass_time(0.5)

    assert [message.scheduled_ms for message in bench.host.due] == [early_ms, later_ms]


async def test_the_index_is_not_corrected_when_the_host_spoke_meanwhile():
    bench = Bench(lambda message: AlarmReply(message.id, 1, "stale", None))
    bench.host.paused = True
    bench.has(1, in_seconds=0)
    await bench.step()

    bench.put(1, in_seconds=9)
    bench.host.open.pop().set_result(None)
    await bench.step()

    assert bench.index.corrections == []
    await bench.pass_time(9)
    assert bench.fired == [1, 1]


async def test_an_alarm_set_after_the_reply_was_written_but_indexed_before_it_arrived_is_kept():
    bench = Bench(done)
    bench.host.paused = True
    bench.has(1, in_seconds=0)
    await bench.step()

    new_ms = bench.put(1, in_seconds=5)
    bench.host.open.pop().set_result(None)
    bench.host.paused = False
    await bench.pass_time(5)

    assert [message.scheduled_ms for message in bench.host.due][1:] == [new_ms]


async def test_an_alarm_moved_during_a_failed_run_is_not_slept_past_by_the_retry():
    bench = Bench(failed)
    bench.host.paused = True
    bench.has(1, in_seconds=0)
    await bench.step()

    bench.put(1, in_seconds=0.5)
    bench.host.open.pop().set_result(None)
    await bench.step()
    bench.clock.advance(0.5)
    await bench.step()

    assert len(bench.fired) == 2


async def test_an_alarm_that_is_written_again_unchanged_keeps_its_tries():
    bench = Bench(failed)
    bench.has(1, in_seconds=0)
    await bench.step()

    bench.put(1, in_seconds=0)
    await bench.pass_time(3)

    assert [message.retry_count for message in bench.host.due] == [0, 1]


async def test_one_actor_runs_one_alarm_at_a_time():
    bench = Bench()
    bench.host.paused = True
    bench.has(1, in_seconds=0)
    await bench.step()

    bench.put(1, in_seconds=0)
    bench.put(1, in_seconds=0.1)
    await bench.pass_time(5)

    assert bench.fired == [1]


async def test_what_does_not_fit_into_memory_is_read_again_when_there_is_room(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    bench.scheduler._heap = AlarmHeap(10)
    monkeypatch.setattr(module, "ALARMS_WAITING_MAX", 10)
    for number in range(35):
        bench.has(number, in_seconds=1 + number)

    for _ in range(40):
        bench.clock.advance(1)
        await bench.step()
        assert bench.scheduler.statistics().waiting <= 10

    assert bench.fired == list(range(35))


async def test_an_early_alarm_finds_a_place_in_a_full_heap(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    bench.scheduler._heap = AlarmHeap(10)
    monkeypatch.setattr(module, "ALARMS_WAITING_MAX", 10)
    for number in range(10):
        bench.has(number, in_seconds=40 + number)
    await bench.step()

    bench.put(99, in_seconds=1)
    assert bench.scheduler.statistics().waiting <= 10
    await bench.pass_time(1)
    assert bench.fired == [99]
    for _ in range(60):
        bench.clock.advance(1)
        await bench.step()

    assert bench.fired[1:] == list(range(10))


async def test_an_alarm_in_the_year_9999_disturbs_nobody():
    bench = Bench()
    await bench.step()
    bench.scheduler.alarm_indexed(actor(1), 253_402_300_799_000)
    bench.put(2, in_seconds=1)

    await bench.pass_time(2)

    assert bench.fired == [2]


async def test_an_index_that_cannot_be_read_is_reported_and_read_again():
    bench = Bench()
    bench.has(1, in_seconds=0)
    bench.index.broken = True
    looks = 0

    async def pause(_wake: asyncio.Event, _seconds: float) -> None:
        nonlocal looks
        looks += 1
        bench.index.broken = looks < 3
        await asyncio.sleep(0)

    bench.scheduler._pause = pause
    bench.scheduler.start([ROOM])
    for _ in range(100):
        await asyncio.sleep(0)
    await bench.scheduler.stop()

    assert bench.fired[0] == 1
    faults = [event for event in bench.events if isinstance(event, GatewayFault)]
    assert len(faults) == 3
    assert "OSError: disk" in faults[0].traceback


async def test_stopping_cancels_runs_and_starts_no_more():
    bench = Bench()
    bench.host.paused = True
    for number in range(100):
        bench.has(number, in_seconds=-1)
    bench.scheduler.start([ROOM])
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(bench.fired) == 64

    await bench.scheduler.stop()

    assert len(bench.fired) == 64
    assert bench.scheduler.statistics().running == 0


async def test_alarms_of_a_deleted_class_neither_run_on_nor_fire_nor_are_read_again():
    bench = Bench()
    bench.host.paused = True
    bench.has(1, in_seconds=-1)
    bench.has(2, in_seconds=10)
    await bench.step()
    assert bench.fired == [1]

    bench.scheduler.set_namespaces([])
    bench.scheduler.forget_namespaces([ROOM])
    bench.host.paused = False
    await bench.pass_time(30)

    assert bench.fired == [1]
    assert (bench.scheduler.statistics().waiting, bench.scheduler.statistics().running) == (0, 0)
    assert bench.events == []


async def test_alarms_of_a_class_that_is_deleted_during_a_read_are_not_armed():
    bench = Bench()
    bench.has(1, in_seconds=1)
    due = bench.index.due

    async def deleted_meanwhile(namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]:
        found = await due(namespace, before_ms, limit)
        bench.scheduler.set_namespaces([])
        bench.scheduler.forget_namespaces([ROOM])
        return found

    bench.index.due = deleted_meanwhile  # type: ignore[method-assign]
    await bench.step()
    bench.index.due = due  # type: ignore[method-assign]
    await bench.pass_time(5)

    assert bench.fired == []
