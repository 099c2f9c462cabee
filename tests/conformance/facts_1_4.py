"""`ctx` as a program for the platform uses it."""

from __future__ import annotations

from typing import Any

import pytest

from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage

FACTS = Facts()


def accepted(thing: Any, platform: Any, *tags: str) -> Any:
    _, server = platform.WebSocketPair.new().object_values()
    thing.ctx.acceptWebSocket(server, platform.to_js(list(tags)))
    return server


@FACTS.both("1.4 tags are an array, which to_js makes of a list; a text is none")
def tags(thing: Any, platform: Any) -> None:
    server = accepted(thing, platform, "a", "b")
    assert list(thing.ctx.getTags(server)) == ["a", "b"]
    _, other = platform.WebSocketPair.new().object_values()
    with pytest.raises(TypeError, match="tags are a list of strings"):
        thing.ctx.acceptWebSocket(other, "a")


@FACTS.both('1.4 a plain list of tags is refused under portability = "error"', portability="error")
def plain_tags(thing: Any, platform: Any) -> None:
    _, server = platform.WebSocketPair.new().object_values()
    with pytest.raises(TypeError, match="socket-tags"):
        thing.ctx.acceptWebSocket(server, ["a"])
    assert len(thing.ctx.getWebSockets()) == 0


@FACTS.both("1.4 the sockets have a length, an order and an iterator")
def sockets(thing: Any, platform: Any) -> None:
    one, two = accepted(thing, platform), accepted(thing, platform, "x")
    found = thing.ctx.getWebSockets()
    assert (len(found), found[0], list(found)) == (2, two, [two, one])
    assert list(thing.ctx.getWebSockets("x")) == [two]


@FACTS.cloudflare("1.4 what ctx lists are arrays: they have a length and to_py()")
def arrays(thing: Any, platform: Any) -> None:
    server = accepted(thing, platform, "x", "y")
    assert (thing.ctx.getWebSockets().length, thing.ctx.getTags(server).length) == (1, 2)
    assert type(thing.ctx.getTags(server).to_py()) is list


@FACTS.both("1.4 an auto-response that was not set is jsnull, which is false")
def no_auto_response(thing: Any, platform: Any) -> None:
    assert thing.ctx.getWebSocketAutoResponse() is platform.jsnull
    assert not platform.jsnull


@FACTS.cloudflare_driven("1.4 the time of the last auto-response is a Date")
async def auto_response_time(stage: Stage, platform: Any) -> None:
    await stage.run(lambda thing: accepted(thing, platform) and None)
    number = stage.gateway.of(wire.SocketAccepted)[0].socket
    stage.gateway.send(wire.AutoResponded(number, 1_700_000_000_123))
    date = lambda thing: thing.ctx.getWebSocketAutoResponseTimestamp(thing.ctx.getWebSockets()[0])  # noqa: E731
    assert await stage.run(lambda thing: date(thing).getTime()) == 1_700_000_000_123
    assert await stage.run(lambda thing: date(thing).toISOString()) == "2023-11-14T22:13:20.123Z"


@FACTS.both("1.4 ctx.id is 64 hexadecimal digits as text, has a name, and equals the id of that name")
def own_id(thing: Any, platform: Any) -> None:
    own = thing.ctx.id
    assert own.toString() == str(own)
    assert len(str(own)) == 64
    assert own.name == "a"
    assert own.equals(thing.env.THINGS.idFromName("a"))
    assert not own.equals(thing.env.THINGS.idFromName("b"))


@FACTS.both("1.4 ctx has no container, empty props, and no name that the platform does not have")
def members(thing: Any, platform: Any) -> None:
    assert thing.ctx.container is None
    assert dict(thing.ctx.props) == {}
    with pytest.raises(AttributeError):
        _ = thing.ctx.get_websockets


@FACTS.both("1.4 blockConcurrencyWhile gives what its function returns, and is a decorator")
async def block(thing: Any, platform: Any) -> None:
    async def work() -> dict[str, int]:
        return {"z": 1}

    assert await thing.ctx.blockConcurrencyWhile(work) == {"z": 1}

    @thing.ctx.blockConcurrencyWhile
    async def initialize() -> str:
        return "done"

    assert await initialize == "done"


@FACTS.both_driven("1.4 waitUntil takes a coroutine")
async def wait_until(stage: Stage, platform: Any) -> None:
    done: list[str] = []

    async def later() -> None:
        done.append("later")

    await stage.run(lambda thing: thing.ctx.waitUntil(later()))
    await stage.gateway.step_until(lambda: done)
    assert done == ["later"]


@FACTS.both_driven("1.4 abort ends what runs: `except Exception` does not stop it, and its caller gets the reason")
async def abort(stage: Stage, platform: Any) -> None:
    went_on: list[str] = []

    def part(thing: Any, *reason: str) -> None:
        try:
            thing.ctx.abort(*reason)
        except Exception:
            went_on.append("caught")
        went_on.append("behind")

    with pytest.raises(platform.JsException, match="^enough$") as caught:
        await stage.run(part, "enough")
    assert (caught.value.durableObjectReset, caught.value.remote, caught.value.name) == (True, False, "Error")
    with pytest.raises(platform.JsException, match="^Application called abort"):
        await stage.run(part)
    assert went_on == []
