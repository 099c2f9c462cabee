"""Construction: when, under which lock, and what a failure does."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from durable.clock import ManualClock
from durable.errors import ActorResetError
from durable.wire import messages as wire
from tests.conformance.resting import accept_hibernatable, live, pass_seconds, rests, socket_of
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


class Constructed(Thing):
    """Counts its constructors, and has every handler."""

    said: ClassVar[list[str]] = []

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        Constructed.said.append("constructed")

    def fetch(self, request: Any) -> Any:
        Constructed.said.append("fetch")
        raise ValueError("no response")

    async def alarm(self, info: Any) -> None:
        Constructed.said.append("alarm")

    def web_socket_message(self, ws: Any, message: Any) -> None:
        Constructed.said.append("message")


@FACTS.driven("8.3 get of a stub constructs nothing, and the first call does", actor=Constructed)
async def lazy(stage: Stage) -> None:
    Constructed.said.clear()

    async def other(thing: Thing) -> int:
        stub = thing.env.THINGS.get_by_name("a")
        await asyncio.sleep(0)
        before = len(Constructed.said)
        await stub.play(stage.number(lambda same: None))
        return before

    assert await stage.run(other, name="other") == 1
    assert Constructed.said == ["constructed", "constructed"]


@FACTS.driven("8.3 an event of any kind constructs the object, and is delivered to it", actor=Constructed, **rests())
async def any_kind(stage: Stage) -> None:
    gateway = stage.gateway
    await stage.run(accept_hibernatable)
    await stage.run(lambda thing: thing.ctx.storage.set_alarm(1))
    socket = socket_of(stage)
    for event in ("fetch", "alarm", "message"):
        await pass_seconds(stage, 11)
        assert live(stage) is None
        Constructed.said.clear()
        if event == "fetch":
            await gateway.fetch(name="a")
        elif event == "alarm":
            await gateway.ask(lambda number: wire.AlarmDue(number, gateway.key(), 1, 0))
        else:
            gateway.send(wire.SocketMessage(1, socket, "hello", None))
            await gateway.until(lambda: gateway.of(wire.Done))
        assert Constructed.said == ["constructed", event]


class Prepares(Thing):
    """Its constructor goes on in a critical section."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.said: list[str] = ["constructor"]
        ctx.block_concurrency_while(self.prepare)

    async def prepare(self) -> None:
        await self.ctx.storage.put("prepared", True)
        await asyncio.sleep(0.001)
        self.said.append("prepared")


@FACTS.driven("8.3 events wait until the constructor and its block_concurrency_while are over, and keep their order",
              actor=Prepares)  # fmt: skip
async def delivered_after(stage: Stage) -> None:
    def first(thing: Any) -> list[str]:
        thing.said.append("first")
        return list(thing.said)

    events = [stage.run(first), stage.run(lambda thing: [*thing.said, "second"])]
    assert [await event for event in events] == [
        ["constructor", "prepared", "first"],
        ["constructor", "prepared", "first", "second"],
    ]


class Fails(Thing):
    """Cannot be constructed as long as `failures` is not used up."""

    failures = 0
    constructed = 0
    later = False

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        Fails.constructed += 1
        ctx.storage.kv.put("from the constructor", Fails.constructed)
        if Fails.later:
            ctx.block_concurrency_while(self.fail)
        elif Fails.failures:
            self.fail_now()

    async def fail(self) -> None:
        await asyncio.sleep(0)
        if Fails.failures:
            self.fail_now()

    def fail_now(self) -> None:
        Fails.failures -= 1
        raise LookupError(f"ctor fail {Fails.constructed}")


def fails(times: int, *, later: bool = False) -> None:
    Fails.failures, Fails.constructed, Fails.later = times, 0, later


async def failing(stage: Stage) -> BaseException:
    with pytest.raises(LookupError) as raised:
        await stage.run(lambda thing: "never")
    return raised.value


