"""Many due times over one alarm: order, repetition, failures, and changes while it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from durable.schedule import Schedule
from tests.unit.schedule.trial import DAY, MINUTE, SECOND, START, Trial, clock, live


# --- order ----------------------------------------------------------------------------------------------------------
async def test_entries_are_called_when_they_are_due_over_one_alarm(trial: Trial) -> None:
    await trial.schedule.after("expiry", timedelta(seconds=30), trial.say, "over")
    await trial.schedule.at("reminder", datetime.fromtimestamp(START / 1000 + 10, UTC), "say", "soon")
    await trial.schedule.at("plain", START + 20 * SECOND, trial.say_at_once, "plain")
    assert trial.ctx.storage.alarm == START + 10 * SECOND

    assert await live(trial, START + MINUTE) == []

    assert trial.said == [(10, "soon"), (20, "plain"), (30, "over")]
    assert await trial.schedule.list() == []
    assert trial.ctx.storage.alarm is None


async def test_overdue_entries_run_in_the_order_they_were_due_and_then_that_they_were_made(trial: Trial) -> None:
    for name, seconds in (("c", 30), ("a", 10), ("b1", 20), ("b2", 20)):
        await trial.schedule.after(name, seconds, trial.say, name)
    trial.ctx.storage.alarm = START + 100 * SECOND  # nothing ran until then

    await live(trial, START + 100 * SECOND)

    assert trial.said == [(100, "a"), (100, "b1"), (100, "b2"), (100, "c")]


async def test_a_second_entry_of_a_name_takes_the_place_of_the_first(trial: Trial) -> None:
    await trial.schedule.after("expiry", 10, trial.say, "first")
    await trial.schedule.after("expiry", 20, trial.say, "second")

    await live(trial, START + MINUTE)

    assert trial.said == [(20, "second")]


async def test_a_cancelled_entry_is_not_called_and_the_alarm_goes_with_the_last(trial: Trial) -> None:
    await trial.schedule.after("expiry", 10, trial.say, "over")

    assert await trial.schedule.cancel("expiry") is True
    assert await trial.schedule.cancel("expiry") is False
    assert trial.ctx.storage.alarm is None


async def test_another_object_on_the_same_storage_finds_the_schedule(trial: Trial) -> None:
    await trial.schedule.after("expiry", 10, trial.say, "over", {"plan": ["pro", 1.5, None]})

    again = Trial(trial.ctx.storage)

    [entry] = await again.schedule.list()
    assert (entry.name, entry.due_ms, entry.method) == ("expiry", START + 10 * SECOND, "say")
    assert entry.args == ("over", {"plan": ["pro", 1.5, None]})
    assert entry.due == datetime.fromtimestamp(START / 1000 + 10, UTC)


# --- again and again -------------------------------------------------------------------------------------------------
async def test_a_cron_expression_comes_again_in_its_time_zone(trial: Trial) -> None:
    pytest.importorskip("tzdata", reason="no time zones here") if not Path("/usr/share/zoneinfo").exists() else None
    await trial.schedule.every("morning", "30  8 * * MON-FRI", trial.say, "good morning", time_zone="Europe/Berlin")

    await live(trial, START + 4 * DAY)

    days = [str(datetime.fromtimestamp(START / 1000 + second, UTC)) for second, _ in trial.said]
    assert days == ["2026-11-23 07:30:00+00:00", "2026-11-24 07:30:00+00:00", "2026-11-25 07:30:00+00:00"]


async def test_to_say_a_rule_once_more_changes_nothing(trial: Trial) -> None:
    first = await trial.schedule.every("pulse", timedelta(seconds=10), trial.say, "pulse")
    clock.ms += 7 * SECOND

    assert await trial.schedule.every("pulse", 10, trial.say, "pulse") == first
    assert (await trial.schedule.every("pulse", 20, trial.say, "pulse")).due_ms == clock.ms + 20 * SECOND


async def test_times_that_went_by_are_called_for_once(trial: Trial) -> None:
    await trial.schedule.every("pulse", 10, trial.say, "pulse")
    trial.ctx.storage.alarm = START + 95 * SECOND

    await live(trial, START + 105 * SECOND)

    assert trial.said == [(95, "pulse"), (100, "pulse")]


# --- failures --------------------------------------------------------------------------------------------------------
async def test_a_failing_entry_is_tried_again_without_the_others(trial: Trial) -> None:
    trial.failing = {"bad"}
    await trial.schedule.after("good", 10, trial.say, "good")
    await trial.schedule.after("bad", 10, trial.say, "bad")
    await trial.schedule.after("behind", 10, trial.say, "behind")

    raised = await live(trial, START + 15 * SECOND)
    trial.failing.clear()
    raised += await live(trial, START + MINUTE)

    assert trial.said == [(10, "good"), (10, "bad"), (10, "behind"), (12, "bad"), (16, "bad")]
    assert raised == ["bad", "bad"]
    assert await trial.schedule.list() == []


async def test_after_seven_runs_an_entry_is_dropped_and_a_rule_goes_on(trial: Trial) -> None:
    trial.failing = {"once", "often"}
    await trial.schedule.after("once", 10, trial.say, "once")
    await trial.schedule.every("often", 600, trial.say, "often")

    await live(trial, START + 590 * SECOND)
    assert [second for second, _ in trial.said] == [10, 12, 16, 24, 40, 72, 136]
    assert [entry.name for entry in await trial.schedule.list()] == ["often"]

    await live(trial, START + 1190 * SECOND)
    [often] = await trial.schedule.list()
    assert len(trial.said) == 14
    assert (often.due_ms, often.failures, often.retry_ms) == (START + 1200 * SECOND, 0, None)


async def test_what_is_raised_says_whose_call_it_was_and_how_often(trial: Trial) -> None:
    trial.failing = {"bad"}
    await trial.schedule.after("expiry", 0, trial.say, "bad")

    with pytest.raises(RuntimeError) as caught:
        await trial.schedule.run()

    assert caught.value.__notes__ == ['scheduled as "expiry" for 2026-11-21 12:00:00 UTC, run 1 of 7']
    assert caught.tb.tb_next is not None


async def test_several_failures_are_raised_together(trial: Trial) -> None:
    trial.failing = {"a", "b"}
    await trial.schedule.after("a", 0, trial.say, "a")
    await trial.schedule.after("b", 0, trial.say, "b")

    with pytest.raises(ExceptionGroup, match="2 scheduled calls failed"):
        await trial.schedule.run()

    assert trial.ctx.storage.alarm == START + 2 * SECOND


async def test_a_method_that_is_gone_is_a_failure_that_names_it(trial: Trial) -> None:
    await trial.schedule.after("expiry", 0, "say", "over")
    trial.ctx.storage.values["durable.schedule"] = trial.ctx.storage.values["durable.schedule"].replace("say", "shout")

    with pytest.raises(AttributeError, match='Trial has no method "shout", which its schedule calls for "expiry"'):
        await trial.schedule.run()


class Aborted(BaseException):
    """As `ctx.abort()`: no handler of exceptions sees it, and the turn's writes are gone with it."""


