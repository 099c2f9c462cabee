"""Section 2.5 of the platform's facts: order on a stub, and what breaks one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.stage import Facts, Stage

FACTS = Facts()


@FACTS.both_driven("2.5 calls on one stub are delivered in order")
async def in_order(stage: Stage, platform: Any) -> None:
    def bump(thing: Any) -> int:
        thing.n = getattr(thing, "n", 0) + 1
        return int(thing.n)

    bumping = stage.number(bump)

    async def ask(thing: Any) -> Any:
        other = thing.env.THINGS.getByName("b")
        return await asyncio.gather(*(other.play(bumping) for _ in range(5)))

    assert await stage.run(ask) == [1, 2, 3, 4, 5]


def _abort(thing: Any) -> None:
    thing.ctx.abort("enough")


@FACTS.both_driven("2.5 a stub of an object that was reset stays broken, with the same error; a fresh one works")
async def broken(stage: Stage, platform: Any) -> None:
    aborting = stage.number(_abort)

    async def ask(thing: Any) -> Any:
        things = thing.env.THINGS
        held, culprit = things.getByName("b"), things.getByName("b")
        assert await held.own_name() == "b"
        with pytest.raises(platform.JsException, match="enough"):
            await culprit.play(aborting)
        errors = []
        for _ in range(2):
            with pytest.raises(platform.JsException, match="enough") as raised:
                await held.own_name()
            errors.append(raised.value)
        with pytest.raises(Exception, match="enough"):
            await held.fetch("http://x/")
        assert errors[0] is errors[1]
        return [errors[0].durableObjectReset, bool(errors[0].remote), await things.getByName("b").own_name()]

    assert await stage.run(ask) == [True, False, "b"]


@FACTS.both_driven("2.5 an object can call itself")
async def itself(stage: Stage, platform: Any) -> None:
    async def ask(thing: Any) -> Any:
        return await thing.env.THINGS.getByName("a").own_name()

    assert await stage.run(ask, name="a") == "a"


@FACTS.both_driven("2.5 a stub that is sent over RPC arrives as a stub")
async def sent(stage: Stage, platform: Any) -> None:
    async def use(thing: Any, stub: Any) -> Any:
        return await stub.own_name()

    using = stage.number(use)

    async def ask(thing: Any) -> Any:
        things = thing.env.THINGS
        return await things.getByName("b").play(using, things.getByName("c"))

    assert await stage.run(ask) == "c"


@FACTS.both("2.5 a stub has the id it was asked for, and its name")
def stub_of(thing: Any, platform: Any) -> None:
    things = thing.env.THINGS
    found = things.getByName("b")
    assert (found.name, found.id.name, found.id.equals(things.idFromName("b"))) == ("b", "b", True)
    assert things.get(things.newUniqueId()).name is None
