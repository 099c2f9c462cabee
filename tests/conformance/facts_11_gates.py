"""Items 1 to 4 of the quick list: events, transactions and critical sections of one object."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


@FACTS.driven("11.1 three concurrent methods that read and put run one after another")
async def read_then_put(stage: Stage) -> None:
    async def event(thing: Thing) -> Any:
        number = await thing.ctx.storage.get("n", default=0)
        await thing.ctx.storage.put("n", number + 1)
        return number

    assert await asyncio.gather(*(stage.run(event) for _ in range(3))) == [0, 1, 2]


@FACTS.driven("11.2 three concurrent methods that sleep interleave")
async def sleeps(stage: Stage) -> None:
    said: list[str] = []
    go = asyncio.Event()

    async def event(thing: Thing, who: str) -> None:
        said.append(f"{who}1")
        await go.wait()
        said.append(f"{who}2")

    events = [stage.run(event, who) for who in "abc"]
    await stage.run(lambda thing: go.set())
    await asyncio.gather(*events)
    assert "".join(said) == "a1b1c1a2b2c2"


@FACTS.driven("11.3 a reader waits for a transaction that sleeps")
async def reader_waits(stage: Stage) -> None:
    said: list[Any] = []

    async def writer(thing: Thing) -> None:
        async def work(txn: Any) -> None:
            await txn.put("k", "unfinished")
            await asyncio.sleep(0.001)
            await txn.put("k", "finished")
            said.append("transaction")

        await thing.ctx.storage.transaction(work)

    async def reader(thing: Thing) -> None:
        said.append(await thing.ctx.storage.get("k"))

    await asyncio.gather(stage.run(writer), stage.run(reader))
    assert said == ["transaction", "finished"]


@FACTS.driven("11.4 a critical section that raises: everyone gets it, nothing goes on, old stub dead, new stub alive")
async def failing_section(stage: Stage) -> None:
    said: list[str] = []

    async def failing(thing: Thing) -> None:
        async def work() -> None:
            raise TypeError("section failed")

        await thing.ctx.block_concurrency_while(work)
        said.append("went on")

    async def caller(thing: Thing) -> Any:
        old = thing.env.THINGS.get_by_name("a")
        for part in (failing, lambda same: "alive"):
            with pytest.raises(TypeError, match="section failed"):
                await old.play(stage.number(part))
        return await thing.env.THINGS.get_by_name("a").play(stage.number(lambda same: "alive"))

    waiting = stage.run(lambda thing: asyncio.Event().wait())
    assert await stage.run(caller, name="other") == "alive"
    with pytest.raises(TypeError, match="section failed"):
        await waiting
    assert said == []
