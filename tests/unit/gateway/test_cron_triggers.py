"""Cron triggers: when `scheduled` runs, when it is left out, and who hears of its end. Time is stepped by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from durable import values
from durable.clock import ManualClock
from durable.errors import HostGoneError
from durable.gateway.cron_triggers import CronOutcome, CronTriggers
from durable.gateway.events import CronRan, Event, HostLog, UserCodeFailed
from durable.limits import CRON_RUNS_MAX
from durable.wire.messages import CallReply, ErrorReport, Failed, RunScheduled

NOON = round(datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000


class Front:
    """Triggers, the clock they go by, and the one host that is asked."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON + 30_000)
        self.events: list[Event] = []
        self.asked: list[tuple[str, int]] = []
        self.answer: Callable[[], Any] = lambda: CallReply(1, 0, values.encode(True))
        self.held: asyncio.Event | None = None
        self.triggers = CronTriggers(self.clock, self, on_event=self.events.append)  # type: ignore[arg-type]

    async def link_for(self, actor: object) -> Front:
        assert actor is None  # a worker may run anywhere
        return self

    async def request(self, question: Callable[[int], RunScheduled]) -> Any:
        message = question(len(self.asked) + 1)
        self.asked.append((message.cron, message.scheduled_ms))
        if self.held is not None:
            await self.held.wait()
        answer = self.answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def go_on(self, seconds: float) -> None:
        """So much later, in one look at the clock; until nothing of it runs, unless it is held."""
        self.clock.advance(seconds)
        self.triggers.step()
        for _ in range(10):
            await asyncio.sleep(0)

    def told(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, HostLog)]


@pytest.fixture
def front() -> Front:
    return Front()


async def test_a_trigger_runs_at_its_times_and_is_told_which_they_were(front: Front) -> None:
    front.triggers.set_expressions(["* * * * *", "1-59/2 * * * *"])

    await front.go_on(29)
    assert front.asked == []
    await front.go_on(1)
    await front.go_on(60)

    minutes = [(cron, (at - NOON) / MINUTE) for cron, at in front.asked]
    assert minutes == [("* * * * *", 1), ("1-59/2 * * * *", 1), ("* * * * *", 2)]
    assert [event.outcome for event in front.events if isinstance(event, CronRan)] == ["done"] * 3
    assert front.triggers.statistics().ran == 3


async def test_the_next_look_at_the_clock_is_for_the_next_trigger_and_soon(front: Front) -> None:
    assert front.triggers.step() is None
    front.triggers.set_expressions(["* * * * *"])

    assert front.triggers.step() == 1.0
    front.clock.advance(29.75)
    assert front.triggers.step() == pytest.approx(0.25)


async def test_what_was_missed_is_not_made_up(front: Front) -> None:
    front.triggers.set_expressions(["*/10 * * * *"])

    await front.go_on(3 * 3600)  # as while the machine slept
    assert front.asked == []
    assert front.told() == ['cron "*/10 * * * *" was due 10230 s ago and is not made up']
    await front.go_on(600)

    assert [(at - NOON) / MINUTE for _, at in front.asked] == [190]
    assert front.triggers.statistics().left_out == 1


async def test_a_clock_that_is_set_back_is_reckoned_with_anew(front: Front) -> None:
    front.triggers.set_expressions(["0 0 1 * *"])
    front.clock.jump(365 * 86400)
    front.triggers.step()
    front.clock.jump(-365 * 86400)
    front.triggers.step()

    december = round(datetime(2026, 12, 1, tzinfo=UTC).timestamp() * 1000)
    assert await front.triggers.next_due_ms(december) == december


async def test_runs_overlap_up_to_a_bound_and_then_are_left_out(front: Front) -> None:
    front.held = asyncio.Event()
    front.triggers.set_expressions(["* * * * *"])

    for _ in range(CRON_RUNS_MAX + 1):
        await front.go_on(60)

    assert len(front.asked) == CRON_RUNS_MAX
    assert front.told() == [f'cron "* * * * *" is left out: {CRON_RUNS_MAX} runs of scheduled() have not ended']
    front.held.set()
    await front.go_on(0)
    await front.go_on(60)
    assert len(front.asked) == CRON_RUNS_MAX + 1
    await front.triggers.stop()


async def test_a_failure_is_reported_and_not_tried_again(front: Front) -> None:
    report = ErrorReport("ValueError", "no", label="Default", method="scheduled")
    front.answer = lambda: Failed(1, 0, report)
    front.triggers.set_expressions(["* * * * *"])

    await front.go_on(30)
    await front.go_on(20)

    assert front.events == [
        UserCodeFailed(report, "scheduled", "* * * * *"),
        CronRan("* * * * *", NOON + MINUTE, "failed"),
    ]
    assert len(front.asked) == 1


async def test_a_host_that_dies_ends_the_run_and_not_the_triggers(front: Front) -> None:
    front.answer = lambda: HostGoneError("it is gone")
    front.triggers.set_expressions(["* * * * *"])

    await front.go_on(30)
    front.answer = lambda: CallReply(1, 0, values.encode(True))
    await front.go_on(60)

    assert front.told() == ["it is gone"]
    assert [event.outcome for event in front.events if isinstance(event, CronRan)] == ["failed", "done"]


async def test_a_reload_keeps_the_times_of_expressions_that_stay(front: Front) -> None:
    front.triggers.set_expressions(["* * * * *", "0 * * * *"])
    front.clock.advance(30.001)  # due, and not looked at yet
    front.triggers.set_expressions(["* * * * *"])
    await front.go_on(0)

    assert front.asked == [("* * * * *", NOON + MINUTE)]
    assert await front.triggers.next_due_ms(NOON + 90 * MINUTE) == NOON + 2 * MINUTE


async def test_a_held_trigger_runs_only_when_it_is_told_to(front: Front) -> None:
    front.triggers.set_expressions(["* * * * *"])
    front.triggers.hold()

    await front.go_on(30)
    assert front.asked == []
    await front.triggers.run_due()

    assert front.asked == [("* * * * *", NOON + MINUTE)]
    front.triggers.release()
    await front.go_on(0)
    assert len(front.asked) == 1


async def test_a_clock_that_is_set_and_not_advanced_skips_what_lies_between(front: Front) -> None:
    front.triggers.set_expressions(["* * * * *"])
    front.clock.jump(40)
    front.triggers.clock_moved()

    await front.go_on(0)

    assert front.asked == []
    assert await front.triggers.next_due_ms(NOON + 2 * MINUTE) == NOON + 2 * MINUTE


async def test_one_by_hand_says_how_it_ended(front: Front) -> None:
    front.answer = lambda: CallReply(1, 0, values.encode(False))

    assert await front.triggers.fire("5 4 * * *") == CronOutcome(ok=True, retries=False)
    assert front.asked == [("5 4 * * *", NOON + 30_000)]
