"""Items 5 to 10 and 23 to 28 of the quick list: writes, SQL, keys, names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable import SqlError, StorageError
from durable.errors import PortabilityError
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


@FACTS.driven("11.5 put then raise: the value and the memory are kept")
async def put_raise(stage: Stage) -> None:
    async def part(thing: Any) -> None:
        thing.memory = 1
        await thing.ctx.storage.put("k", 1)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await stage.run(part)
    assert await stage.run(lambda thing: [thing.memory, thing.ctx.storage.kv.get("k")]) == [1, 1]


@FACTS.driven("11.6 put then abort without I/O between: the value is gone")
async def put_abort(stage: Stage) -> None:
    async def part(thing: Thing) -> None:
        await thing.ctx.storage.put("k", 1)
        thing.ctx.abort("gone")

    with pytest.raises(Exception, match="gone"):
        await stage.run(part)
    assert await stage.run(lambda thing: thing.ctx.storage.get("k")) is None


@FACTS.driven("11.7 put, sleep, put, abort: the first is kept")
async def put_sleep_abort(stage: Stage) -> None:
    async def part(thing: Thing) -> None:
        await thing.ctx.storage.put("first", 1)
        await asyncio.sleep(0.001)
        await thing.ctx.storage.put("second", 1)
        thing.ctx.abort("gone")

    with pytest.raises(Exception, match="gone"):
        await stage.run(part)
    assert await stage.run(lambda thing: thing.ctx.storage.list()) == {"first": 1}


@FACTS.driven("11.8 a deferred foreign key that is violated at the end of the turn resets with the long message")
async def deferred(stage: Stage) -> None:
    def part(thing: Thing) -> None:
        sql = thing.ctx.storage.sql
        sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id))")
        sql.exec("PRAGMA defer_foreign_keys = on")
        sql.exec("INSERT INTO c VALUES (5)")

    with pytest.raises(Exception, match="Durable Object was reset.*rolled back.*constraints violated: FOREIGN KEY"):
        await stage.run(part)
    with pytest.raises(SqlError, match="no such table: p"):
        await stage.run(lambda thing: thing.ctx.storage.sql.exec("SELECT * FROM p").to_array())


@FACTS.inside("11.9 typeof(?) with 1, True, 2**53 keeps the Python meaning: integer")
def meaning(thing: Thing) -> None:
    for value in (1, True, 2**53):
        assert thing.ctx.storage.sql.exec("SELECT typeof(?) AS t", value).one() == {"t": "integer"}


@FACTS.inside("11.9 with portability = error it is refused where it is bound", portability="error")
def portability(thing: Thing) -> None:
    for value, kind in ((1, "sql-int"), (True, "sql-bool"), (2**53, "sql-large-int")):
        with pytest.raises(PortabilityError) as caught:
            thing.ctx.storage.sql.exec("SELECT typeof(?)", value)
        assert caught.value.kind == kind


@FACTS.inside("11.10 a comment behind the last statement is no statement")
def comment(thing: Thing) -> None:
    with pytest.raises(SqlError, match="^SQL code did not contain a statement.$"):
        thing.ctx.storage.sql.exec("SELECT 1; -- c")


@FACTS.inside("11.23 list of the keys 5, Z, a, b, é comes in that order")
async def order(thing: Thing) -> None:
    await thing.ctx.storage.put(dict.fromkeys(["é", "b", "Z", "a", "5"], 0))
    assert list(await thing.ctx.storage.list()) == ["5", "Z", "a", "b", "é"]


@FACTS.inside("11.24 get of b, zz, a is a and b, sorted, without zz")
async def get_several(thing: Thing) -> None:
    await thing.ctx.storage.put({"a": 1, "b": 2})
    assert list((await thing.ctx.storage.get(["b", "zz", "a"])).items()) == [("a", 1), ("b", 2)]


@FACTS.both("11.25 id_from_string of another namespace's id is a TypeError")
def foreign_id(thing: Any, platform: Any) -> None:
    for foreign in ("0" * 64, thing.env.THINGS.id_from_name("a").to_string()[:-1] + "x", "zz"):
        with pytest.raises(TypeError, match="Durable Object ID is not valid for this namespace|must be 64 hex digits"):
            thing.env.THINGS.id_from_string(foreign)
    with pytest.raises(TypeError, match="^Durable Object ID is not valid for this namespace.$"):
        thing.env.THINGS.idFromString("ab" * 32)


@FACTS.both_driven("11.26 a name of 1024 bytes is in ctx.id.name, one of 1025 bytes is not")
async def long_name(stage: Stage, platform: Any) -> None:
    async def ask(thing: Thing, name: str) -> Any:
        return await thing.env.THINGS.get_by_name(name).own_name()

    assert await stage.run(ask, "é" * 512) == "é" * 512
    assert await stage.run(ask, "é" * 512 + "x") is None


@FACTS.inside("11.27 a second kv.list invalidates the first iterator")
async def list_twice(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    kv.put("a", 1)
    kv.put("b", 1)
    first = kv.list()
    next(first)
    kv.list()
    with pytest.raises(StorageError, match="iterator was invalidated because a new call to kv.list\\(\\) was started"):
        next(first)


@FACTS.inside("11.28 delete_all with an open cursor: the cursor's next is an error")
async def delete_with_cursor(thing: Thing) -> None:
    sql: Any = thing.ctx.storage.sql
    sql.exec("CREATE TABLE t (a)")
    sql.exec("INSERT INTO t VALUES (1), (2)")
    cursor = sql.exec("SELECT a FROM t")
    await thing.ctx.storage.delete_all()
    with pytest.raises(SqlError, match="^SQLite query was canceled because the database was deleted.$"):
        next(cursor)
