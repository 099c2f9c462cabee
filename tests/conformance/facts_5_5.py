"""Properties of errors: who failed, whether it was reset, whether trying again may help."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from durable.errors import ActorResetError, OverloadedError
from durable.wire import messages as wire
from durable.wire.messages import ErrorReport
from tests.conformance.held_disk import HeldDisk, prepared, write
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()

PROPERTIES = ("remote", "durable_object_reset", "overloaded", "retryable")


async def seen(stage: Stage, part: Any, *, through: str = "") -> list[Any]:
    """What object "other" sees of `part` in object "a": the properties that are true, and the id's name.

    `through` is an object in between that passes the error on.
    """

    async def ask(thing: Thing) -> list[Any]:
        things = thing.env.THINGS
        asked = things.get_by_name(through or "a")
        play_there = stage.number(part)
        number = stage.number(lambda between: between.env.THINGS.get_by_name("a").play(play_there))
        try:
            await asked.play(number if through else play_there)
        except Exception as error:
            true = [name for name in PROPERTIES if getattr(error, name)]
            return [true, getattr(error, "durable_object_id", "") == str(asked.id)]
        raise AssertionError("nothing was raised")

    found: list[Any] = await stage.run(ask, name="other")
    return found


def fail(thing: Thing) -> None:
    raise LookupError("user code")


def fail_section(thing: Thing) -> Any:
    return thing.ctx.block_concurrency_while(lambda: fail(thing))


@FACTS.driven("5.5 remote is set, and nothing else, for what the code of the object raised")
async def remote(stage: Stage) -> None:
    assert await seen(stage, fail) == [["remote"], True]


@FACTS.driven("5.5 durable_object_reset is set, and not remote, after abort")
async def aborted(stage: Stage) -> None:
    assert await seen(stage, lambda thing: thing.ctx.abort("over")) == [["durable_object_reset"], True]


@FACTS.driven("5.5 durable_object_reset is set, and not remote, after a failed critical section")
async def section(stage: Stage) -> None:
    assert await seen(stage, fail_section) == [["durable_object_reset"], True]


@FACTS.driven("5.5 durable_object_reset and overloaded are set after a critical section of 30 s")
async def section_too_long(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.critical_section.CRITICAL_SECTION_SECONDS", 0.01)
    hang = lambda thing: thing.ctx.block_concurrency_while(lambda: asyncio.Event().wait())  # noqa: E731
    assert await seen(stage, hang) == [["durable_object_reset", "overloaded"], True]


class Unconstructed(Thing):
    """Cannot be constructed under the name "a"."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        if ctx.id.name == "a":
            raise LookupError("constructor")


@FACTS.driven("5.5 durable_object_reset is set, and not remote, after a failed constructor", actor=Unconstructed)
async def constructor(stage: Stage) -> None:
    assert await seen(stage, lambda thing: None) == [["durable_object_reset"], True]


@FACTS.driven("5.5 durable_object_reset is set, and not remote, after a failed write", disk=HeldDisk())
async def failed_write(stage: Stage) -> None:
    disk = await prepared(stage, "a", "other")
    disk.fails = True
    assert await seen(stage, write) == [["durable_object_reset"], True]
    disk.fails = False


@FACTS.driven("5.5 overloaded is set, and neither retryable nor remote, when too many events wait")
async def overloaded(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.actor.MAILBOX_EVENTS_MAX", 0)
    reply = await stage.send(lambda thing: None)
    assert (reply.error.type, reply.error.flags, reply.status) == ("OverloadedError", ["overloaded"], 503)
    assert reply.error.message == "Durable Object is overloaded. Too many requests queued."
    assert not OverloadedError("").retryable


@FACTS.driven("5.5 an object that passes a reset on was not reset itself: its stub works, and remote is set")
async def passed_on(stage: Stage) -> None:
    assert await seen(stage, lambda thing: thing.ctx.abort("over"), through="between") == [
        ["remote", "durable_object_reset"], True
    ]  # fmt: skip

    async def twice(thing: Thing) -> str:
        between = thing.env.THINGS.get_by_name("between")
        play_abort = stage.number(lambda same: same.ctx.abort("over"))
        ask = stage.number(lambda same: same.env.THINGS.get_by_name("a").play(play_abort))
        with pytest.raises(ActorResetError):
            await between.play(ask)
        answer: str = await between.play(stage.number(lambda same: "alive"))
        return answer

    assert await stage.run(twice, name="other") == "alive"


@FACTS.driven("5.5 properties and the id of the object cross from another host", shards=2)
async def other_host(stage: Stage) -> None:
    gateway = stage.gateway
    ours, theirs = (
        next(name for name in "abcdefgh" if int(gateway.key(name).id[:8], 16) % 2 == shard) for shard in (0, 1)
    )

    async def ask(thing: Thing) -> list[Any]:
        stub = thing.env.THINGS.get_by_name(theirs)
        found: list[Any] = []
        for _ in range(2):
            try:
                await stub.play(0)
            except Exception as error:
                true = [name for name in PROPERTIES if getattr(error, name)]
                found.append([type(error).__name__, str(error), true, vars(error)["durable_object_id"] == str(stub.id)])
        return found

    def has_asked(times: int) -> bool:
        return len(gateway.of(wire.Call)) >= times

    async def answered(report: ErrorReport, *, broken: bool) -> list[Any]:
        asked = len(gateway.of(wire.Call))
        asking = stage.run(ask, name=ours)
        for number in range(1 if broken else 2):
            wanted = asked + number + 1
            await gateway.until(partial(has_asked, wanted))
            gateway.send(wire.Failed(gateway.of(wire.Call)[-1].id, 0, report, broken=broken))
        found: list[Any] = await asking
        return found

    reset = ErrorReport("ActorResetError", "over", "durable.errors", "ActorResetError", flags=["durable_object_reset"])
    assert await answered(reset, broken=True) == [["ActorResetError", "over", ["durable_object_reset"], True]] * 2
    overload = ErrorReport("OverloadedError", "busy", "durable.errors", "OverloadedError", flags=["overloaded"])
    assert await answered(overload, broken=False) == [["OverloadedError", "busy", ["overloaded"], True]] * 2


@FACTS.driven("5.5 what is overloaded or retryable is 503 to the client, everything else 500")
async def statuses(stage: Stage) -> None:
    assert (await stage.send(fail)).status == 500
    assert (await stage.send(fail_section)).status == 500
    stage.monkeypatch.setattr("durable.actor.critical_section.CRITICAL_SECTION_SECONDS", 0.01)
    hang = lambda thing: thing.ctx.block_concurrency_while(lambda: asyncio.Event().wait())  # noqa: E731
    assert (await stage.send(hang)).status == 503
