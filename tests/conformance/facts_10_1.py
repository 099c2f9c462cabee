"""Section 10.1 of the platform's facts: which members of a class can be called."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.stage import Facts

FACTS = Facts()

MEMBERS = """
class Middle(_Base, platform.DurableObject):
    def inherited(self):
        return "inherited"

class Thing(Middle):
    number = 5

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.instance_method = lambda: "hidden"

    def sync(self, *args):
        return list(args)

    async def later(self, *args):
        return list(args)

    @staticmethod
    def static(n):
        return n + 1

    def _underscore(self):
        return "not private"

    def strict(self, one):
        return one
"""


@FACTS.both(
    "10.1 methods are callable, sync and async alike, inherited, static and with an underscore", program=MEMBERS
)
async def callable_members(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    assert [await stub.sync(1, "a"), await stub.later(2)] == [[1, "a"], [2]]
    assert [await stub.inherited(), await stub.static(1)] == ["inherited", 2]
    assert await stub._underscore() == "not private"


@FACTS.both("10.1 what an instance holds is hidden, and so are ctx and env", program=MEMBERS)
async def hidden(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    for name in ("instance_method", "ctx", "env", "toString", "hasOwnProperty", "nope"):
        with pytest.raises(
            platform.JsException, match=f'The RPC receiver does not implement the method "{name}"'
        ) as raised:
            await getattr(stub, name)()
        assert isinstance(raised.value, TypeError)
        assert getattr(raised.value, "name", "") == "TypeError"


@FACTS.both("10.1 a member that is no function is said to be none", program=MEMBERS)
async def no_function(thing: Any, platform: Any) -> None:
    with pytest.raises(TypeError, match='"number" of Thing is not a function'):
        await thing.env.THINGS.getByName("b").number()


@FACTS.both("10.1 handlers and a few other names are reserved", program=MEMBERS)
async def reserved(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    names = ("connect", "alarm", "webSocketMessage", "webSocketClose", "webSocketError", "dup", "constructor")
    for name in names:
        with pytest.raises(platform.JsException) as raised:
            await getattr(stub, name)()
        assert str(raised.value) == f"'{name}' is a reserved method and cannot be called over RPC."
        assert isinstance(raised.value, TypeError)


@FACTS.both("10.1 a call with the wrong number of arguments is a TypeError of the callee", program=MEMBERS)
async def arity(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    for args in ((), (1, 2)):
        with pytest.raises(TypeError, match="positional argument") as raised:
            await stub.strict(*args)
        assert vars(raised.value)["remote"]
