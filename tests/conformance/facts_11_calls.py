"""Items 29 and 30 of the quick list: what calls carry. Python's meaning is kept, and what the platform does is told."""

from __future__ import annotations

from typing import Any

import pytest

from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage

FACTS = Facts()

ECHO = """
class Own:
    pass


class Thing(_Base, platform.DurableObject):
    def echo(self, *args, **kwargs):
        return [list(args), kwargs]

    def take(self, value):
        pass

    def give(self, what):
        return {"tuple": (1, 2), "bytearray": bytearray(b"ab"), "own": Own()}[what]
"""


class Own:
    pass


def told(stage: Stage) -> list[str]:
    """The places of the portability page that the host has named so far, in order."""
    return [log.text.rpartition("#")[2].strip() for log in stage.gateway.of(wire.Log) if "portability.md#" in log.text]


@FACTS.both(
    "11.29 over RPC a tuple and a bytearray arrive as what they are; a class of one's own is a DataCloneError",
    program=ECHO,
)
async def kinds(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    (sent, keywords) = await stub.echo((1, (2, 3)), bytearray(b"ab"))
    assert (sent, keywords) == ([(1, (2, 3)), bytearray(b"ab")], {})
    assert await stub.give("tuple") == (1, 2)
    assert await stub.give("bytearray") == bytearray(b"ab")
    for refused in (lambda: stub.echo(Own()), lambda: stub.echo({"deep": [Own()]}), lambda: stub.give("own")):
        with pytest.raises(TypeError, match="Own") as caught:
            await refused()
        error: Any = caught.value
        assert error.name == "DataCloneError"
        assert isinstance(caught.value, platform.JsException)


@FACTS.both_driven(
    '11.29 the platform refuses tuple and bytearray: told, each line once, under "warn"',
    program=ECHO,
    portability="warn",
)
async def kinds_told(stage: Stage, platform: Any) -> None:
    async def part(thing: Any) -> None:
        stub = thing.env.THINGS.getByName("b")
        for _ in range(2):
            await stub.take((1,))
            await stub.take(bytearray(b"x"))

    await stage.run(part)
    assert told(stage) == ["value-tuple", "value-bytearray"]


@FACTS.both('11.29 and a TypeError under portability = "error"', program=ECHO, portability="error")
async def kinds_refused(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    for value, kind in (((1,), "value-tuple"), (bytearray(b"x"), "value-bytearray")):
        with pytest.raises(TypeError) as caught:
            await stub.echo(value)
        assert getattr(caught.value, "kind", str(caught.value)) == kind


@FACTS.both("11.30 keyword arguments of a call arrive as keyword arguments", program=ECHO)
async def keywords(thing: Any, platform: Any) -> None:
    assert await thing.env.THINGS.getByName("b").echo(1, a=2) == [[1], {"a": 2}]


@FACTS.both_driven('11.30 the platform folds them into one dict: told under "warn"', program=ECHO, portability="warn")
async def keywords_told(stage: Stage, platform: Any) -> None:
    async def part(thing: Any) -> None:
        for _ in range(2):
            await thing.env.THINGS.getByName("b").echo(1, a=2)

    await stage.run(part)
    assert told(stage) == ["rpc-kwargs"]


@FACTS.both('11.30 and a TypeError under portability = "error"', program=ECHO, portability="error")
async def keywords_refused(thing: Any, platform: Any) -> None:
    with pytest.raises(TypeError) as caught:
        await thing.env.THINGS.getByName("b").echo(1, a=2)
    assert getattr(caught.value, "kind", str(caught.value)) == "rpc-kwargs"
