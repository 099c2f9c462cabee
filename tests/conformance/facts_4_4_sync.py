"""Transactions: `storage.transaction_sync`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable import StorageError
from tests.conformance.stage import Facts, Thing

FACTS = Facts()


@FACTS.inside("4.4 transaction_sync returns the callback's value and keeps what it wrote")
def sync_value(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    assert storage.transaction_sync(lambda: storage.kv.put("k", 1) or "value") == "value"
    assert storage.kv.get("k") == 1


@FACTS.inside("4.4 transaction_sync rolls back when the callback raises, tables and alarm included, and re-raises")
async def sync_rollback(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    error = ValueError("mine")

    def work() -> None:
        storage.sql.exec("CREATE TABLE t (a)")
        storage.kv.put("k", 1)
        _ = storage.set_alarm(4_000_000_000_000)
        raise error

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        storage.transaction_sync(work)
    assert caught.value is error
    assert storage.kv.get("k") is None
    assert await storage.get_alarm() is None
    assert storage.sql.exec("SELECT name FROM sqlite_schema WHERE name = 't'").to_array() == []


@FACTS.inside("4.4 transaction_sync nests, also within transaction")
async def sync_nested(thing: Thing) -> None:
    storage: Any = thing.ctx.storage

    def failing() -> None:
        storage.kv.put("inner", 1)
        raise ValueError

    def work() -> None:
        storage.kv.put("outer", 1)
        with pytest.raises(ValueError):  # noqa: PT011
            storage.transaction_sync(failing)

    storage.transaction_sync(work)
    await storage.transaction(lambda txn: storage.transaction_sync(lambda: storage.kv.put("third", 1)))
    assert dict(storage.kv.list()) == {"outer": 1, "third": 1}


@FACTS.inside("4.4 transaction_sync of an async callback ends at its first await; a later failure undoes nothing")
async def sync_async(thing: Thing) -> None:
    storage: Any = thing.ctx.storage

    async def work() -> None:
        storage.kv.put("p", 1)
        await asyncio.sleep(0)
        storage.kv.put("q", 2)
        raise ValueError("late")

    pending = storage.transaction_sync(work)
    assert dict(storage.kv.list()) == {"p": 1}
    with pytest.raises(ValueError, match="late"):
        await pending
    assert dict(storage.kv.list()) == {"p": 1, "q": 2}


@FACTS.inside(
    "4.4 transaction_sync of an async callback that never waits is all inside (here; the platform's await does)"
)
async def sync_async_done(thing: Thing) -> None:
    storage: Any = thing.ctx.storage

    async def work(fails: bool) -> str:
        await storage.put("k", 1)
        if fails:
            raise ValueError
        return "value"

    with pytest.raises(ValueError):  # noqa: PT011
        storage.transaction_sync(lambda: work(True))
    assert await storage.get("k") is None
    assert await storage.transaction_sync(lambda: work(False)) == "value"
    assert await storage.get("k") == 1


@FACTS.inside("4.4 transaction_sync without SQLite throws", sqlite=False)
def sync_no_sqlite(thing: Thing) -> None:
    with pytest.raises(StorageError) as caught:
        thing.ctx.storage.transaction_sync(lambda: None)
    assert str(caught.value) == "Durable Object is not backed by SQL."


@FACTS.inside("4.4 transaction works without SQLite", sqlite=False)
async def no_sqlite(thing: Thing) -> None:
    await thing.ctx.storage.transaction(lambda txn: txn.put("k", 1))
    assert await thing.ctx.storage.get("k") == 1
