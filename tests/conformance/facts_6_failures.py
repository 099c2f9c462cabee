"""Alarms whose handler fails: tries and gaps, what the handler can do about them, and how it ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from durable import AlarmInfo
from durable.gateway.events import HostLog
from tests.conformance.clockwork import Clockwork, clockwork
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()

GAPS = (2, 4, 8, 16, 32, 64)
"""Seconds before each retry, without the up to 25 % that come on top."""


class Tries:
    """A plan that writes down when it ran and what it was told, then does `then`."""

    def __init__(self, then: Callable[[Any, AlarmInfo], Any]) -> None:
        self.works: Clockwork | None = None
        self.moments: list[float] = []
        self.infos: list[AlarmInfo] = []
        self.then = then

    def __call__(self, thing: Any, info: AlarmInfo) -> Any:
        assert self.works is not None
        self.moments.append(self.works.clock.monotonic())
        self.infos.append(info)
        return self.then(thing, info)

    @property
    def counts(self) -> list[int]:
        return [info.retry_count for info in self.infos]

    def has_run(self, times: int) -> bool:
        return len(self.infos) == times

    def check_gaps(self, expected: tuple[int, ...] = GAPS) -> None:
        gaps = [later - earlier for earlier, later in itertools.pairwise(self.moments)]
        assert len(gaps) == len(expected)
        for gap, seconds in zip(gaps, expected, strict=True):
            assert seconds <= gap <= seconds * 1.25 + 0.002


def fails(thing: Any, info: AlarmInfo) -> None:
    raise ValueError("no luck")


async def play_tries(works: Clockwork, tries: Tries, seconds: float) -> int:
    """Set an alarm for now and let time pass; returns its time."""
    tries.works = works
    due_ms = await works.set_alarm()
    await works.pass_time(seconds)
    return due_ms


async def seven_runs(stage: Stage) -> None:
    tries = Tries(fails)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        due_ms = await play_tries(works, tries, 200)
        tries.check_gaps()
        assert tries.counts == [0, 1, 2, 3, 4, 5, 6]
        assert [info.is_retry for info in tries.infos] == [False] + [True] * 6
        assert {info.scheduled_time for info in tries.infos} == {due_ms}
        assert (await works.get_alarm(), await works.indexed()) == (None, None)
        assert [event for event in works.events if isinstance(event, HostLog)] == [
            HostLog("error", "alarm() failed 7 times; the alarm was dropped", 'Thing "a"')
        ]
        assert len([log for log in works.logs if log.error is not None]) == 7


FACTS.driven("6 a handler that raises runs seven times, 2 to 64 seconds apart, and then its alarm is dropped")(
    seven_runs
)


@FACTS.driven("6 an alarm that waits for a retry has its original time")
async def original_time(stage: Stage) -> None:
    tries = Tries(fails)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        due_ms = await play_tries(works, tries, 1)
        assert (await works.get_alarm(), await works.indexed()) == (due_ms, due_ms)


@FACTS.driven("6 a retry that succeeds ends it, and the next alarm is a first try")
async def succeeds_at_last(stage: Stage) -> None:
    def then(thing: Any, info: AlarmInfo) -> None:
        if info.retry_count == 2 or len(tries.infos) > 3:
            return
        fails(thing, info)

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 60)
        assert (tries.counts, await works.get_alarm()) == ([0, 1, 2], None)
        await works.set_alarm()
        await works.look()
        assert tries.counts == [0, 1, 2, 0]


@FACTS.driven("6 what a failed run wrote before its error is kept")
async def writes_stay(stage: Stage) -> None:
    async def then(thing: Any, info: AlarmInfo) -> None:
        await thing.ctx.storage.put(f"run {info.retry_count}", True)
        raise ValueError("no luck")

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 4)
        assert list(await works.run(lambda thing: thing.ctx.storage.list())) == ["run 0", "run 1"]


@FACTS.driven("6 between retries the object can leave memory, and is constructed for the next one")
async def evicted(stage: Stage) -> None:
    things: list[Any] = []

    def then(thing: Any, info: AlarmInfo) -> None:
        things.append(thing)
        fails(thing, info)

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 20)
        await works.hibernate()
        await works.pass_time(20)
        assert tries.counts == [0, 1, 2, 3, 4]
        assert [thing is things[0] for thing in things] == [True] * 4 + [False]


# --- what the handler does about it ---------------------------------------------------------------------------------
async def set_and_fail(stage: Stage) -> None:
    async def then(thing: Any, info: AlarmInfo) -> None:
        if len(tries.infos) == 2:
            return
        await thing.ctx.storage.set_alarm(info.scheduled_time + 700)
        raise ValueError("no luck")

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        due_ms = await play_tries(works, tries, 60)
        assert [(info.scheduled_time - due_ms, info.retry_count, info.is_retry) for info in tries.infos] == [
            (0, 0, False), (700, 0, False),
        ]  # fmt: skip
        assert tries.moments == [0.0, pytest.approx(0.7)]


FACTS.driven("6 set_alarm in a handler that fails replaces the retry: one run at the new time, a first try")(
    set_and_fail
)


async def delete_and_fail(stage: Stage) -> None:
    async def then(thing: Any, info: AlarmInfo) -> None:
        await thing.ctx.storage.delete_alarm()
        raise ValueError("no luck")

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 200)
        assert (tries.counts, await works.get_alarm(), await works.indexed()) == ([0], None, None)


FACTS.driven("6 delete_alarm in a handler that fails: no retry at all")(delete_and_fail)


@FACTS.driven("6 abort in the handler is a failure: it is tried again, seven times in all")
async def aborts(stage: Stage) -> None:
    tries = Tries(lambda thing, info: thing.ctx.abort("enough"))
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 200)
        tries.check_gaps()
        assert (tries.counts, await works.get_alarm()) == ([0, 1, 2, 3, 4, 5, 6], None)


def not_retried(name: str, abort: Callable[[Any], None]) -> None:
    @FACTS.driven(f"6 abort with {name} in the handler: no retry, the alarm is gone")
    async def fact(stage: Stage) -> None:
        async def then(thing: Any, info: AlarmInfo) -> None:
            await thing.ctx.storage.put("undone", True)
            abort(thing.ctx)

        tries = Tries(then)
        async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
            await play_tries(works, tries, 200)
            assert (tries.counts, await works.get_alarm(), await works.indexed()) == ([0], None, None)
            assert await works.run(lambda thing: thing.ctx.storage.get("undone")) is None
            await works.set_alarm()
            await works.look()
            assert tries.counts == [0, 0]


not_retried("retry_alarm=False", lambda ctx: ctx.abort("enough", retry_alarm=False))
not_retried("{'retryAlarm': False}", lambda ctx: ctx.abort("enough", {"retryAlarm": False}))


@FACTS.driven("6 abort with retry_alarm=True is retried, and an option that does not exist is refused")
async def abort_options(stage: Stage) -> None:
    tries = Tries(lambda thing, info: thing.ctx.abort("enough", retry_alarm=True))
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 4)
        assert tries.counts == [0, 1]
        with pytest.raises(TypeError, match=r"abort\(\) has no option 'retry'.*; it takes retry_alarm"):
            await works.run(lambda thing: thing.ctx.abort("enough", retry=False))


@FACTS.driven("6 a new alarm that a handler committed outlives its abort with retry_alarm=False")
async def new_alarm_outlives(stage: Stage) -> None:
    async def then(thing: Any, info: AlarmInfo) -> None:
        await thing.ctx.storage.set_alarm(info.scheduled_time + 60_000)
        await thing.ctx.storage.sync()
        thing.ctx.abort("enough", retry_alarm=False)

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        due_ms = await play_tries(works, tries, 30)
        assert (tries.counts, await works.get_alarm()) == ([0], due_ms + 60_000)


@FACTS.driven("6 an alarm set during the run by another event replaces the retry as well")
async def set_by_another(stage: Stage) -> None:
    go = asyncio.Event()

    async def then(thing: Any, info: AlarmInfo) -> None:
        await go.wait()
        raise ValueError("no luck")

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        tries.works = works
        await works.set_alarm()
        await works.alarms.step()
        await works.until(lambda: tries.infos)
        due_ms = await works.set_alarm(in_seconds=40)
        await works.run(lambda thing: go.set())
        await works.pass_time(39)
        assert tries.counts == [0]
        await works.pass_time(1)
        assert [(info.scheduled_time, info.retry_count) for info in tries.infos][1:] == [(due_ms, 0)]


@FACTS.driven("6 an alarm set between retries takes over none of their tries")
async def set_between_retries(stage: Stage) -> None:
    tries = Tries(fails)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 8)
        assert tries.counts == [0, 1, 2]
        due_ms = await works.set_alarm(in_seconds=1)
        await works.pass_time(4)
        assert [(info.scheduled_time, info.retry_count) for info in tries.infos][3:] == [(due_ms, 0), (due_ms, 1)]


@FACTS.driven("6 a transaction that is rolled back in the handler has not touched the alarm: failed, it is retried")
async def rolled_back(stage: Stage) -> None:
    async def then(thing: Any, info: AlarmInfo) -> None:
        async def work(txn: Any) -> None:
            await txn.set_alarm(info.scheduled_time + 1000)
            await txn.delete_alarm()
            txn.rollback()

        await thing.ctx.storage.transaction(work)
        assert await thing.ctx.storage.get_alarm() is None
        raise ValueError("no luck")

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 4)
        assert tries.counts == [0, 1]


@FACTS.driven("6 an alarm of a transaction that failed never fires, that of one that did not does")
async def transactions(stage: Stage) -> None:
    tries = Tries(lambda thing, info: None)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        tries.works = works
        now_ms = works.clock.wall_ms()

        async def event(thing: Thing) -> None:
            async def failing(txn: Any) -> None:
                await txn.set_alarm(now_ms + 1000)
                raise ValueError("undone")

            with pytest.raises(ValueError, match="undone"):
                await thing.ctx.storage.transaction(failing)

        await works.run(event)
        await works.pass_time(5)
        assert (tries.counts, await works.get_alarm()) == ([], None)
        await works.run(lambda thing: thing.ctx.storage.transaction(lambda txn: txn.set_alarm(now_ms + 9000)))
        await works.pass_time(5)
        assert [info.scheduled_time for info in tries.infos] == [now_ms + 9000]


def delete_all(compatibility_date: str, retried: bool) -> None:
    sentence = "has deleted the alarm" if not retried else "before 2026-02-24 has not touched the alarm"

    @FACTS.driven(f"6 delete_all in a handler that fails {sentence}")
    async def fact(stage: Stage) -> None:
        async def then(thing: Any, info: AlarmInfo) -> None:
            await thing.ctx.storage.delete_all()
            raise ValueError("no luck")

        tries = Tries(then)
        async with clockwork(
            stage, lambda thing, info: tries(thing, info), compatibility_date=compatibility_date
        ) as works:
            await play_tries(works, tries, 4)
            assert tries.counts == ([0, 1] if retried else [0])


delete_all("2026-02-24", False)
delete_all("2026-02-23", True)