@FACTS.driven("8.3 a constructor that raises fails its event with that error and durable_object_reset", actor=Fails)
async def raises(stage: Stage) -> None:
    fails(1)
    error: Any = await failing(stage)
    assert (type(error), str(error)) == (LookupError, "ctor fail 1")
    assert (error.durable_object_reset, error.remote) == (True, False)


@FACTS.driven("8.3 the instance is discarded with what it wrote, and a later event constructs again", actor=Fails,
              **rests())  # fmt: skip
async def again(stage: Stage) -> None:
    fails(2)
    assert str(await failing(stage)) == "ctor fail 1"
    await pass_seconds(stage, 0.1)
    assert str(await failing(stage)) == "ctor fail 2"
    await pass_seconds(stage, 0.2)
    assert await stage.run(lambda thing: thing.ctx.storage.get("from the constructor")) == 3


@FACTS.driven("8.3 a block_concurrency_while of the constructor that raises does the same", actor=Fails, **rests())
async def later(stage: Stage) -> None:
    fails(1, later=True)
    events = [stage.run(lambda thing: "never") for _ in range(2)]
    for event in events:
        with pytest.raises(LookupError, match="ctor fail 1"):
            await event
    await pass_seconds(stage, 0.1)
    assert await stage.run(lambda thing: "alive") == "alive"
    assert Fails.constructed == 2


@FACTS.driven("8.3 an object whose construction failed rests for 0.1 s, doubling to 5 s; its events get the same error",
               actor=Fails, **rests())  # fmt: skip
async def pauses(stage: Stage) -> None:
    fails(100)
    for number, seconds in enumerate((0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0), 1):
        same = [await failing(stage) for _ in range(3)]
        await pass_seconds(stage, seconds * 0.9)
        same.append(await failing(stage))
        assert [str(error) for error in same] == [f"ctor fail {number}"] * 4
        assert Fails.constructed == number
        await pass_seconds(stage, seconds * 0.1 + 0.001)


@FACTS.driven("8.3 a success, and a while without events, begin with the first pause again", actor=Fails, **rests())
async def forgiven(stage: Stage) -> None:
    fails(2)
    await failing(stage)
    await pass_seconds(stage, 0.1)
    await failing(stage)
    await pass_seconds(stage, 0.2)
    assert await stage.run(lambda thing: "alive") == "alive"
    with pytest.raises(ActorResetError):
        await stage.run(lambda thing: thing.ctx.abort("over"))
    assert await stage.run(lambda thing: "alive") == "alive"
    with pytest.raises(ActorResetError):
        await stage.run(lambda thing: thing.ctx.abort("over"))
    fails(2)
    await failing(stage)
    clock = stage.gateway.host.clock
    assert isinstance(clock, ManualClock)
    clock.advance(100)
    await failing(stage)
    await pass_seconds(stage, 0.1)
    assert await stage.run(lambda thing: "alive") == "alive"


@FACTS.driven("8.3 an object that cannot be constructed does not hold up others", actor=Fails)
async def others(stage: Stage) -> None:
    fails(1)
    await failing(stage)
    assert await stage.run(lambda thing: "alive", name="other") == "alive"


class NoAlarm(Thing):
    """A class without an alarm handler, which sets an alarm in its constructor."""

    alarm = None  # type: ignore[assignment]

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        ctx.storage.set_alarm(4_000_000_000_000)


@FACTS.driven("8.3 set_alarm in the constructor does not look for a handler", actor=NoAlarm)
async def alarm(stage: Stage) -> None:
    assert await stage.run(lambda thing: thing.ctx.storage.get_alarm()) == 4_000_000_000_000


@FACTS.driven("8.3 a cold start and a wake look alike, but for get_web_sockets", actor=Prepares, **rests())
async def alike(stage: Stage) -> None:
    def seen(thing: Any) -> tuple[list[str], int]:
        return list(thing.said), len(thing.ctx.get_web_sockets())

    cold = await stage.run(seen)
    await stage.run(accept_hibernatable)
    await pass_seconds(stage, 11)
    assert live(stage) is None
    woken = await stage.run(seen)
    assert (cold, woken) == ((["constructor", "prepared"], 0), (["constructor", "prepared"], 1))
