"""`block_concurrency_while`: runs alone, and its failure is the object's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable.errors import ActorError, ActorResetError
from durable.limits import CRITICAL_SECTION_DEPTH_MAX
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()

TOO_LONG = (
    "A call to blockConcurrencyWhile() in a Durable Object waited for too long. "
    "The call was canceled and the Durable Object was reset."
)


@FACTS.inside("5.3 the value of the callback is the value of the await")
async def value(thing: Thing) -> None:
    async def slow() -> dict[str, int]:
        await asyncio.sleep(0)
        return {"z": 1}

    assert await thing.ctx.block_concurrency_while(slow) == {"z": 1}
    assert await thing.ctx.block_concurrency_while(lambda: "sync") == "sync"
    spelt_as_there: Any = thing.ctx
    assert await spelt_as_there.blockConcurrencyWhile(slow) == {"z": 1}


@FACTS.inside("5.3 can be used as a decorator")
async def decorator(thing: Thing) -> None:
    @thing.ctx.block_concurrency_while
    async def started() -> str:
        return "started"

    assert await started == "started"


@FACTS.driven("5.3 no other event is delivered, and those that waited run afterwards in order")
async def alone(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing, who: str) -> None:
        async def work() -> None:
            said.append(f"{who}1")
            await asyncio.sleep(0.001)
            said.append(f"{who}2")

        await thing.ctx.block_concurrency_while(work)

    await asyncio.gather(*(stage.run(event, who) for who in "abc"))
    assert "".join(said) == "a1a2b1b2c1c2"


class Constructing(Thing):
    """Loads its state in the constructor."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.loaded = ""
        self.section = ctx.block_concurrency_while(self.load)

    async def load(self) -> None:
        await asyncio.sleep(0.001)
        self.loaded = "loaded"


@FACTS.driven("5.3 the first event waits for a section of the constructor", actor=Constructing)
async def constructor(stage: Stage) -> None:
    assert await stage.run(lambda thing: thing.loaded) == "loaded"


def failing(said: list[str]) -> Callable[[Thing], Any]:
    """An event whose section raises; what it could do afterwards is noted."""

    async def event(thing: Thing) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            raise TypeError("section failed")

        try:
            await thing.ctx.block_concurrency_while(work)
        except Exception:
            said.append("except")
        said.append("after the await")

    return event


def is_section_failure(error: BaseException) -> bool:
    facts = vars(error)
    return (type(error), str(error), facts["durable_object_reset"], facts["remote"]) == (
        TypeError, "section failed", True, False
    )  # fmt: skip


@FACTS.driven("5.3 a failure: the code behind the await never runs, nor does its except")
async def never_settles(stage: Stage) -> None:
    said: list[str] = []
    with pytest.raises(TypeError) as raised:
        await stage.run(failing(said))
    assert is_section_failure(raised.value)
    for _ in range(20):
        await asyncio.sleep(0)
    assert said == []


@FACTS.driven("5.3 a failure: events in flight and in the queue get its error, with type, message and reset flag")
async def everyone_fails(stage: Stage) -> None:
    said: list[str] = []
    in_flight = stage.run(lambda thing: asyncio.Event().wait())
    await stage.run(lambda thing: None)
    running = [stage.run(failing(said)), *(stage.run(lambda thing: said.append("ran")) for _ in range(2))]
    for event in (in_flight, *running):
        with pytest.raises(TypeError) as raised:
            await event
        assert is_section_failure(raised.value)
    assert said == []


@FACTS.driven("5.3 a failure: a held stub stays broken with that error, and a fresh one finds a fresh object")
async def stubs(stage: Stage) -> None:
    async def other(thing: Thing) -> list[Any]:
        held = thing.env.THINGS.get_by_name("a")
        unused = thing.env.THINGS.get_by_name("a")
        number = stage.number(lambda same: id(same))
        before = await held.play(number)
        errors: list[Any] = []
        for part in (failing([]), lambda same: None, lambda same: None):
            try:
                await held.play(stage.number(part))
            except TypeError as error:
                errors.append(error)
        after = await thing.env.THINGS.get_by_name("a").play(number)
        return [before != after, await unused.play(number) == after, *map(is_section_failure, errors)]

    assert await stage.run(other, name="other") == [True, True, True, True, True]


