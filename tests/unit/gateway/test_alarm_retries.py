"""Retries of alarms: which failures count, how long the pauses get, and what ends one early."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest

from durable.errors import HostGoneError
from durable.gateway.events import HostLog
from durable.wire.messages import AlarmReply
from tests.unit.gateway.test_alarm_scheduler import START_MS, Bench, done, failed


def pauses(bench: Bench) -> list[float]:
    moments = [moment for moment, _ in bench.host.asked]
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


async def until_runs(bench: Bench, runs: int) -> None:
    while len(bench.fired) < runs:
        await bench.step()
        if len(bench.fired) < runs:
            bench.clock.advance(await bench.step())


async def test_failures_that_are_not_the_programs_are_never_counted_and_their_pauses_end_at_1024_seconds():
    bench = Bench(lambda message: AlarmReply(message.id, 1, "failed", START_MS, counted=False))
    bench.has(1, in_seconds=0)

    await until_runs(bench, 15)

    assert {message.retry_count for message in bench.host.due} == {0}
    for gap, expected in zip(pauses(bench), [0.5 * 2**n for n in range(12)] + [1024.0] * 2, strict=True):
        assert expected <= gap <= expected * 1.25 + 0.002
    assert bench.host.given_up == []


async def test_a_failure_of_the_program_between_others_is_the_only_one_that_counts():
    answers: list[Any] = [HostGoneError("gone"), None, HostGoneError("gone"), None]
    bench = Bench(lambda message: answers.pop(0) or failed(message))
    bench.has(1, in_seconds=0)

    await until_runs(bench, 4)

    assert [message.retry_count for message in bench.host.due] == [0, 0, 1, 1]


async def test_the_jitter_comes_from_the_seed():
    def bench_of(seed: int) -> Bench:
        bench = Bench(failed)
        bench.scheduler._jitter = random.Random(seed)
        bench.has(1, in_seconds=0)
        return bench

    benches = [bench_of(seed) for seed in (3, 3, 4)]
    for bench in benches:
        await until_runs(bench, 7)

    same, again, other = (pauses(bench) for bench in benches)
    assert same == again != other


async def test_a_new_host_ends_the_pause_that_a_missing_one_began_and_no_other():
    answers: list[Any] = [HostGoneError("gone")] * 8
    bench = Bench(lambda message: (answers.pop() if answers else None) or failed(message))
    bench.has(1, in_seconds=0)
    await until_runs(bench, 8)

    bench.scheduler.hosts_changed()
    await bench.step()
    assert [message.retry_count for message in bench.host.due][8:] == [0]
    bench.scheduler.hosts_changed()
    await bench.step()

    assert len(bench.fired) == 9


async def test_a_program_that_wants_no_retry_gets_none_and_nothing_is_said_of_it():
    bench = Bench(lambda message: AlarmReply(message.id, 1, "failed", message.scheduled_ms, retried=False))
    alarm_ms = bench.has(1, in_seconds=0)
    await bench.step()

    await bench.pass_time(5)

    assert bench.fired == [1]
    assert [message.scheduled_ms for message in bench.host.given_up] == [alarm_ms]
    assert [event for event in bench.events if isinstance(event, HostLog)] == []
    assert bench.scheduler.statistics().abandoned == 0


async def test_tries_belong_to_the_alarm_that_the_object_ran_not_to_the_one_that_the_index_had():
    earlier_ms = START_MS - 50
    bench = Bench(lambda message: AlarmReply(message.id, 1, "failed", earlier_ms))
    bench.has(1, in_seconds=0)

    await until_runs(bench, 2)

    assert [(message.scheduled_ms, message.retry_count) for message in bench.host.due] == [
        (START_MS, 0), (earlier_ms, 1),
    ]  # fmt: skip


async def test_an_alarm_that_ran_while_the_index_was_read_is_not_run_again_for_what_was_read(
    monkeypatch: pytest.MonkeyPatch,
):
    bench = Bench(done)
    bench.has(1, in_seconds=1)
    await bench.step()
    due = bench.index.due

    async def slow(*args: Any) -> Any:
        rows = await due(*args)
        bench.scheduler._start_due()
        while bench.scheduler.statistics().running or not bench.fired:
            await asyncio.sleep(0)
        return rows

    monkeypatch.setattr(bench.index, "due", slow)
    bench.clock.advance(40)
    await bench.step()
    await bench.pass_time(2)

    assert bench.fired == [1]
