"""Alarms that end otherwise than by their handler: constructors, limits, hosts, disks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from durable import AlarmInfo
from durable.errors import ActorResetError, SqlError
from durable.gateway.events import AlarmFired
from durable.limits import ALARM_HANDLER_SECONDS
from durable.wire import messages as wire
from tests.conformance.clockwork import clockwork, key_of
from tests.conformance.facts_6_failures import Tries, play_tries
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


class Unbuilt(Thing):
    """Its constructor fails while the fact says so."""

    broken = False
    constructed = 0

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        Unbuilt.constructed += 1
        if Unbuilt.broken:
            raise ValueError("not built")


@FACTS.driven("6 a constructor that fails is a failed try; given up, the alarm is gone without constructing the object")
async def constructor(stage: Stage) -> None:
    stage.monkeypatch.setattr(Unbuilt, "broken", False)
    async with clockwork(stage, actor=Unbuilt) as works:
        await works.set_alarm(in_seconds=60)
        await works.hibernate()
        Unbuilt.broken, Unbuilt.constructed = True, 0
        await works.pass_time(60 + 200)
        fired = [event for event in works.events if isinstance(event, AlarmFired)]
        assert (Unbuilt.constructed, [event.outcome for event in fired]) == (7, ["failed"] * 7)
        assert await works.indexed() is None
        await works.pass_time(200)
        assert Unbuilt.constructed == 7
        Unbuilt.broken = False
        assert await works.get_alarm() is None


@FACTS.driven("6 an alarm that is over is tried no more, even where the constructor fails before anyone can tell")
async def over(stage: Stage) -> None:
    stage.monkeypatch.setattr(Unbuilt, "broken", False)
    async with clockwork(stage, actor=Unbuilt) as works:
        due_ms = await works.set_alarm(in_seconds=60)
        await works.run(lambda thing: thing.ctx.storage.put("k", 1))
        await works.run(lambda thing: thing.ctx.storage.delete_alarm())
        await works.hibernate()
        Unbuilt.broken = True
        reply = await works.link.request(lambda number: wire.AlarmDue(number, key_of("a"), due_ms, 0))
        assert isinstance(reply, wire.AlarmReply)
        assert (reply.outcome, reply.alarm_ms) == ("stale", None)


async def too_long(stage: Stage) -> None:
    limits: list[tuple[float, Callable[[], None]]] = []
    call_later = asyncio.get_running_loop().call_later

    def catching(delay: float, callback: Any, *args: Any, **more: Any) -> Any:
        if delay == ALARM_HANDLER_SECONDS:
            limits.append((delay, lambda: callback(*args)))
        return call_later(delay, callback, *args, **more)

    async def then(thing: Any, info: AlarmInfo) -> None:
        while not info.is_retry:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        tries.works = works
        await works.set_alarm()
        stage.monkeypatch.setattr(asyncio.get_running_loop(), "call_later", catching)
        await works.alarms.step()
        await works.until(lambda: tries.infos)
        (before,) = works.host.registry.actors
        limits[0][1]()
        await works.look()
        assert before.broken is not None
        assert works.host.registry.live(key_of("a").id) is None
        assert [log.text for log in works.logs if log.error] == [
            "ActorResetError: Alarm exceeded its allowed execution time"
        ]
        await works.pass_time(3)
        assert tries.counts == [0, 1]


FACTS.driven("6 a handler that takes 15 minutes is ended with its object, even one that will not be cancelled")(
    too_long
)


@FACTS.driven("6 a lost host is no try: the handler runs again soon, as often as that happens")
async def lost_host(stage: Stage) -> None:
    go = asyncio.Event()

    async def then(thing: Any, info: AlarmInfo) -> None:
        await (asyncio.Event() if len(tries.infos) < 10 else go).wait()

    tries = Tries(then)
    go.set()
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        tries.works = works
        await works.set_alarm()
        for number in range(1, 10):
            await works.alarms.step()
            await works.until(partial(tries.has_run, number))
            await works.lose_host()
            await works.until(lambda: not works.alarms.statistics().running)
            await works.start_host()
        await works.pass_time(1)
        assert (tries.counts, await works.get_alarm()) == ([0] * 10, None)


@FACTS.driven("6 a reset of the object by another event is a failed try")
async def reset(stage: Stage) -> None:
    async def then(thing: Any, info: AlarmInfo) -> None:
        if not info.is_retry:
            await asyncio.Event().wait()

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        tries.works = works
        await works.set_alarm()
        await works.alarms.step()
        await works.until(lambda: tries.infos)
        with pytest.raises(ActorResetError, match="over"):
            await works.run(lambda thing: thing.ctx.abort("over"))
        await works.pass_time(3)
        assert (tries.counts, await works.get_alarm()) == ([0, 1], None)


@FACTS.driven("6 a run that an error of the disk ended is no try, one that its own SQL ended is")
async def disk_errors(stage: Stage) -> None:
    def then(thing: Any, info: AlarmInfo) -> None:
        if len(tries.infos) < 10:
            # What storage raises when the disk does; nothing here is broken for real.
            raise SqlError("disk I/O error: SQLITE_IOERR_READ", code="SQLITE_IOERR_READ")
        thing.ctx.storage.sql.exec("SELEC 1")

    tries = Tries(then)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        await play_tries(works, tries, 900)
        assert tries.counts == [0] * 10 + [1, 2, 3, 4, 5, 6]
