"""Section 10.3 of the platform's facts: stubs of functions, how long they live, and calls of what is not there yet."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tests.conformance.stage import Facts, Stage

FACTS = Facts()

GIVING = """
from durable import RpcTarget

class Room(RpcTarget):
    def __init__(self):
        self.posts = []

    def post(self, text):
        self.posts.append(text)
        return len(self.posts)

class Thing(_Base, platform.DurableObject):
    __name__ = "Thing"

    def fn(self):
        return {"f": lambda n: n + 1, "n": 7}

    def room(self):
        return Room()

    def number(self):
        return 5

    async def call(self, function, *args):
        return await function(*args)

    def keep(self, function):
        self.kept, self.duplicate = function, function.dup()

    async def use(self):
        return await self.kept()

    async def use_duplicate(self):
        return await self.duplicate()

    def drop(self):
        self.duplicate.dispose()

__all__ = ["Thing"]
"""


@FACTS.both("10.3 a function in a result is called where it is, awaited or not", program=GIVING)
async def functions(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    result = await stub.fn()
    assert [await result["f"](4), result["n"]] == [5, 7]
    assert await stub.fn().f(5) == 6


@FACTS.both("10.3 methods of an RpcTarget are called on one object, and pipelined", program=GIVING)
async def targets(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    room = await stub.room()
    assert [await room.post("a"), await room.post("b")] == [1, 2]
    assert await stub.room().post("c") == 1


@FACTS.both("10.3 pipelining on a call that returns no object fails", program=GIVING)
async def no_object(thing: Any, platform: Any) -> None:
    with pytest.raises(platform.JsException, match=r"Can't pipeline on RPC that did not return an object\."):
        await thing.env.THINGS.getByName("b").number().f(5)


@FACTS.both("10.3 a function that is an argument runs where it was made", program=GIVING)
async def arguments(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    heard = []

    async def hear(what: Any) -> Any:
        heard.append(what)
        return thing.ctx.id.name

    assert await stub.call(platform.create_proxy(hear), "hello") == "a"
    assert heard == ["hello"]


@FACTS.both("10.3 a stub that is an argument ends with the call, its duplicate does not", program=GIVING)
async def lifetimes(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    await stub.keep(lambda: "called")
    with pytest.raises(platform.JsException, match=r"RPC stub used after being disposed\."):
        await stub.use()
    assert await stub.use_duplicate() == "called"
    await stub.drop()
    with pytest.raises(platform.JsException, match="disposed"):
        await stub.use_duplicate()


@FACTS.both_driven("10.3 an object stays in memory while anybody holds a stub that it returned", program=GIVING)
async def pins(stage: Stage, platform: Any) -> None:
    async def hold(thing: Any) -> Any:
        thing.held = await thing.env.THINGS.getByName("b").fn()
        thing.plain = await thing.env.THINGS.getByName("c").number()

    async def release(thing: Any) -> None:
        thing.held = None
        gc.collect()

    await stage.run(hold)
    registry = stage.gateway.host.registry
    giver, plain = (registry.live(stage.gateway.key(name).id) for name in ("b", "c"))
    assert giver is not None
    assert plain is not None
    assert (giver.is_pinned, plain.is_pinned) == (True, False)
    assert "1 stub of its functions" in str(giver.pins()[0])
    await stage.run(release)
    await stage.gateway.step_until(lambda: not giver.is_pinned)


@FACTS.both("10.3 what is kept on self is used by later events", program=GIVING)
async def later(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    thing.room = await stub.room()
    assert await thing.room.post("first") == 1
    me = thing.env.THINGS.getByName("a")
    assert await me.call(lambda: "from an event of its own") == "from an event of its own"
    assert await thing.room.post("second") == 2
