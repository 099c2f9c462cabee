"""What prevents eviction, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable import Response, WebSocketPair
from durable.errors import ActorResetError
from durable.wire import messages as wire
from tests.conformance.resting import accept_hibernatable, live, pass_seconds, rests, until_idle
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()

MINUTE = 60.0
HOUR = 3600.0

BEFORE = "2026-09-30"
"""The last day without the limit of 15 minutes."""
FROM = "2026-10-01"


async def sleeps(thing: Thing) -> None:
    await asyncio.sleep(HOUR)


def in_background(thing: Thing) -> None:
    thing.ctx.wait_until(asyncio.sleep(HOUR))


def in_task(thing: Any) -> None:
    thing.task = asyncio.get_running_loop().create_task(asyncio.sleep(HOUR))


def with_timer(thing: Any) -> None:
    thing.timer = asyncio.get_running_loop().call_later(HOUR, print)


def with_timer_at(thing: Any) -> None:
    loop = asyncio.get_running_loop()
    thing.timer = loop.call_at(loop.time() + HOUR, print)


def accept_in_memory(thing: Thing) -> None:
    _, server = WebSocketPair()
    server.accept()


def soon(callback: Callable[..., object], *args: Any) -> None:
    asyncio.get_running_loop().call_later(0, callback, *args)


PINNING = {"wait_until": in_background, "a task": in_task, "call_later": with_timer, "call_at": with_timer_at}


async def rested(stage: Stage, seconds: float) -> bool:
    await pass_seconds(stage, seconds)
    return live(stage) is None


@FACTS.driven("8.2 a running event keeps the object in memory for as long as it runs", **rests(compatibility_date=FROM))
async def running(stage: Stage) -> None:
    stage.send(sleeps)
    for _ in range(3):
        assert not await rested(stage, 16 * MINUTE)


@FACTS.driven("8.2 an event that waits for another object keeps the object in memory", **rests())
async def waits_for_other(stage: Stage) -> None:
    async def calls(thing: Thing) -> None:
        await thing.env.THINGS.get_by_name("other").play(stage.number(sleeps))

    stage.send(calls)
    await stage.gateway.step_until(lambda: live(stage, "other"))
    assert not await rested(stage, 16 * MINUTE)


@FACTS.driven("8.2 an accept()ed socket keeps the object in memory without a limit", **rests(compatibility_date=FROM))
async def standard_socket(stage: Stage) -> None:
    await stage.run(accept_in_memory)
    for _ in range(3):
        assert not await rested(stage, 16 * MINUTE)


@FACTS.driven("8.2 a hibernatable socket does not keep the object in memory", **rests())
async def hibernatable(stage: Stage) -> None:
    await stage.run(accept_hibernatable)
    assert await rested(stage, 11)


@FACTS.driven(
    "8.2 a pending timer, a task and wait_until keep the object in memory", **rests(compatibility_date=BEFORE)
)
async def pending(stage: Stage) -> None:
    for name, part in PINNING.items():
        await stage.run(part, name=name)
    await pass_seconds(stage, 14)
    assert [name for name in PINNING if live(stage, name) is None] == []


@FACTS.driven("8.2 before 2026-10-01 they do so for as long as they are pending", **rests(compatibility_date=BEFORE))
async def without_limit(stage: Stage) -> None:
    for name, part in PINNING.items():
        await stage.run(part, name=name)
    for _ in range(3):
        await pass_seconds(stage, 16 * MINUTE)
    assert [name for name in PINNING if live(stage, name) is None] == []


@FACTS.driven("8.2 from 2026-10-01 each does so for 15 minutes", **rests(compatibility_date=FROM))
async def with_limit(stage: Stage) -> None:
    for name, part in PINNING.items():
        await stage.run(part, name=name)
    await pass_seconds(stage, 11)
    await pass_seconds(stage, 14 * MINUTE)
    assert [name for name in PINNING if live(stage, name) is None] == []
    await pass_seconds(stage, 61)
    assert [name for name in PINNING if live(stage, name) is not None] == []


@FACTS.driven("8.2 the windows do not add up: two that begin together end together", **rests(compatibility_date=FROM))
async def windows(stage: Stage) -> None:
    def several(thing: Any) -> None:
        with_timer(thing)
        in_background(thing)
        in_background(thing)

    await stage.run(several)
    await pass_seconds(stage, 11)
    assert not await rested(stage, 14 * MINUTE)
    assert await rested(stage, 61)


@FACTS.driven("8.2 a window begins when the timer is set, the next timer has its own", **rests(compatibility_date=FROM))
async def next_timer(stage: Stage) -> None:
    await stage.run(with_timer)
    assert not await rested(stage, 10 * MINUTE)
    await stage.run(with_timer)
    assert not await rested(stage, 14 * MINUTE)
    assert await rested(stage, 2 * MINUTE)


@FACTS.driven("8.2 the code of an object that is evicted with something pending never goes on",
              **rests(compatibility_date=FROM))  # fmt: skip
async def never_goes_on(stage: Stage) -> None:
    gone, said = asyncio.Event(), list[str]()

    async def wait() -> None:
        await gone.wait()
        said.append("went on")

    def begin(thing: Thing) -> None:
        thing.ctx.wait_until(wait())
        asyncio.get_running_loop().call_later(HOUR, said.append, "timer")

    await stage.run(begin)
    await pass_seconds(stage, 11)
    assert await rested(stage, 16 * MINUTE)
    gone.set()
    await stage.run(lambda thing: asyncio.sleep(0))
    assert said == []


@FACTS.driven("8.2 a call that nobody awaits keeps its caller in memory, for 15 minutes from 2026-10-01",
              **rests(compatibility_date=FROM))  # fmt: skip
async def pending_call(stage: Stage) -> None:
    def asks(thing: Any) -> None:
        thing.pending = thing.env.THINGS.get_by_name("other").play(stage.number(sleeps))

    await stage.run(asks)
    assert not await rested(stage, 14 * MINUTE)
    caller = live(stage)
    assert caller is not None
    pins = stage.gateway.host.registry.pins(caller)
    assert [str(pin) for pin in pins] == ['pending call: play of Thing "other", 840 s']
    assert await rested(stage, 61)


@FACTS.driven("8.2 what is pending counts after the client has disconnected", **rests())
async def disconnected(stage: Stage) -> None:
    async def event(thing: Thing) -> None:
        thing.ctx.wait_until(asyncio.sleep(HOUR))
        await asyncio.Event().wait()

    stage.send(event)
    await stage.gateway.step_until(lambda: (actor := live(stage)) is not None and actor.loose_tasks())
    number = stage.gateway._ids
    stage.gateway.send(wire.Cancel(number))
    await stage.gateway.step_until(lambda: (actor := live(stage)) is not None and not actor.running_events)
    assert not await rested(stage, 5 * MINUTE)


class Streams(Thing):
    """Answers with a body that ends when `gone` is set."""

    gone = asyncio.Event()

    async def fetch(self, request: Any) -> Response:
        async def pieces() -> Any:
            yield b"first"
            await self.gone.wait()

        return Response(pieces())


@FACTS.driven("8.2 a response whose body the object still streams keeps it in memory", actor=Streams, **rests())
async def streams(stage: Stage) -> None:
    Streams.gone = asyncio.Event()
    await stage.gateway.fetch(name="a")
    assert not await rested(stage, 5 * MINUTE)
    Streams.gone.set()
    await until_idle(stage)
    assert await rested(stage, 11)


# --- timers are turns ---------------------------------------------------------------------------------------------
@FACTS.driven("8.2 a timer that fired or was cancelled keeps nothing in memory", **rests())
async def over(stage: Stage) -> None:
    def cancelled(thing: Thing) -> None:
        timer = asyncio.get_running_loop().call_later(HOUR, print)
        timer.cancel()
        assert timer.cancelled()

    await stage.run(cancelled)
    await stage.run(lambda thing: soon(lambda: None))
    await until_idle(stage)
    assert await rested(stage, 11)


@FACTS.driven("8.2 a timer's callback is a turn of the object: what it writes is one commit, and its abort a reset")
async def turn(stage: Stage) -> None:
    def callback(thing: Thing) -> None:
        thing.ctx.storage.kv.put("a", 1)
        thing.ctx.storage.kv.put("b", 2)

    await stage.run(lambda thing: soon(callback, thing))
    await until_idle(stage)
    assert await stage.run(lambda thing: thing.ctx.storage.get(["a", "b"])) == {"a": 1, "b": 2}

    def aborts(thing: Thing) -> None:
        thing.ctx.storage.kv.put("a", "never")
        thing.ctx.abort("from a timer")

    waiting = stage.run(lambda thing: asyncio.Event().wait())
    await stage.run(lambda thing: soon(aborts, thing))
    with pytest.raises(ActorResetError, match="from a timer"):
        await waiting
    assert await stage.run(lambda thing: thing.ctx.storage.get("a")) == 1


@FACTS.driven("8.2 a timer that is due waits for the input gate")
async def gate(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing) -> None:
        async def section() -> None:
            for _ in range(5):
                await asyncio.sleep(0.001)
            said.append("section")

        asyncio.get_running_loop().call_later(0, said.append, "timer")
        await thing.ctx.block_concurrency_while(section)

    await stage.run(event)
    await until_idle(stage)
    assert said == ["section", "timer"]


@FACTS.driven("8.2 a timer that a critical section sets runs inside it")
async def inside(stage: Stage) -> None:
    async def event(thing: Thing) -> None:
        async def section() -> None:
            fired = asyncio.Event()
            asyncio.get_running_loop().call_later(0, fired.set)
            await fired.wait()

        await thing.ctx.block_concurrency_while(section)

    await stage.run(event)


@FACTS.driven("8.2 what a timer's callback raises is logged, and the object goes on")
async def raises(stage: Stage) -> None:
    def callback() -> None:
        raise ValueError("in a timer")

    await stage.run(lambda thing: soon(callback))
    await stage.gateway.until(lambda: stage.gateway.of(wire.Log))
    (log,) = stage.gateway.of(wire.Log)
    assert (log.text, log.error.method) == ("ValueError: in a timer", "call_later")
    assert await stage.run(lambda thing: "alive") == "alive"


@FACTS.driven("8.2 a reset ends the timers of the object")
async def reset(stage: Stage) -> None:
    said: list[str] = []

    def event(thing: Thing) -> None:
        asyncio.get_running_loop().call_later(0, said.append, "timer")
        thing.ctx.abort("over")

    with pytest.raises(ActorResetError):
        await stage.run(event)
    await stage.run(lambda thing: asyncio.sleep(0.001))
    assert said == []
