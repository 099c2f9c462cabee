"""Alarms that came due while nothing ran, and wall clocks that jump: once each, soon, and not all at a time."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable.clock import ManualClock
from durable.gateway import alarm_scheduler
from durable.gateway.alarm_heap import AlarmHeap
from durable.gateway.alarm_scheduler import AlarmScheduler
from durable.gateway.index_writer import IndexWriter
from durable.limits import ALARM_MS_MAX, ALARM_RUNS_MAX
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.wire.messages import ActorKey, AlarmDue, AlarmReply, IndexPut
from tests.conformance.clockwork import Clockwork, clockwork
from tests.conformance.stage import Stage, Thing
from tests.integration.conftest import KEY

DAY = 86_400
OVERDUE = 10_000


class CountingHost:
    """Answers every alarm after a few turns of the loop, and knows how many were underway at once."""

    def __init__(self, index: IndexWriter) -> None:
        self.index = index
        self.fired: Counter[str] = Counter()
        self.running = self.running_max = 0

    async def link_for(self, actor: ActorKey | None) -> Any:
        return self

    async def request(self, question: Callable[[int], AlarmDue]) -> AlarmReply:
        due = question(1)
        self.fired[due.actor.id] += 1
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        for _ in range(3):
            await asyncio.sleep(0)
        self.running -= 1
        self.index.put(IndexPut(0, due.actor, None), lambda answer: None)
        return AlarmReply(1, 1, "done", None)


async def overdue_alarms(folder: Path) -> CountingHost:
    """A start over an index of alarms that are all overdue, until none is left."""
    clock = ManualClock()
    layout = StateLayout(folder)
    layout.ensure()
    rows = NamespaceIndex(layout.index_file(KEY))
    now_ms = clock.wall_ms()
    rows.apply([IndexRow(f"{number:064x}", None, 0, 0, now_ms - number, 0) for number in range(1, OVERDUE + 1)])
    rows.close()
    index = IndexWriter(layout, clock)
    host = CountingHost(index)
    alarms = AlarmScheduler(
        index, clock, host, on_event=lambda event: None, class_name=lambda key: "Thing", jitter=random.Random(1)
    )
    index.watch(alarms)
    alarms.start([KEY])
    async with asyncio.timeout(30):
        while len(host.fired) < OVERDUE:
            await asyncio.sleep(0)
    await alarms.stop()
    await index.close()
    return host


async def test_ten_thousand_overdue_alarms_fire_once_each_and_never_too_many_at_a_time(tmp_path: Path) -> None:
    host = await overdue_alarms(tmp_path)

    assert set(host.fired.values()) == {1}
    assert host.running_max == ALARM_RUNS_MAX


async def test_without_the_bound_the_stagger_is_found_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_scheduler, "ALARM_RUNS_MAX", OVERDUE)

    assert (await overdue_alarms(tmp_path)).running_max > ALARM_RUNS_MAX


async def due_while_down(stage: Stage) -> None:
    ran: list[tuple[Any, int]] = []
    plan = lambda thing, info: ran.append((thing.ctx.id.name, info.scheduled_time))  # noqa: E731
    async with clockwork(stage, plan) as works:
        due = {(name, await works.set_alarm(in_seconds=2, name=name)) for name in map(str, range(100))}
        # As kill -9 of both processes: nobody drains, nobody says goodbye.
        await works.lose_host()
    again = Clockwork(stage, works.folder, ManualClock(works.clock.wall_ms() + 5000))
    await again.start_host()
    try:
        await again.look()
        assert sorted(ran) == sorted(due)
        await again.pass_time(120)
        assert len(ran) == len(due)
    finally:
        await again.stop()


async def test_what_came_due_while_everything_was_down_fires_at_the_first_look_and_once(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(gateway, monkeypatch, due_while_down)


async def begun(gateway: Any, patch: pytest.MonkeyPatch, play: Callable[[Stage], Any]) -> None:
    stage = Stage(gateway, patch)
    await gateway.start("from tests.conformance.stage import Thing as Base\n\n\nclass Thing(Base):\n    pass\n")
    await play(stage)


# --- jumps of the wall clock ------------------------------------------------------------------------------------------
async def jump_ahead(stage: Stage) -> None:
    ran: list[Any] = []
    async with clockwork(stage, lambda thing, info: ran.append(thing.ctx.id.name)) as works:
        names = [str(number) for number in range(20)]
        for number, name in enumerate(names):
            await works.set_alarm(in_seconds=3600 * (number + 1), name=name)
        await works.set_alarm(in_seconds=2 * DAY, name="later")
        assert await works.look() <= 1.0, "a jump would be noticed too late"
        works.clock.jump(DAY)
        await works.look()
        assert sorted(ran) == sorted(names)
        await works.pass_time(100)
        assert len(ran) == len(names)


async def jump_back(stage: Stage) -> None:
    ran: list[int] = []

    def plan(thing: Any, info: Any) -> None:
        ran.append(works.clock.wall_ms())
        if thing.ctx.id.name == "failing" and not info.is_retry:
            raise ValueError("no luck")

    async with clockwork(stage, plan) as works:
        due_ms = await works.set_alarm(in_seconds=5)
        await works.set_alarm(name="failing")
        await works.look()
        ran.clear()
        works.clock.jump(-DAY)
        await works.pass_time(60)
        assert len(ran) == 1, "a retry waits for a duration, which no jump stretches; nothing else was due"
        works.clock.jump(DAY)
        await works.look()
        assert len(ran) == 2
        assert ran[1] >= due_ms


@pytest.mark.parametrize("jump", [jump_ahead, jump_back])
async def test_after_a_jump_of_the_clock_alarms_are_on_its_time(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, jump: Any
) -> None:
    await begun(gateway, monkeypatch, jump)


def sleeps_until_the_alarm(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(alarm_scheduler, "_POLL_SECONDS", float(DAY))


def waits_on_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    start_ms = ManualClock().wall_ms()
    for name in ("pop_due", "seconds_to_next"):
        method = getattr(AlarmHeap, name)
        patch.setattr(
            AlarmHeap,
            name,
            lambda heap, wall_ms, _, method=method: method(heap, wall_ms, (wall_ms - start_ms) / 1000),
        )


@pytest.mark.parametrize(
    ("jump", "breaking"), [(jump_ahead, sleeps_until_the_alarm), (jump_back, waits_on_the_wall_clock)]
)
async def test_a_scheduler_that_minds_jumps_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, jump: Any, breaking: Any
) -> None:
    breaking(monkeypatch)
    with pytest.raises(AssertionError):
        await begun(gateway, monkeypatch, jump)


# --- times that are none ----------------------------------------------------------------------------------------------
async def odd_times(stage: Stage) -> None:
    """Whatever a program passes is refused or means a moment between now and 2189, and the scheduler lives on."""
    dice = random.Random(9)
    odd = [0, -1, 1, 2**53, 2**63, -(2**63), 10**30, math.nan, math.inf, -math.inf, 5e-324, 1.7e308, 0.5, -0.0]
    odd += [dice.randint(-(2**70), 2**70) for _ in range(20)] + [dice.uniform(0, 2 * ALARM_MS_MAX) for _ in range(40)]

    async def event(thing: Thing, now_ms: int) -> int:
        taken = 0
        for moment in odd:
            await thing.ctx.storage.delete_alarm()
            try:
                await thing.ctx.storage.set_alarm(moment)
            except TypeError:
                assert await thing.ctx.storage.get_alarm() is None
                continue
            taken += 1
            assert now_ms <= (await thing.ctx.storage.get_alarm() or 0) <= ALARM_MS_MAX
        await thing.ctx.storage.set_alarm(ALARM_MS_MAX)
        return taken

    ran: list[Any] = []
    async with clockwork(stage, lambda thing, info: ran.append(thing.ctx.id.name)) as works:
        assert await works.run(event, works.clock.wall_ms(), name="odd") > 10
        await works.set_alarm(in_seconds=1, name="b")
        await works.pass_time(2)
        assert ran == ["b"]
        assert await works.indexed("odd") == ALARM_MS_MAX


async def test_no_time_that_a_program_passes_harms_the_scheduler(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await begun(gateway, monkeypatch, odd_times)


async def test_a_time_that_is_let_through_is_found_out(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.actor.key_operations.ALARM_MS_MAX", 2**62)
    monkeypatch.setattr("durable.storage.alarm.ALARM_MS_MAX", 2**62)
    with pytest.raises(OverflowError, match="int too big to convert"):
        await begun(gateway, monkeypatch, odd_times)
