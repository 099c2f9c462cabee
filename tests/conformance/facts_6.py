"""Alarms: setting them, what their handler is told, and when it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from durable import AlarmInfo
from durable.limits import ALARM_MS_MAX
from tests.conformance.clockwork import clockwork, key_of
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()
LATER = 4_000_000_000_000


# --- setting --------------------------------------------------------------------------------------------------------
@FACTS.inside("6 set_alarm takes milliseconds since the epoch, and a part of one is never early")
async def milliseconds(thing: Thing) -> None:
    for moment, due_ms in ((LATER, LATER), (float(LATER), LATER), (LATER + 0.2, LATER + 1), (ALARM_MS_MAX,) * 2):
        await thing.ctx.storage.set_alarm(moment)
        assert await thing.ctx.storage.get_alarm() == due_ms


@FACTS.inside("6 set_alarm takes a datetime of any zone")
async def datetimes(thing: Thing) -> None:
    moment = datetime.fromtimestamp(LATER / 1000, UTC)
    storage: Any = thing.ctx.storage
    for zone in (UTC, timezone(timedelta(hours=-9, minutes=-30))):
        await storage.setAlarm(moment.astimezone(zone))
        assert await storage.getAlarm() == LATER


@contextmanager
def local_zone(patch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    with patch.context() as inner:
        inner.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


@FACTS.driven("6 a datetime without a zone is local time: datetime.now() plus an hour is in an hour")
async def naive(stage: Stage) -> None:
    for zone in ("Asia/Kathmandu", "America/New_York", "UTC"):
        with local_zone(stage.monkeypatch, zone):
            moment = datetime.fromtimestamp(LATER / 1000)

            async def event(thing: Thing, moment: datetime = moment) -> Any:
                await thing.ctx.storage.set_alarm(moment)
                return await thing.ctx.storage.get_alarm()

            assert moment.tzinfo is None
            assert await stage.run(event) == LATER


@FACTS.inside("6 an object has one alarm: the last one set")
async def overwrites(thing: Thing) -> None:
    for moment in (LATER, LATER + 5, LATER - 5):
        await thing.ctx.storage.set_alarm(moment)
        assert await thing.ctx.storage.get_alarm() == moment


@FACTS.inside("6 delete_alarm removes it, and is no error without one")
async def deletes(thing: Thing) -> None:
    await thing.ctx.storage.delete_alarm()
    await thing.ctx.storage.set_alarm(LATER)
    await thing.ctx.storage.delete_alarm()
    assert await thing.ctx.storage.get_alarm() is None


POSITIVE = r"setAlarm\(\) cannot be called with an alarm time <= 0"
TOO_LATE = "This API doesn't support dates after 2189"
NO_MOMENT = r"set_alarm\(\) takes a point in time, got "
NO_NUMBER = r"set_alarm\(\) takes milliseconds since the epoch or a datetime, got "

REFUSED: list[tuple[str, Any, str]] = [
    ("0", 0, POSITIVE),
    ("a negative time", -1, POSITIVE),
    ("a negative part of a millisecond", -0.1, POSITIVE),
    ("a datetime before 1970", datetime(1969, 12, 31, tzinfo=UTC), POSITIVE),
    ("a time after 2189", ALARM_MS_MAX + 1, TOO_LATE),
    ("the year 9999", datetime(9999, 12, 31, tzinfo=UTC), TOO_LATE),
    ("2**63", 2**63, TOO_LATE),
    ("a number that no float holds", 10**400, TOO_LATE),
    ("NaN", float("nan"), NO_MOMENT + "nan"),
    ("infinity", float("inf"), NO_MOMENT + "inf"),
    ("minus infinity", float("-inf"), NO_MOMENT + "-inf"),
    ("the first datetime of all, without a zone", datetime.min, POSITIVE + "|" + NO_MOMENT),
    ("the last datetime of all, without a zone", datetime.max, TOO_LATE + "|" + NO_MOMENT),
    ("a string", "2030-01-01", NO_NUMBER + "str"),
    ("a number in a string", "4000000000000", NO_NUMBER + "str"),
    ("None", None, NO_NUMBER + "NoneType"),
    ("True", True, NO_NUMBER + "bool"),
    ("a timedelta", timedelta(hours=1), NO_NUMBER + "timedelta"),
    ("a date", date(2030, 1, 1), NO_NUMBER + "date"),
    ("a Decimal", Decimal(LATER), NO_NUMBER + "Decimal"),
]


def refused(name: str, moment: Any, message: str) -> None:
    @FACTS.inside(f"6 set_alarm refuses {name}, and what was set stays")
    async def fact(thing: Thing) -> None:
        await thing.ctx.storage.set_alarm(LATER)
        with pytest.raises(TypeError, match=message):
            await thing.ctx.storage.set_alarm(moment)
        assert await thing.ctx.storage.get_alarm() == LATER


for each in REFUSED:
    refused(*each)


class Handlerless(Thing):
    """A class without an alarm handler; its constructor may set an alarm all the same."""

    alarm = None  # type: ignore[assignment]

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        if ctx.id.name == "early":
            ctx.storage.set_alarm(1)


@FACTS.driven("6 a class without alarm() cannot set one, and is told why", actor=Handlerless)
async def no_handler(stage: Stage) -> None:
    with pytest.raises(TypeError, match=r"Your Durable Object class must have an alarm\(\) handler in order to call"):
        await stage.run(lambda thing: thing.ctx.storage.set_alarm(LATER))


@FACTS.driven("6 an alarm of a class without alarm() is dropped with a warning when it is due")
async def dropped(stage: Stage) -> None:
    async with clockwork(stage, actor=Handlerless) as works:
        await works.run(lambda thing: None, name="early")
        await works.pass_time(5)
        assert [(log.level, log.text) for log in works.logs] == [
            ("warning", "an alarm was due, but the class has no alarm() method: dropped")
        ]
        assert (await works.get_alarm("early"), await works.indexed("early")) == (None, None)
        assert works.alarms.statistics().fired == 1


# --- delivery -------------------------------------------------------------------------------------------------------
@FACTS.driven("6 an alarm never starts before its time, and starts at it")
async def on_time(stage: Stage) -> None:
    ran: list[int] = []
    async with clockwork(stage, lambda thing, info: ran.append(works.clock.wall_ms())) as works:
        due_ms = await works.set_alarm(in_seconds=100)
        await works.pass_time(99.999)
        assert ran == []
        await works.pass_time(0.001)
        assert ran == [due_ms]
        await works.pass_time(100)
        assert len(ran) == 1


@FACTS.driven("6 the handler is told the time and the tries, in either spelling, and may take no notice")
async def told(stage: Stage) -> None:
    infos: list[AlarmInfo] = []
    async with clockwork(stage, lambda thing, info: infos.append(info)) as works:
        due_ms = await works.set_alarm(in_seconds=1)
        await works.pass_time(30)
        (info,) = infos
        either: Any = info
        assert (info.scheduled_time, info.retry_count, info.is_retry) == (due_ms, 0, False)
        assert (either.scheduledTime, either.retryCount, either.isRetry) == (due_ms, 0, False)


class Deaf(Thing):
    """Its handler takes nothing, and is no coroutine."""

    heard = 0

    def alarm(self) -> None:  # type: ignore[override]
        Deaf.heard += 1


@FACTS.driven("6 the handler may be a plain method without parameters")
async def relaxed(stage: Stage) -> None:
    Deaf.heard = 0
    async with clockwork(stage, actor=Deaf) as works:
        await works.set_alarm()
        await works.look()
        assert (Deaf.heard, await works.get_alarm()) == (1, None)


@FACTS.driven("6 an alarm constructs its object, under the name that it was made with")
async def constructs(stage: Stage) -> None:
    names: list[Any] = []
    async with clockwork(stage, lambda thing, info: names.append(thing.ctx.id.name)) as works:
        await works.set_alarm(in_seconds=60, name="general")
        await works.hibernate()
        await works.pass_time(60)
        assert names == ["general"]


@FACTS.driven("6 an alarm survives the end of its host, and of everything")
async def survives(stage: Stage) -> None:
    ran: list[Any] = []
    async with clockwork(stage, lambda thing, info: ran.append(thing.ctx.id.name)) as works:
        await works.set_alarm(in_seconds=60)
        await works.stop_host()
        await works.start_host()
        await works.pass_time(60)
        assert ran == ["a"]
        await works.set_alarm(in_seconds=60, name="b")
    async with clockwork(stage) as again:
        again.clock.jump(works.clock.wall_ms() - again.clock.wall_ms() / 1000 + 60)
        await again.look()
        assert ran == ["a", "b"]


@FACTS.driven("6 get_alarm is None while the handler runs, for other events too, until a new one is set")
async def hidden(stage: Stage) -> None:
    seen: list[Any] = []
    go = asyncio.Event()

    async def plan(thing: Thing, info: AlarmInfo) -> None:
        seen.append(await thing.ctx.storage.get_alarm())
        await go.wait()
        await thing.ctx.storage.set_alarm(LATER)
        seen.append(await thing.ctx.storage.get_alarm())

    async with clockwork(stage, plan) as works:
        await works.set_alarm()
        await works.alarms.step()
        await works.until(lambda: seen)
        assert await works.get_alarm() is None
        await works.run(lambda thing: go.set())
        await works.look()
        assert (seen, await works.get_alarm(), await works.indexed()) == ([None, LATER], LATER, LATER)


@FACTS.driven("6 an alarm that succeeded is gone, in its row and in the index")
async def gone(stage: Stage) -> None:
    async with clockwork(stage, lambda thing, info: thing.ctx.storage.put("ran", 1)) as works:
        await works.set_alarm()
        await works.look()
        assert (await works.get_alarm(), await works.indexed()) == (None, None)
        assert await works.run(lambda thing: thing.ctx.storage.get("ran")) == 1


@FACTS.driven("6 one run at a time: an alarm that is set meanwhile waits for the handler's end")
async def one_at_a_time(stage: Stage) -> None:
    said: list[str] = []
    go = asyncio.Event()

    async def plan(thing: Thing, info: AlarmInfo) -> None:
        said.append("begins")
        await go.wait()
        said.append("ends")

    async with clockwork(stage, plan) as works:
        await works.set_alarm()
        await works.alarms.step()
        await works.until(lambda: said)
        works.clock.advance(1)
        await works.set_alarm()
        for _ in range(5):
            works.clock.advance(1)
            await works.alarms.step()
            await works.settled()
        assert said == ["begins"]
        await works.run(lambda thing: go.set())
        await works.pass_time(1)
        assert said == ["begins", "ends"] * 2


@FACTS.driven("6 other events run while the handler waits for something that is not storage")
async def interleaves(stage: Stage) -> None:
    said: list[str] = []
    go = asyncio.Event()

    async def plan(thing: Thing, info: AlarmInfo) -> None:
        said.append("alarm 1")
        await thing.ctx.storage.put("k", 1)
        said.append("alarm 2")
        await go.wait()
        said.append("alarm 3")

    async with clockwork(stage, plan) as works:
        await works.set_alarm()
        await works.alarms.step()
        await works.until(lambda: said)

        def event(thing: Thing) -> None:
            said.append("event")
            go.set()

        await works.run(event)
        await works.look()
        assert said == ["alarm 1", "alarm 2", "event", "alarm 3"]


# --- the index ------------------------------------------------------------------------------------------------------
@FACTS.driven("6 an earlier alarm reaches the scheduler before its commit, a later one and its end after")
async def order(stage: Stage) -> None:
    async with clockwork(stage) as works:
        for in_seconds, waits in ((50, True), (20, True), (90, False)):
            due_ms = await works.set_alarm(in_seconds)
            await works.settled()
            assert (works.told[-1].alarm_ms, bool(works.told[-1].id)) == (due_ms, waits)
        await works.run(lambda thing: thing.ctx.storage.delete_alarm())
        await works.settled()
        assert (works.told[-1].alarm_ms, works.told[-1].id) == (None, 0)


@FACTS.driven("6 a scheduler that asks too early is told the time, and asks again at it")
async def too_early(stage: Stage) -> None:
    ran: list[int] = []
    async with clockwork(stage, lambda thing, info: ran.append(info.scheduled_time)) as works:
        due_ms = await works.set_alarm(in_seconds=30)
        await works.look()
        works.index.correct_alarm(key_of("a"), due_ms, due_ms - 25_000)
        works.alarms.alarm_indexed(key_of("a"), due_ms - 25_000)
        await works.pass_time(29)
        assert works.alarms.statistics().fired == 1
        assert (ran, await works.indexed()) == ([], due_ms)
        await works.pass_time(1)
        assert ran == [due_ms]