@FACTS.driven("5.3 a failure: a stub that was used before is broken, whoever caused the reset")
async def bystanders(stage: Stage) -> None:
    async def other(thing: Thing, step: int) -> Any:
        if step == 0:
            thing.held = thing.env.THINGS.get_by_name("a")  # type: ignore[attr-defined]
        return await thing.held.play(stage.number(lambda same: "fine"))  # type: ignore[attr-defined]

    assert await stage.run(other, 0, name="other") == "fine"
    with pytest.raises(TypeError):
        await stage.run(failing([]))
    for step in (1, 2):
        with pytest.raises(TypeError, match="section failed") as raised:
            await stage.run(other, step, name="other")
        assert vars(raised.value)["durable_object_reset"] is True
    assert await stage.run(other, 0, name="other") == "fine"


@FACTS.driven("5.3 a stub outlives the sleep of its object", idle_seconds=0.0)
async def sleeping(stage: Stage) -> None:
    async def other(thing: Thing, step: int) -> Any:
        if step == 0:
            thing.held = thing.env.THINGS.get_by_name("a")  # type: ignore[attr-defined]
        return await thing.held.play(stage.number(lambda same: "fine"))  # type: ignore[attr-defined]

    over = asyncio.Event()
    staying = stage.run(lambda thing: over.wait(), name="other")
    assert await stage.run(other, 0, name="other") == "fine"
    await stage.gateway.step_until(lambda: stage.gateway.host.registry.live(stage.gateway.key("a").id) is None)
    assert await stage.run(other, 1, name="other") == "fine"
    over.set()
    await staying


@FACTS.driven("5.3 a section that takes longer than 30 s resets the object, with overloaded set, queue included")
async def too_long(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.critical_section.CRITICAL_SECTION_SECONDS", 0.01)
    hanging = stage.run(lambda thing: thing.ctx.block_concurrency_while(lambda: asyncio.Event().wait()))
    for event in (hanging, stage.run(lambda thing: None)):
        with pytest.raises(ActorResetError) as raised:
            await event
        assert str(raised.value) == TOO_LONG
        assert (raised.value.durable_object_reset, raised.value.overloaded, raised.value.remote) == (True, True, False)


@FACTS.driven("5.3 a transaction that takes longer than 30 s ends the same way, with the same words")
async def transaction_too_long(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.critical_section.CRITICAL_SECTION_SECONDS", 0.01)

    async def event(thing: Thing) -> None:
        async def work(txn: Any) -> None:
            await txn.put("in", "transaction")
            await asyncio.Event().wait()

        await thing.ctx.storage.transaction(work)

    with pytest.raises(ActorResetError) as raised:
        await stage.run(event)
    assert str(raised.value) == TOO_LONG
    assert await stage.run(lambda thing: thing.ctx.storage.get("in")) is None


@FACTS.driven("5.3 a section that waits for its own stub is a deadlock until the 30 s are over")
async def own_stub(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.critical_section.CRITICAL_SECTION_SECONDS", 0.01)
    ran: list[int] = []

    async def event(thing: Thing) -> None:
        stub = thing.env.THINGS.get_by_name("a")
        await thing.ctx.block_concurrency_while(lambda: stub.play(stage.number(lambda same: ran.append(1))))

    with pytest.raises(ActorResetError, match="waited for too long"):
        await stage.run(event)
    assert ran == []


@FACTS.driven("5.3 a section whose task was dropped resets the object and says that it waited for ever")
async def dropped(stage: Stage) -> None:
    async def event(thing: Thing) -> None:
        async def work() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.Event().wait()

        await thing.ctx.block_concurrency_while(work)

    with pytest.raises(ActorResetError, match="awaited a Promise that apparently will never complete") as raised:
        await stage.run(event)
    assert raised.value.durable_object_reset is True


@FACTS.inside("5.3 sections nest 64 deep, and one more is refused")
async def depth(thing: Thing) -> None:
    async def nest(left: int) -> str:
        if left == 0:
            return "bottom"
        result: str = await thing.ctx.block_concurrency_while(lambda: nest(left - 1))
        return result

    assert await nest(CRITICAL_SECTION_DEPTH_MAX) == "bottom"

    async def nest_caught(left: int) -> str:
        try:
            return await thing.ctx.block_concurrency_while(lambda: nest_caught(left - 1))
        except ActorError as error:
            return str(error)

    assert CRITICAL_SECTION_DEPTH_MAX == 64
    assert await nest_caught(100) == "blockConcurrencyWhile() calls are nested too deeply."
