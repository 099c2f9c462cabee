"""The output gate and `allow_unconfirmed`, and `sync`, which waits for everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable.errors import ActorResetError, StorageError
from durable.sdk.runtime import fetch
from durable.wire import messages as wire
from tests.conformance.held_disk import FAILED, HeldDisk, fresh, is_held, outside, prepared, quiet
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


def loosely(thing: Thing) -> None:
    """Every operation that takes the option, with it."""
    storage: Any = thing.ctx.storage
    storage.put("k", fresh(), allow_unconfirmed=True)
    storage.put({"l": 1, "m": 2}, {"allowUnconfirmed": True})
    storage.delete("l", allow_unconfirmed=True)
    storage.delete(["m", "n"], {"allow_unconfirmed": True})
    storage.set_alarm(4_000_000_000_000, allow_unconfirmed=True)
    storage.delete_alarm(allow_unconfirmed=True)


@FACTS.driven("5.4 delete_all takes allow_unconfirmed too", disk=HeldDisk())
async def unconfirmed_delete_all(stage: Stage) -> None:
    disk = await prepared(stage)
    with disk.held():
        reply = await stage.send(lambda thing: thing.ctx.storage.delete_all(allow_unconfirmed=True))
        assert not is_held(stage, reply)


@FACTS.driven("5.4 a write with allow_unconfirmed does not hold the gate", disk=HeldDisk())
async def unconfirmed(stage: Stage) -> None:
    disk = await prepared(stage)
    before = disk.file_syncs
    with disk.held():
        assert not is_held(stage, await stage.send(loosely))
        assert not is_held(stage, await stage.send(lambda thing: thing.ctx.storage.get("k")))
    assert isinstance(await stage.run(lambda thing: thing.ctx.storage.get("k")), int)
    await stage.run(lambda thing: thing.ctx.storage.sync())
    assert disk.file_syncs > before


@FACTS.driven("5.4 a request to the outside does not wait for a write with allow_unconfirmed", disk=HeldDisk())
async def unconfirmed_request(stage: Stage) -> None:
    disk = await prepared(stage)

    async def ask(thing: Thing, url: str) -> int:
        loosely(thing)
        return (await fetch(url)).status

    async with outside() as server:
        with disk.held():
            assert not is_held(stage, await stage.send(ask, server.url))
            assert server.requests == 1


def confirmed_by(name: str, other: Callable[[Thing], Any]) -> None:
    @FACTS.driven(f"5.4 mixed with {name} a write with allow_unconfirmed is confirmed like any other", disk=HeldDisk())
    async def _(stage: Stage) -> None:
        disk = await prepared(stage)
        await stage.run(lambda thing: thing.ctx.storage.sql.exec("CREATE TABLE t(n)").to_array())

        def first(thing: Thing) -> None:
            loosely(thing)
            other(thing)

        def last(thing: Thing) -> None:
            other(thing)
            loosely(thing)

        def between(thing: Thing) -> None:
            loosely(thing)
            other(thing)
            loosely(thing)

        for part in (first, last, between):
            with disk.held():
                assert is_held(stage, await stage.send(part))
            await stage.run(lambda thing: thing.ctx.storage.sync())


confirmed_by("a put", lambda thing: thing.ctx.storage.put("confirmed", fresh()))
confirmed_by(
    "a put that says allow_unconfirmed=False",
    lambda thing: thing.ctx.storage.put("c", fresh(), allow_unconfirmed=False),
)
confirmed_by("storage.kv", lambda thing: thing.ctx.storage.kv.put("confirmed", fresh()))
confirmed_by("SQL", lambda thing: thing.ctx.storage.sql.exec("INSERT INTO t VALUES(1)"))
confirmed_by("a change of the schema", lambda thing: thing.ctx.storage.sql.exec(f"CREATE TABLE t{fresh()}(n)"))
confirmed_by("an alarm", lambda thing: thing.ctx.storage.set_alarm(4_000_000_000_000 + fresh()))


@FACTS.driven("5.4 direct SQL alone is always confirmed", disk=HeldDisk())
async def sql_confirmed(stage: Stage) -> None:
    disk = await prepared(stage)
    with disk.held():
        assert is_held(
            stage, await stage.send(lambda thing: thing.ctx.storage.sql.exec("CREATE TABLE t(n)").to_array())
        )


@FACTS.driven("5.4 a failed flush of a write with allow_unconfirmed resets the object all the same", disk=HeldDisk())
async def unconfirmed_failure(stage: Stage) -> None:
    disk = await prepared(stage)
    with disk.held():
        waiting = stage.run(lambda thing: asyncio.Event().wait())
        assert not is_held(stage, await stage.send(loosely))
        disk.fails = True
    with pytest.raises(ActorResetError, match=FAILED):
        await waiting
    disk.fails = False
    assert stage.gateway.of(wire.EpochFailed)[0].actors == [stage.gateway.key()]


@FACTS.driven("5.4 sync waits for every write before it, unconfirmed ones too, and for none after it", disk=HeldDisk())
async def sync(stage: Stage) -> None:
    disk = await prepared(stage)
    said: list[str] = []

    async def syncing(thing: Thing) -> None:
        loosely(thing)
        await thing.ctx.storage.sync()
        said.append("synced")

    with disk.held():
        running = stage.send(syncing)
        await quiet(stage)
        assert said == []
    await running
    assert said == ["synced"]


@FACTS.driven("5.4 sync that fails: the code behind it never runs, its caller gets the storage error", disk=HeldDisk())
async def sync_fails(stage: Stage) -> None:
    disk = await prepared(stage)
    said: list[str] = []

    async def syncing(thing: Thing) -> None:
        loosely(thing)
        try:
            await thing.ctx.storage.sync()
        except StorageError:
            said.append("except")
        said.append("synced")

    with disk.held():
        running = stage.run(syncing)
        await quiet(stage)
        disk.fails = True
    with pytest.raises(ActorResetError, match=FAILED):
        await running
    disk.fails = False
    assert said == []
