"""Critical storage errors: code may catch them, but its reply is replaced and its turn ends with a reset."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from durable.actor.actor import Actor
from durable.errors import ActorResetError, StorageError
from tests.conformance.stage import Stage, Thing, program


@pytest.fixture
async def stage(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Stage:
    await gateway.start(program(Thing))
    stage = Stage(gateway, monkeypatch)
    await stage.run(lambda thing: thing.ctx.storage.put("confirmed", "x" * 10_000))
    return stage


def fill_up(thing: Thing) -> None:
    """Write until the file may not grow any more, on SQLite's own account."""
    database = actor_of(thing).store.database
    database.run(f"PRAGMA max_page_count = {database.run('PRAGMA page_count').get + 5}")
    for number in range(100):
        thing.ctx.storage.kv.put(f"lost {number}", "x" * 3000)


def actor_of(thing: Thing) -> Any:
    state: Any = thing.ctx
    return state._actor


@contextlib.contextmanager
def unreadable(thing: Thing) -> Iterator[None]:
    """The object's file and log cannot be read: their descriptors lead nowhere, and SQLite has nothing in memory."""
    database = actor_of(thing).store.database
    database.run("PRAGMA shrink_memory")
    opened = [
        int(number)
        for number in os.listdir("/proc/self/fd")
        if number.isdigit() and str(os.path.realpath(f"/proc/self/fd/{number}")).startswith(str(database.path))
    ]
    kept = {number: os.dup(number) for number in opened}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in opened:
        os.dup2(nowhere, number)
    try:
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


async def test_a_full_disk_that_was_caught_replaces_the_reply_and_resets(stage: Stage) -> None:
    said: list[str] = []

    async def event(thing: Thing) -> str:
        try:
            fill_up(thing)
        except StorageError as error:
            said.append(str(error))
        with pytest.raises(StorageError, match="SQLITE_FULL"):
            thing.ctx.storage.kv.get("confirmed")
        return "as if nothing had happened"

    waiting = stage.run(lambda thing: asyncio.Event().wait())
    for failed in (stage.run(event), waiting):
        with pytest.raises(ActorResetError, match="SQLITE_FULL") as raised:
            await failed
        assert raised.value.durable_object_reset is True
    assert "SQLITE_FULL" in said[0]
    assert set(await stage.run(lambda thing: thing.ctx.storage.list())) == {"confirmed"}


async def test_a_read_that_failed_and_was_caught_resets_as_well(stage: Stage) -> None:
    first = await stage.run(id)

    def event(thing: Thing) -> str:
        with unreadable(thing), pytest.raises(StorageError, match="SQLITE_IOERR"):
            thing.ctx.storage.kv.get("confirmed")
        return "as if nothing had happened"

    with pytest.raises(ActorResetError, match="SQLITE_IOERR"):
        await stage.run(event)
    assert await stage.run(id) != first
    assert set(await stage.run(lambda thing: thing.ctx.storage.list())) == {"confirmed"}


async def test_the_reset_comes_with_the_end_of_the_turn_and_not_of_the_event(stage: Stage) -> None:
    went_on: list[str] = []

    async def event(thing: Thing) -> None:
        with contextlib.suppress(StorageError):
            fill_up(thing)
        await asyncio.sleep(0)
        went_on.append("after the turn")

    with pytest.raises(ActorResetError, match="SQLITE_FULL"):
        await stage.run(event)
    assert went_on == []


async def test_an_explicit_transaction_does_not_put_the_reset_off(stage: Stage) -> None:
    went_on: list[str] = []

    async def event(thing: Thing) -> None:
        async def work(txn: Any) -> None:
            with contextlib.suppress(StorageError):
                fill_up(thing)
            await asyncio.sleep(0)
            went_on.append("after the turn")

        await thing.ctx.storage.transaction(work)

    with pytest.raises(ActorResetError, match="SQLITE_FULL"):
        await stage.run(event)
    assert went_on == []
    assert set(await stage.run(lambda thing: thing.ctx.storage.list())) == {"confirmed"}


async def test_an_actor_that_is_not_told_of_a_failed_read_would_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Actor, "storage_failed", lambda actor: None)
    await stage.gateway.stop()
    await stage.gateway.start(program(Thing))

    def event(thing: Thing) -> str:
        thing.ctx.storage.kv.get("confirmed")
        with unreadable(thing), pytest.raises(StorageError, match="SQLITE_IOERR"):
            thing.ctx.storage.kv.get("confirmed")
        return "as if nothing had happened"

    stage.gateway.durable = 0
    assert await stage.run(event) == "as if nothing had happened"
