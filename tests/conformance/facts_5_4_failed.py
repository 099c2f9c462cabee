"""The output gate when a flush or a commit fails: nothing held is sent, callers are told, the object is reset."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from durable import WebSocketPair
from durable.errors import ActorResetError
from durable.sdk.runtime import fetch
from durable.wire import messages as wire
from tests.conformance.held_disk import FAILED, HeldDisk, fresh, outside, prepared, quiet, write
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


async def failed_flush(stage: Stage, part: Any) -> list[Any]:
    """Everything that is told of an event whose write the disk refused: its replies, then what the gateway may drop."""
    disk = await prepared(stage)
    with disk.held():
        reply = await stage.send(part)
        disk.fails = True
    await stage.gateway.until(lambda: stage.gateway.of(wire.EpochFailed))
    disk.fails = False
    return [reply, *stage.gateway.of(wire.EpochFailed)]


@FACTS.driven(
    "5.4 a failed flush names the objects whose outputs the gateway drops, before the epoch is over", disk=HeldDisk()
)
async def dropped(stage: Stage) -> None:
    reply, failed = await failed_flush(stage, write)
    assert failed == wire.EpochFailed(reply.epoch, [stage.gateway.key()])
    order = stage.gateway.of(wire.EpochFailed, wire.EpochDurable)
    assert order.index(failed) < order.index(wire.EpochDurable(reply.epoch))


@FACTS.driven("5.4 a failed flush resets the object to its last durable commit", disk=HeldDisk())
async def last_commit(stage: Stage) -> None:
    disk = await prepared(stage)
    await stage.run(write, "first")
    identity = await stage.run(id)
    with disk.held():
        waiting = stage.run(lambda thing: asyncio.Event().wait())
        await stage.send(write, "second")
        disk.fails = True
    with pytest.raises(ActorResetError, match=FAILED) as raised:
        await waiting
    assert raised.value.durable_object_reset is True
    disk.fails = False
    assert await stage.run(id) != identity
    assert await stage.run(lambda thing: thing.ctx.storage.get("there")) is True


def caught(stage: Stage, part: Any) -> Any:
    """A call of object "other" to `part` in object "a", answered with what it sees."""

    async def ask(thing: Thing) -> list[Any]:
        try:
            await thing.env.THINGS.get_by_name("a").play(stage.number(part))
        except ActorResetError as error:
            return [re.search(FAILED, str(error)) is not None, error.durable_object_reset]
        return ["answered"]

    return stage.run(ask, name="other")


def write_and_fail(thing: Thing) -> None:
    write(thing, fresh())
    raise LookupError("its own error")


@FACTS.driven(
    "5.4 a failed flush: callers get the storage error, also instead of the error of the event", disk=HeldDisk()
)
async def callers(stage: Stage) -> None:
    for part in (write, write_and_fail):
        disk = await prepared(stage, "a", "other")
        with disk.held():
            asking = caught(stage, part)
            await quiet(stage)
            disk.fails = True
        assert await asking == [True, True]
        disk.fails = False


@FACTS.driven("5.4 a failed flush: what was committed on top of it is answered too, at once", disk=HeldDisk())
async def on_top(stage: Stage) -> None:
    disk = await prepared(stage, "a", "other")
    with disk.held():
        first = caught(stage, write)
        await quiet(stage)
        second = caught(stage, write)
        await quiet(stage)
        disk.fails = True
    assert [await first, await second] == [[True, True]] * 2
    disk.fails = False


@FACTS.driven("5.4 a failed flush: no call and no request leaves", disk=HeldDisk())
async def no_call(stage: Stage) -> None:
    disk = await prepared(stage, "a", "other")
    heard: list[str] = []

    async def ask(thing: Thing, url: str) -> None:
        write(thing)
        call = thing.env.THINGS.get_by_name("other").play(stage.number(lambda other: heard.append("asked")))
        await asyncio.gather(call, fetch(url))

    async with outside() as server:
        with disk.held():
            asking = stage.run(ask, server.url)
            await quiet(stage)
            disk.fails = True
        with pytest.raises(ActorResetError, match=FAILED):
            await asking
        disk.fails = False
        await quiet(stage)
        assert (heard, server.requests) == ([], 0)


@FACTS.driven("5.4 a failed commit: the reset replaces the reply, and nothing that was said leaves", disk=HeldDisk())
async def failed_commit(stage: Stage) -> None:
    await prepared(stage)

    def violate(thing: Thing) -> str:
        sql = thing.ctx.storage.sql
        sql.exec("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
        sql.exec("CREATE TABLE child(id INTEGER REFERENCES parent(id))")
        sql.exec("PRAGMA defer_foreign_keys = on")
        sql.exec("INSERT INTO child VALUES(7)")
        _, server = WebSocketPair()
        thing.ctx.accept_web_socket(server)
        return "never seen"

    with pytest.raises(ActorResetError, match="constraints violated: FOREIGN KEY constraint failed"):
        await stage.run(violate)
    assert stage.gateway.of(wire.SocketAccepted) == []
    assert await stage.run(lambda thing: thing.ctx.storage.sql.exec("SELECT 1 FROM sqlite_master").to_array()) != []


TOO_LONG = "Durable Object storage operation exceeded timeout which caused object to be reset."


@FACTS.driven("5.4 a commit that the disk does not confirm within 30 s resets every object that waits", disk=HeldDisk())
async def too_long(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.storage.epoch.COMMIT_SECONDS_MAX", 0.2)
    disk = await prepared(stage, "a", "b", "other")

    async def ask(thing: Thing, name: str) -> Any:
        try:
            return await thing.env.THINGS.get_by_name(name).play(stage.number(write))
        except ActorResetError as error:
            return [TOO_LONG in str(error), error.durable_object_reset]

    with disk.held():
        waiting = stage.run(lambda thing: asyncio.Event().wait())
        asking = [stage.run(ask, name, name="other") for name in "ab"]
        assert await asyncio.gather(*asking) == [[True, True]] * 2
        with pytest.raises(ActorResetError, match=re.escape(TOO_LONG)):
            await waiting
    assert await stage.run(write, 2) is None
    assert await stage.run(lambda thing: thing.ctx.storage.get("written")) == 2
