"""Transactions: the implicit one, `storage.transaction` and its `txn`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable import StorageError
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


def _get(key: str) -> Any:
    return lambda thing: thing.ctx.storage.get(key)


# --- the implicit transaction -----------------------------------------------------------------------------------------
@FACTS.driven("4.4 writes without a real await between them are one transaction, awaited puts included")
async def implicit(stage: Stage) -> None:
    async def part(thing: Thing) -> None:
        await thing.ctx.storage.put("a", 1)
        thing.ctx.storage.sql.exec("CREATE TABLE t (a)")
        await thing.ctx.storage.put("b", 2)
        thing.ctx.abort("gone")

    with pytest.raises(Exception, match="gone"):
        await stage.run(part)
    assert await stage.run(_get("a")) is None


@FACTS.driven("4.4 a real await commits what was written before it")
async def committed_at_await(stage: Stage) -> None:
    async def part(thing: Thing) -> None:
        await thing.ctx.storage.put("a", 1)
        await asyncio.sleep(0)
        await thing.ctx.storage.put("b", 2)
        thing.ctx.abort("gone")

    with pytest.raises(Exception, match="gone"):
        await stage.run(part)
    assert [await stage.run(_get("a")), await stage.run(_get("b"))] == [1, None]


# --- transaction(cb) --------------------------------------------------------------------------------------------------
@FACTS.inside("4.4 transaction passes the callback's value through, sync or async")
async def value(thing: Thing) -> None:
    async def slowly(txn: Any) -> int:
        await asyncio.sleep(0)
        return 7

    assert await thing.ctx.storage.transaction(slowly) == 7
    assert await thing.ctx.storage.transaction(lambda txn: 8) == 8


@FACTS.driven("4.4 transaction waits for the implicit transaction to commit first")
async def implicit_first(stage: Stage) -> None:
    async def part(thing: Thing) -> None:
        await thing.ctx.storage.put("before", 1)

        async def work(txn: Any) -> None:
            await txn.put("inside", 2)
            thing.ctx.abort("gone")

        await thing.ctx.storage.transaction(work)

    with pytest.raises(Exception, match="gone"):
        await stage.run(part)
    assert [await stage.run(_get("before")), await stage.run(_get("inside"))] == [1, None]


@FACTS.driven("4.4 other events wait until a transaction is over, even those that only read")
async def others_wait(stage: Stage) -> None:
    seen: list[str] = []

    async def change(thing: Thing) -> None:
        async def work(txn: Any) -> None:
            seen.append("begun")
            await txn.put("k", 1)
            await asyncio.sleep(0.01)
            seen.append("done")

        await thing.ctx.storage.transaction(work)

    async def read(thing: Thing) -> Any:
        found = await thing.ctx.storage.get("k")
        seen.append(f"read {found}")
        return found

    await asyncio.gather(stage.run(change), stage.run(read))
    assert seen == ["begun", "done", "read 1"]


@FACTS.inside("4.4 everything is inside, whether it is called on txn or on the storage")
async def everything(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    storage.sql.exec("CREATE TABLE t (a)")

    async def work(txn: Any) -> None:
        await txn.put("a", 1)
        await storage.put("b", 2)
        storage.kv.put("c", 3)
        storage.sql.exec("INSERT INTO t VALUES (1)")
        storage.sql.exec("CREATE TABLE u (a)")
        await storage.set_alarm(4_000_000_000_000)
        await asyncio.sleep(0)
        assert await storage.list() == {"a": 1, "b": 2, "c": 3}
        raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        await storage.transaction(work)
    assert await storage.list() == {}
    assert storage.sql.exec("SELECT count(*) AS n FROM t").one() == {"n": 0}
    assert storage.sql.exec("SELECT name FROM sqlite_schema WHERE name = 'u'").to_array() == []
    assert await storage.get_alarm() is None


@FACTS.driven("4.4 an exception rolls back and goes to the caller of transaction; the object lives on")
async def exception(stage: Stage) -> None:
    async def part(thing: Any) -> None:
        thing.memory = "kept"

        async def work(txn: Any) -> None:
            await txn.put("k", 1)
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await thing.ctx.storage.transaction(work)

    await stage.run(part)
    assert await stage.run(_get("k")) is None
    assert await stage.run(lambda thing: thing.memory) == "kept"


@FACTS.inside("4.4 an alarm that was set in a transaction that failed is not set")
async def alarm(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.set_alarm(4_000_000_000_000)

    async def work(txn: Any) -> None:
        await txn.delete_alarm()
        assert await txn.get_alarm() is None
        await txn.set_alarm(5_000_000_000_000)
        assert await txn.get_alarm() == 5_000_000_000_000
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        await storage.transaction(work)
    assert await storage.get_alarm() == 4_000_000_000_000


@FACTS.inside("4.4 rolling back the transaction that made the tables leaves keys and alarm usable")
async def tables(thing: Thing) -> None:
    storage: Any = thing.ctx.storage

    async def work(txn: Any) -> None:
        await txn.put("k", 1)
        await txn.set_alarm(4_000_000_000_000)
        txn.rollback()

    for _ in range(2):
        await storage.transaction(work)
        assert (await storage.get("k"), await storage.get_alarm()) == (None, None)
    await storage.put("k", 2)
    await storage.set_alarm(4_000_000_000_000)
    assert (await storage.get("k"), await storage.get_alarm()) == (2, 4_000_000_000_000)


@FACTS.inside("4.4 transactions nest: an inner failure keeps what the outer wrote")
async def nested_failure(thing: Thing) -> None:
    storage: Any = thing.ctx.storage

    async def inner(txn: Any) -> None:
        await txn.put("inner", 1)
        raise ValueError

    async def outer(txn: Any) -> None:
        await txn.put("outer", 1)
        with pytest.raises(ValueError):  # noqa: PT011
            await storage.transaction(inner)
        await txn.put("after", 1)

    await storage.transaction(outer)
    assert await storage.list() == {"after": 1, "outer": 1}


@FACTS.inside("4.4 transactions nest: an outer failure undoes what the inner kept")
async def outer_failure(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put("k", "before")

    async def outer(txn: Any) -> None:
        await storage.transaction(lambda txn: txn.put("k", "inner"))
        assert await storage.get("k") == "inner"
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        await storage.transaction(outer)
    assert await storage.get("k") == "before"


@FACTS.inside("4.4 a nested transaction that nobody awaits is over before the outer one")
async def not_awaited(thing: Thing) -> None:
    storage: Any = thing.ctx.storage

    async def inner(txn: Any) -> None:
        await asyncio.sleep(0)
        await txn.put("inner", 1)

    async def outer(txn: Any) -> None:
        _ = storage.transaction(inner)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        await storage.transaction(outer)
    await asyncio.sleep(0)
    assert await storage.list() == {}


@FACTS.driven("4.4 a transaction that takes 30 seconds resets the object with the words of a critical section")
async def too_long(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.critical_section.CRITICAL_SECTION_SECONDS", 0.01)

    async def part(thing: Thing) -> None:
        await thing.ctx.storage.transaction(lambda txn: asyncio.Event().wait())

    with pytest.raises(Exception, match="waited for too long") as caught:
        await stage.run(part)
    error: Any = caught.value
    assert (error.durable_object_reset, error.overloaded) == (True, True)


# --- txn --------------------------------------------------------------------------------------------------------------
TXN_METHODS: dict[str, tuple[Any, ...]] = {
    "get": ("k",), "put": ("k", 1), "delete": ("k",), "list": (), "get_alarm": (),
    "set_alarm": (4_000_000_000_000,), "delete_alarm": (),
}  # fmt: skip
SPELLINGS = {"get_alarm": "getAlarm", "set_alarm": "setAlarm", "delete_alarm": "deleteAlarm"}


@FACTS.inside("4.4 txn has the keys, the alarm and rollback, and neither sql nor kv")
async def members(thing: Thing) -> None:
    async def work(txn: Any) -> None:
        for name, args in TXN_METHODS.items():
            await getattr(txn, name)(*args)
            await getattr(txn, SPELLINGS.get(name, name))(*args)
        assert not hasattr(txn, "sql")
        assert not hasattr(txn, "kv")

    await thing.ctx.storage.transaction(work)


@FACTS.inside("4.4 rollback undoes the transaction, whose value is still the callback's")
async def rollback(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put("k", 1)

    async def work(txn: Any) -> str:
        await txn.put("k", 2)
        txn.rollback()
        txn.rollback()
        assert await storage.get("k") == 1
        return "value"

    assert await storage.transaction(work) == "value"
    assert await storage.get("k") == 1


@FACTS.inside("4.4 after rollback every other method of txn throws")
async def after_rollback(thing: Thing) -> None:
    async def work(txn: Any) -> None:
        txn.rollback()
        for name, args in TXN_METHODS.items():
            with pytest.raises(StorageError) as caught:
                await getattr(txn, name)(*args)
            assert str(caught.value) == f"Cannot {name}() on rolled back transaction"

    await thing.ctx.storage.transaction(work)


@FACTS.inside("4.4 what the storage itself writes after rollback is kept")
async def storage_after_rollback(thing: Thing) -> None:
    async def work(txn: Any) -> None:
        await txn.put("a", 1)
        txn.rollback()
        await thing.ctx.storage.put("b", 2)

    await thing.ctx.storage.transaction(work)
    assert await thing.ctx.storage.list() == {"b": 2}


@FACTS.inside("4.4 after the closure every method of txn throws")
async def after_closure(thing: Thing) -> None:
    async def work(txn: Any) -> Any:
        raise ValueError(txn)

    kept = [await thing.ctx.storage.transaction(lambda txn: [txn])]
    try:
        await thing.ctx.storage.transaction(work)
    except ValueError as error:
        kept.append(error.args)  # type: ignore[arg-type]
    for (txn,) in kept:
        for name, args in {**TXN_METHODS, "rollback": ()}.items():
            with pytest.raises(StorageError) as caught:
                await getattr(txn, name)(*args)
            assert str(caught.value) == (
                f"Cannot call {name}() on transaction that has already committed: did you move `txn` outside of the"
                " closure?"
            )


@FACTS.inside("4.4 delete_all within a transaction throws, on txn and on the storage")
async def no_delete_all(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put("k", 1)

    async def work(txn: Any) -> None:
        for target in (txn, storage):
            with pytest.raises(StorageError, match="^Cannot call deleteAll\\(\\) within a transaction$"):
                await target.delete_all()

    await storage.transaction(work)
    with pytest.raises(StorageError, match="within a transaction"):
        storage.transaction_sync(storage.delete_all)
    assert await storage.get("k") == 1


@FACTS.inside("4.4 an outer transaction cannot be rolled back while an inner one runs")
async def outer_rollback(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    refused = "^Cannot roll back an outer transaction while a nested transaction is still running.$"

    async def outer(txn: Any) -> None:
        await txn.put("k", 1)

        async def inner(_: Any) -> None:
            with pytest.raises(StorageError, match=refused):
                txn.rollback()

        def inner_sync() -> None:
            with pytest.raises(StorageError, match=refused):
                txn.rollback()

        await storage.transaction(inner)
        storage.transaction_sync(inner_sync)

    await storage.transaction(outer)
    assert await storage.get("k") == 1
