"""Items 11 to 15 of the quick list: alarms."""

from __future__ import annotations

from typing import Any

from durable import AlarmInfo
from tests.conformance.clockwork import clockwork
from tests.conformance.facts_6_failures import Tries, delete_and_fail, set_and_fail, seven_runs
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


@FACTS.driven("11.11 set_alarm of a time in the past fires now, and get_alarm says now")
async def past(stage: Stage) -> None:
    tries = Tries(lambda thing, info: None)
    async with clockwork(stage, lambda thing, info: tries(thing, info)) as works:
        tries.works = works
        works.clock.advance(100)

        async def event(thing: Thing) -> Any:
            await thing.ctx.storage.set_alarm(1)
            return await thing.ctx.storage.get_alarm()

        assert await works.run(event) == works.clock.wall_ms()
        await works.look()
        assert [info.scheduled_time for info in tries.infos] == [works.clock.wall_ms()]


FACTS.driven("11.12 an alarm that raises: 2, 4, 8, 16, 32, 64 seconds and up to a quarter more, then dropped")(
    seven_runs
)
FACTS.driven("11.13 delete_alarm and raise: no retry")(delete_and_fail)
FACTS.driven("11.14 set_alarm in 0.7 s and raise: one run then, retry_count 0")(set_and_fail)


@FACTS.driven("11.15 get_alarm in the handler is None")
async def hidden(stage: Stage) -> None:
    seen: list[Any] = []

    async def plan(thing: Thing, info: AlarmInfo) -> None:
        seen.append(await thing.ctx.storage.get_alarm())

    async with clockwork(stage, plan) as works:
        await works.set_alarm()
        await works.look()
        assert seen == [None]
