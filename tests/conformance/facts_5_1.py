"""Threading model: events interleave only where they wait for something that is not storage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from durable import Response
from durable.sdk.runtime import fetch
from tests.conformance.held_disk import outside
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


async def order_around(stage: Stage, wait: Callable[[Thing], Awaitable[Any]]) -> str:
    """What three events said that were started together and wait in the middle: `a1a2b1b2…` or `a1b1…`."""
    said: list[str] = []

    async def event(thing: Thing, who: str) -> None:
        said.append(f"{who}1")
        await wait(thing)
        said.append(f"{who}2")

    await asyncio.gather(*(stage.run(event, who) for who in "abc"))
    return "".join(said)


def alone(name: str, wait: Callable[[Thing], Awaitable[Any]]) -> None:
    """Lists the fact that no other event runs during such an await."""

    @FACTS.driven(f"5.1 await of {name} lets no other event in")
    async def _(stage: Stage) -> None:
        assert await order_around(stage, wait) == "a1a2b1b2c1c2"


async def _done() -> str:
    return "done"


async def _resolved(thing: Thing) -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    await future
    assert await _done() == "done"


alone("storage.get", lambda thing: thing.ctx.storage.get("k"))
alone("storage.get of several keys", lambda thing: thing.ctx.storage.get(["k", "l"]))
alone("storage.put", lambda thing: thing.ctx.storage.put("k", 1))
alone("storage.put of several keys", lambda thing: thing.ctx.storage.put({"k": 1, "l": 2}))
alone("storage.delete", lambda thing: thing.ctx.storage.delete("k"))
alone("storage.list", lambda thing: thing.ctx.storage.list())
alone("storage.get_alarm", lambda thing: thing.ctx.storage.get_alarm())
alone("storage.set_alarm", lambda thing: thing.ctx.storage.set_alarm(4_000_000_000_000))
alone("storage.delete_alarm", lambda thing: thing.ctx.storage.delete_alarm())
alone("storage.delete_all", lambda thing: thing.ctx.storage.delete_all())
alone("what has its value already", _resolved)


@FACTS.driven("5.1 await of storage.transaction lets no other event into it")
async def transactions_alone(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing, who: str) -> None:
        async def work(txn: Any) -> None:
            said.append(f"{who}1")
            await asyncio.sleep(0.001)
            said.append(f"{who}2")

        await thing.ctx.storage.transaction(work)

    await asyncio.gather(*(stage.run(event, who) for who in "abc"))
    assert "".join(said) == "a1a2b1b2c1c2"


@FACTS.driven("5.1 three concurrent reads and writes of one key never lose an update")
async def read_modify_write(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing, who: str) -> Any:
        said.append(f"{who}1")
        number = await thing.ctx.storage.get("n", default=0)
        said.append(f"{who}2")
        await thing.ctx.storage.put("n", number + 1)
        said.append(f"{who}3")
        return number + 1

    assert await asyncio.gather(*(stage.run(event, who) for who in "abc")) == [1, 2, 3]
    assert "".join(said) == "a1a2a3b1b2b3c1c2c3"


@FACTS.driven("5.1 await of a timer lets other events in")
async def timers(stage: Stage) -> None:
    ready = asyncio.Event()

    async def wait(thing: Thing) -> None:
        await asyncio.sleep(0.001)
        await ready.wait()

    asyncio.get_running_loop().call_later(0.05, ready.set)
    assert await order_around(stage, wait) == "a1b1c1a2b2c2"


@FACTS.driven("5.1 await of a call to another object lets other events in")
async def calls(stage: Stage) -> None:
    ready = asyncio.Event()

    async def wait(thing: Thing) -> None:
        await thing.env.THINGS.get_by_name("other").play(stage.number(lambda other: ready.wait()))

    asyncio.get_running_loop().call_later(0.05, ready.set)
    assert await order_around(stage, wait) == "a1b1c1a2b2c2"


class Answering(Thing):
    """Has a `fetch` that takes its time."""

    async def fetch(self, request: Any) -> Response:
        await asyncio.sleep(0.05)
        return Response("ok")


@FACTS.driven("5.1 await of a request to another object lets other events in", actor=Answering)
async def requests(stage: Stage) -> None:
    async def wait(thing: Thing) -> None:
        response = await thing.env.THINGS.get_by_name("other").fetch("http://localhost/")
        assert await response.text() == "ok"

    assert await order_around(stage, wait) == "a1b1c1a2b2c2"


@FACTS.driven("5.1 await of a request to the outside lets other events in")
async def requests_outside(stage: Stage) -> None:
    async with outside() as server:
        assert await order_around(stage, lambda thing: fetch(server.url)) == "a1b1c1a2b2c2"
        assert server.requests == 3


@FACTS.driven("5.1 await of its own stub lets the call in")
async def own_stub(stage: Stage) -> None:
    async def event(thing: Thing) -> Any:
        return await thing.env.THINGS.get_by_name("a").play(stage.number(lambda same: same is thing))

    assert await stage.run(event) is True


@FACTS.driven("5.1 inside a critical section only what was started there goes on")
async def sections(stage: Stage) -> None:
    said: list[str] = []
    ready = asyncio.Event()

    async def waiting(thing: Thing) -> None:
        await ready.wait()
        said.append("outside")

    async def section(thing: Thing) -> None:
        async def child() -> None:
            await asyncio.sleep(0.001)
            said.append("child")

        async def work() -> None:
            ready.set()
            await asyncio.gather(asyncio.create_task(child()), asyncio.sleep(0.01))
            said.append("section")

        await thing.ctx.block_concurrency_while(work)

    await asyncio.gather(stage.run(waiting), stage.run(section), stage.run(lambda thing: said.append("new event")))
    assert said[:2] == ["child", "section"]
    assert sorted(said[2:]) == ["new event", "outside"]


@FACTS.driven("5.1 events that wait for a critical section keep their order")
async def queue(stage: Stage) -> None:
    said: list[int] = []
    holding = stage.run(lambda thing: thing.ctx.block_concurrency_while(lambda: asyncio.sleep(0.01)))
    plain = [
        stage.send(lambda thing, number: said.append(number), number, method=method)
        for number, method in enumerate(["play", "play_plainly"] * 5)
    ]
    await asyncio.gather(holding, *plain)
    assert said == list(range(10))


@FACTS.driven("5.1 nested sections form a stack, and sections go before the events that wait")
async def nested(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing) -> None:
        section = thing.ctx.block_concurrency_while

        async def inner(who: str) -> None:
            await asyncio.sleep(0.001)
            said.append(who)

        async def outer() -> None:
            await asyncio.gather(section(lambda: inner("first child")), section(lambda: inner("second child")))
            said.append("parent")

        await asyncio.gather(section(outer), section(lambda: inner("sibling")))
        said.append("event")

    running = stage.run(event)
    await asyncio.gather(running, stage.run(lambda thing: said.append("queued")))
    assert said[:4] == ["first child", "second child", "parent", "sibling"]
    assert sorted(said[4:]) == ["event", "queued"]
