"""One SQLite database per object."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from durable import SqlError
from tests.conformance.stage import Facts, Stage, Thing
from tests.integration.conftest import KEY

FACTS = Facts()


def _file(stage: Stage, name: str = "a") -> Path:
    key = stage.gateway.key(name)
    return next((stage.gateway.folder / "state").rglob(f"{key.id}.sqlite"))


@FACTS.driven("4.1 every object has a database of its own")
async def own_database(stage: Stage) -> None:
    await stage.run(lambda thing: thing.ctx.storage.put("k", 1), name="a")

    assert await stage.run(lambda thing: thing.ctx.storage.get("k"), name="b") is None
    assert await stage.run(lambda thing: thing.ctx.storage.get("k"), name="a") == 1
    assert KEY in str(_file(stage))


@FACTS.driven("4.1 keys are rows of _cf_KV and the alarm is one of _cf_METADATA, in nanoseconds")
async def tables(stage: Stage) -> None:
    async def write(thing: Thing) -> None:
        await thing.ctx.storage.put("k", b"value")
        await thing.ctx.storage.set_alarm(4_000_000_000_000)

    await stage.run(write)
    file = _file(stage)
    await stage.gateway.stop()

    with sqlite3.connect(file) as connection:
        schema = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql NOTNULL ORDER BY name")]
        assert schema == [
            "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
            "CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)",
        ]
        assert connection.execute("SELECT key FROM _cf_KV").fetchall() == [("k",)]
        assert connection.execute("SELECT value FROM _cf_METADATA WHERE key = 1").fetchone() == (
            4_000_000_000_000_000_000,
        )
    connection.close()


@FACTS.inside("4.1 both tables are made by their first write")
async def lazily(thing: Thing) -> None:
    storage = thing.ctx.storage
    names = "SELECT name FROM sqlite_schema ORDER BY name"
    await storage.get("k")
    await storage.get_alarm()
    assert storage.sql.exec(names).to_array() == []
    await storage.put("k", 1)
    assert storage.sql.exec(names).to_array() == [{"name": "_cf_KV"}]
    await storage.set_alarm(4_000_000_000_000)
    assert storage.sql.exec(names).to_array() == [{"name": "_cf_KV"}, {"name": "_cf_METADATA"}]


@FACTS.inside("4.1 the platform's tables are seen in sqlite_master and table_list")
async def seen(thing: Thing) -> None:
    storage = thing.ctx.storage
    await storage.put("k", 1)
    listed = [row["name"] for row in storage.sql.exec("PRAGMA table_list")]

    assert "_cf_KV" in listed
    assert storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name = '_cf_KV'").one() == {"n": 1}


@FACTS.inside("4.1 the platform's tables are neither read nor changed by SQL")
async def not_touched(thing: Thing) -> None:
    await thing.ctx.storage.put("k", 1)
    for query in ("SELECT * FROM _cf_KV", "DELETE FROM _cf_KV", "DROP TABLE _cf_KV", "PRAGMA table_info(_cf_KV)"):
        with pytest.raises(SqlError, match="SQLITE_AUTH"):
            thing.ctx.storage.sql.exec(query).to_array()
    assert await thing.ctx.storage.get("k") == 1


@FACTS.inside("4.1 foreign keys are on by default")
def foreign_keys(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    assert sql.exec("PRAGMA foreign_keys").one() == {"foreign_keys": 1}
    sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id))")
    with pytest.raises(SqlError, match="FOREIGN KEY constraint failed"):
        sql.exec("INSERT INTO c VALUES (1)")


@FACTS.driven("4.1 the journal is a write-ahead log and a page has 4096 bytes")
async def wal(stage: Stage) -> None:
    def part(thing: Thing) -> int:
        thing.ctx.storage.sql.exec("CREATE TABLE t (a)")
        return int(thing.ctx.storage.sql.exec("PRAGMA page_size").one()["page_size"])

    assert await stage.run(part) == 4096
    assert Path(f"{_file(stage)}-wal").stat().st_size > 0


@FACTS.inside("4.1 a string may be written in double quotes")
def double_quotes(thing: Thing) -> None:
    assert thing.ctx.storage.sql.exec('SELECT "foo" AS v').one() == {"v": "foo"}


EXTENSIONS = {
    "FTS5": ("CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('a b'); SELECT x AS v FROM f('b')", "a b"),
    "R-Tree": ("CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); SELECT count(*) AS v FROM r", 0),
    "math": ("SELECT pow(2, 10) AS v", 1024.0),
    "JSON": ("""SELECT '{"a": [1, 2]}' ->> '$.a[1]' AS v""", 2),
}
for extension, (query, value) in EXTENSIONS.items():

    @FACTS.inside(f"4.1 SQLite has {extension}")
    def has(thing: Thing, query: str = query, value: object = value) -> None:
        assert thing.ctx.storage.sql.exec(query).one() == {"v": value}


@FACTS.inside("4.1 UPDATE and DELETE with LIMIT are syntax errors (here: our SQLite is built without them)")
def no_limit(thing: Thing) -> None:
    thing.ctx.storage.sql.exec("CREATE TABLE t (a)")
    with pytest.raises(SqlError, match='near "LIMIT": syntax error'):
        thing.ctx.storage.sql.exec("DELETE FROM t LIMIT 1")


@FACTS.inside("4.1 the schema cannot be written to")
def defensive(thing: Thing) -> None:
    thing.ctx.storage.sql.exec("CREATE TABLE t (a)")
    with pytest.raises(SqlError, match="may not be modified"):
        thing.ctx.storage.sql.exec("UPDATE sqlite_schema SET sql = ''")


@FACTS.driven("4.1 an object that stores nothing leaves no file")
async def no_file(stage: Stage) -> None:
    await stage.run(lambda thing: thing.ctx.storage.get("k"))
    await stage.run(lambda thing: thing.ctx.storage.sql.exec("SELECT 1").to_array())
    await stage.gateway.stop()

    assert list((stage.gateway.folder / "state").rglob("*.sqlite*")) == []
