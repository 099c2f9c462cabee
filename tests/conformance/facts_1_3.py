"""The class of an object: how it is made, which handlers it has, how they are called."""

from __future__ import annotations

from typing import Any

import pytest

from durable.wire import messages as wire
from tests.conformance.resting import pass_seconds, rests
from tests.conformance.stage import Facts, Stage

FACTS = Facts()

LEVELS = """
class Mixin:
    def greet(self, name="you"):
        return f"hello {name} from {type(self).__name__}"

class Middle(_Base, platform.DurableObject):
    def __init__(self, state, environment):
        self.before = (state.id.toString(), environment.COLOUR)
        super().__init__(state, environment)
        self.after = self.ctx is state and self.env.COLOUR == "blue"

class Thing(Mixin, Middle):
    pass
"""


@FACTS.both(
    "1.3 ctx and env are there before super().__init__(), and classes have several levels and mixins", program=LEVELS
)
async def levels(thing: Any, platform: Any) -> None:
    assert thing.before == (str(thing.ctx.id), "blue")
    assert thing.after
    assert await thing.env.THINGS.getByName("b").greet("me") == "hello me from Thing"


HANDLERS = """
class Thing(_Base, platform.DurableObject):
    async def fetch(self):
        return platform.Response("without a request")

    async def alarm(self, info=None):
        self.seen = (info.retryCount, info.isRetry, info.scheduledTime)

    async def webSocketMessage(self, ws):
        self.seen = ws

    def webSocketClose(self, ws, code, reason, wasClean, *more):
        self.seen = (code, reason, wasClean, more)

    def webSocketError(self, ws, error):
        self.seen = (error.message, str(error))
"""


@FACTS.both_driven("1.3 handlers have the platform's names, and surplus arguments may be left out", program=HANDLERS)
async def handlers(stage: Stage, platform: Any) -> None:
    gateway = stage.gateway
    assert (await gateway.fetch("/", name="a")).body == b"without a request"
    number = await accepted(stage, platform)
    gateway.send(wire.SocketMessage(1, number, "hello", None))
    assert await stage.run(lambda thing: thing.seen in thing.ctx.getWebSockets())
    gateway.send(wire.SocketFailed(2, number, "it broke"))
    assert await stage.run(lambda thing: thing.seen) == ("it broke", "it broke")
    number = await accepted(stage, platform)
    gateway.send(wire.SocketClosed(3, number, 1000, "bye", True))
    assert await stage.run(lambda thing: thing.seen) == (1000, "bye", True, ())


@FACTS.both_driven("1.3 the alarm is told its retryCount, isRetry and scheduledTime", program=HANDLERS)
async def alarm(stage: Stage, platform: Any) -> None:
    await stage.run(lambda thing: thing.ctx.storage.setAlarm(1))
    due = await stage.run(lambda thing: thing.ctx.storage.getAlarm())
    await stage.gateway.ask(lambda number: wire.AlarmDue(number, stage.gateway.key(), due, 2))
    assert await stage.run(lambda thing: thing.seen) == (2, True, due)


async def accepted(stage: Stage, platform: Any) -> int:
    def accept(thing: Any) -> None:
        _, server = platform.WebSocketPair.new().object_values()
        thing.ctx.acceptWebSocket(server)

    await stage.run(accept)
    number: int = stage.gateway.of(wire.SocketAccepted)[-1].socket
    return number


STRICT = """
class Thing(_Base, platform.DurableObject):
    async def bare(self):
        return "bare"

    def one(self, value):
        return value
"""


@FACTS.both("1.3 methods called over RPC are strict: a wrong number of arguments is a TypeError", program=STRICT)
async def strict(thing: Any, platform: Any) -> None:
    other = thing.env.THINGS.getByName("b")
    assert await other.bare() == "bare"
    assert await other.one("sync") == "sync"
    with pytest.raises(TypeError, match=r"bare\(\) takes 1 positional argument but 2 were given"):
        await other.bare(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        await other.one()


FAILING = """
FAILURES = ["first", "second"]

class Thing(_Base, platform.DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        if FAILURES:
            raise LookupError(FAILURES.pop(0))
"""


@FACTS.both_driven("1.3 a constructor that fails runs again for a later event", program=FAILING, **rests())
async def constructor(stage: Stage, platform: Any) -> None:
    for failure in ("first", "second"):
        with pytest.raises(LookupError, match=failure) as caught:
            await stage.run(lambda thing: None)
        await pass_seconds(stage, 1.0)
        assert vars(caught.value)["durable_object_reset"] is True
    assert await stage.run(lambda thing: "made") == "made"


ODD = """
class Thing(_Base, platform.DurableObject):
    async def fetch(self, request):
        return {"/none": None, "/text": "text"}[request.url[16:]]
"""


@FACTS.both("1.3 a fetch that returns no Response fails for who asked", program=ODD)
async def no_response(thing: Any, platform: Any) -> None:
    other = thing.env.THINGS.getByName("b")
    for path, kind in (("none", "NoneType"), ("text", "str")):
        with pytest.raises(Exception, match=rf"fetch\(\) must return a Response, got {kind}"):
            await other.fetch(f"http://localhost/{path}")
