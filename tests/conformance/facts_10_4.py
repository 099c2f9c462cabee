"""Section 10.4 of the platform's facts: how errors cross a call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.stage import Facts, Stage

FACTS = Facts()

FAILING = """
class MyError(Exception):
    def __init__(self, text, code=7):
        super().__init__(text)
        self.code = code

class Thing(_Base, platform.DurableObject):
    def built_in(self):
        raise LookupError("not here")

    async def own(self):
        raise MyError("mine", 8)

    def grouped(self):
        raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])

    def caused(self):
        try:
            raise ValueError("inner")
        except ValueError as error:
            raise RuntimeError("outer") from error

    def fetch(self, request):
        raise LookupError("no page")

    async def relayed(self, name):
        await self.env.THINGS.getByName(name).built_in()

__all__ = ["Thing"]
"""


@FACTS.both("10.4 type and message survive, and the error says that it is the callee's", program=FAILING)
async def built_in(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    with pytest.raises(LookupError, match="not here") as raised:
        await stub.built_in()
    error: Any = raised.value
    assert error.remote
    assert error.durableObjectId == error.durable_object_id == str(stub.id)
    assert not any([error.durableObjectReset, error.overloaded, error.retryable])
    assert isinstance(error, platform.JsException) is platform.is_cloudflare


@FACTS.both("10.4 a class of the program survives with its attributes", program=FAILING)
async def own(thing: Any, platform: Any) -> None:
    with pytest.raises(Exception, match="mine") as raised:
        await thing.env.THINGS.getByName("b").own()
    error: Any = raised.value
    assert ("MyError" in [base.__name__ for base in type(error).__mro__], error.code) == (True, 8)


@FACTS.both("10.4 the callee's traceback and the cause are told", program=FAILING)
async def caused(thing: Any, platform: Any) -> None:
    with pytest.raises(RuntimeError, match="outer") as raised:
        await thing.env.THINGS.getByName("b").caused()
    assert "ValueError: inner" in str(raised.value.__cause__)


@FACTS.both("10.4 stub.fetch raises what the handler raised, and makes no 500 of it", program=FAILING)
async def fetched(thing: Any, platform: Any) -> None:
    with pytest.raises(LookupError, match="no page") as raised:
        await thing.env.THINGS.getByName("b").fetch("http://x/")
    assert vars(raised.value)["remote"]
    if platform.is_cloudflare:
        assert isinstance(raised.value, platform.AbortError)
        assert isinstance(raised.value, OSError)


@FACTS.both("10.4 an error that is passed on says whose it was last", program=FAILING)
async def relayed(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    with pytest.raises(LookupError, match="not here") as raised:
        await stub.relayed("c")
    assert (vars(raised.value)["remote"], vars(raised.value)["durable_object_id"]) == (True, str(stub.id))


@FACTS.both_driven("10.4 results and errors wait for what was written before them")
async def gated(stage: Stage, platform: Any) -> None:
    def fail(thing: Any) -> None:
        thing.ctx.storage.kv.put("written", 1)
        raise ValueError("after a write")

    failing = stage.number(fail)

    async def ask(thing: Any) -> Any:
        with pytest.raises(ValueError, match="after a write"):
            await thing.env.THINGS.getByName("b").play(failing)
        return stage.gateway.host.durable_epoch

    assert await stage.run(ask) > 0
