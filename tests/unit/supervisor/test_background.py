"""Work that nobody waits for."""

from __future__ import annotations

import asyncio

from durable.gateway.events import Event, GatewayFault
from durable.supervisor.background import Background


def ignored(_event: Event) -> None:
    return


async def test_a_bug_in_it_is_reported_and_stops_nothing_else():
    events: list[Event] = []
    background = Background(events.append)
    done = asyncio.Event()

    async def fails() -> None:
        raise RuntimeError("a bug of ours")

    async def works() -> None:
        done.set()

    background.run(fails())
    await background.task(works())

    assert done.is_set()
    assert [type(event) for event in events] == [GatewayFault]


async def test_stopping_cuts_short_what_still_runs():
    background = Background(ignored)
    endless = background.task(asyncio.sleep(3600))

    await background.stop()
    await background.stop()

    assert endless.cancelled()