async def live_with_aborts(trial: Trial, until_ms: int) -> None:
    """As the platform does: a run's writes since the last sync are lost, and the retry is counted unless replaced."""
    storage, retry_count, seconds = trial.ctx.storage, 0, 0
    while storage.alarm is not None and storage.alarm <= until_ms:
        clock.ms = due = max(clock.ms, storage.alarm)
        storage.alarm = None
        storage.kept = dict(storage.values), None
        try:
            await trial.schedule.run(SimpleNamespace(scheduled_time=due, retry_count=retry_count))
            retry_count = 0
        except Aborted:
            values, alarm = storage.kept
            storage.values, seconds = dict(values), 2 << retry_count
            retry_count = 0 if alarm is not None else retry_count + 1
            assert retry_count < 7, "the platform has dropped the alarm"
            storage.alarm = alarm if alarm is not None else clock.ms + seconds * SECOND


async def test_a_call_that_aborts_its_object_every_time_neither_ends_the_schedule_nor_blocks_it(trial: Trial) -> None:
    storage = trial.ctx.storage

    async def sync() -> None:
        storage.kept = dict(storage.values), storage.alarm

    async def abort() -> None:
        trial.said.append((0, "aborts"))
        raise Aborted

    storage.sync = sync
    trial.abort = abort  # type: ignore[attr-defined]
    await trial.schedule.after("poison", 10, "abort")
    await trial.schedule.after("behind", 10, trial.say, "behind")
    await trial.schedule.after("later", 3600, trial.say, "later")

    await live_with_aborts(trial, START + DAY)

    said = [what for _, what in trial.said]
    assert said[:3] == ["aborts", "aborts", "behind"]
    assert said.count("aborts") <= 14
    assert trial.said[-1] == (3600, "later")
    assert await trial.schedule.list() == []


# --- promises broken on purpose --------------------------------------------------------------------------------------
async def test_a_schedule_that_forgets_what_is_done_repeats_it(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(self: Schedule, number: int, left: object) -> None:
        return

    monkeypatch.setattr(Schedule, "_settle", forget)
    with pytest.raises(AssertionError):
        await test_entries_are_called_when_they_are_due_over_one_alarm(trial)


async def test_a_schedule_that_counts_only_after_a_call_is_ended_by_one_that_aborts(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def uncounted(info: Any = None) -> None:
        await run(SimpleNamespace(scheduled_time=info.scheduled_time, retry_count=0))

    run = trial.schedule.run
    monkeypatch.setattr(trial.schedule, "run", uncounted)
    with pytest.raises(AssertionError, match="the platform has dropped the alarm"):
        await test_a_call_that_aborts_its_object_every_time_neither_ends_the_schedule_nor_blocks_it(trial)


# --- changes during a run --------------------------------------------------------------------------------------------
async def test_a_call_may_cancel_replace_and_add_while_time_stands_still(trial: Trial) -> None:
    async def rearrange() -> None:
        await trial.schedule.cancel("cancelled")
        await trial.schedule.after("replaced", 0, trial.say, "new")
        await trial.schedule.after("self", 0, trial.say, "again")

    trial.rearrange = rearrange  # type: ignore[attr-defined]
    await trial.schedule.after("self", 0, "rearrange")
    await trial.schedule.after("cancelled", 0, trial.say, "cancelled")
    await trial.schedule.after("replaced", 0, trial.say, "old")

    await trial.schedule.run()
    assert trial.said == []  # what was added waits for the next run
    assert trial.ctx.storage.alarm == START

    await trial.schedule.run()
    assert trial.said == [(0, "new"), (0, "again")]
    assert trial.ctx.storage.alarm is None


async def test_two_tasks_of_one_event_lose_nothing(trial: Trial) -> None:
    import asyncio

    storage = trial.ctx.storage
    get = storage.get

    async def slow_get(key: str) -> str | None:
        await asyncio.sleep(0)
        found: str | None = await get(key)
        await asyncio.sleep(0)
        return found

    storage.get = slow_get
    await asyncio.gather(*(trial.schedule.after(str(number), number, trial.say, "") for number in range(10)))

    assert len(await trial.schedule.list()) == 10
