"""`sql.exec`: bindings, and what is told of those that are not portable."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from durable import SqlError
from durable.errors import PortabilityError, SqlBindingError
from durable.wire.messages import Log
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


@FACTS.inside("4.5 parameters count by position, however they are written")
def positions(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    assert sql.exec("SELECT ?2 AS x, ?1 AS y", 1, 2).one() == {"x": 2, "y": 1}
    assert sql.exec("SELECT :a AS x, $b AS y, @c AS z, :a AS again", 1, 2, 3).one() == {
        "x": 1,
        "y": 2,
        "z": 3,
        "again": 1,
    }


@FACTS.inside("4.5 a wrong number of bindings is an error either way")
def wrong_number(thing: Thing) -> None:
    for _ in range(2):
        for bindings in ((), (1,), (1, 2, 3)):
            with pytest.raises(SqlError, match="^Wrong number of parameter bindings for SQL query"):
                thing.ctx.storage.sql.exec("SELECT ?, ?", *bindings)


BOUND: dict[str, tuple[Any, str, Any]] = {
    "None is NULL": (None, "null", None),
    "text is TEXT": ("é", "text", "é"),
    "bytes are a BLOB": (b"\x00\xff", "blob", b"\x00\xff"),
    "a memoryview is a BLOB": (memoryview(b"abc"), "blob", b"abc"),
    "a float is REAL": (1.0, "real", 1.0),
    "NaN is NULL": (float("nan"), "null", None),
    "an int is INTEGER (here; REAL on the platform)": (1, "integer", 1),
    "True is INTEGER 1 (here; TEXT 'true' on the platform)": (True, "integer", 1),
    "2**53 is INTEGER (here; a TypeError on the platform)": (2**53, "integer", 2**53),
    "the largest INTEGER is bound": (2**63 - 1, "integer", 2**63 - 1),
    "the smallest INTEGER is bound": (-(2**63), "integer", -(2**63)),
    "a bytearray is a BLOB (here; a TypeError on the platform)": (bytearray(b"ab"), "blob", b"ab"),
}
for what, (value, kind, back) in BOUND.items():

    @FACTS.inside(f"4.5 binding: {what}")
    def bound(thing: Thing, value: Any = value, kind: str = kind, back: Any = back) -> None:
        row = thing.ctx.storage.sql.exec("SELECT typeof(?1) AS kind, ?1 AS v", value).one()
        assert (row["kind"], row["v"]) == (kind, back)
        assert type(row["v"]) is type(back)


@FACTS.inside("4.5 binding: an int beyond SQLite's INTEGER is a TypeError")
def too_large(thing: Thing) -> None:
    for value in (2**63, -(2**63) - 1):
        with pytest.raises(TypeError, match="beyond SQLite's INTEGER"):
            thing.ctx.storage.sql.exec("SELECT ?", value)


@FACTS.inside(
    "4.5 binding: what SQLite has no type for is a TypeError that says what to bind (the platform makes text)"
)
def no_type(thing: Thing) -> None:
    for value in ([1], (1,), {"a": 1}, {1}, object(), datetime(2020, 1, 1)):
        with pytest.raises(SqlBindingError, match=f"binding 1 is of type {type(value).__name__}; bind"):
            thing.ctx.storage.sql.exec("SELECT ?", value)


@FACTS.inside("4.5 an int stays an int in arithmetic, text, JSON, and columns of every affinity")
def int_meaning(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    assert sql.exec("SELECT ?1 / 2 AS half, ?1 || '' AS text, json_array(?1) AS json", 1).one() == {
        "half": 0, "text": "1", "json": "[1]",
    }  # fmt: skip
    sql.exec("CREATE TABLE t (untyped, number INTEGER, text TEXT)")
    sql.exec("INSERT INTO t VALUES (?1, ?1, ?1)", 1)
    assert sql.exec("SELECT * FROM t").one() == {"untyped": 1, "number": 1, "text": "1"}


@FACTS.inside("4.5 STRICT columns take 1.0 as INT and refuse 1.5")
def strict(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    sql.exec("CREATE TABLE st (x INT) STRICT")
    sql.exec("INSERT INTO st VALUES (?)", 1.0)
    with pytest.raises(SqlError) as caught:
        sql.exec("INSERT INTO st VALUES (?)", 1.5)
    assert str(caught.value) == (
        "cannot store REAL value in INT column st.x: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_DATATYPE)"
    )


@FACTS.inside("4.5 LIMIT takes 1 and refuses 1.5")
def limit(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    sql.exec("CREATE TABLE n (v); INSERT INTO n VALUES (1), (2)")
    assert len(sql.exec("SELECT * FROM n LIMIT ?", 1).to_array()) == 1
    with pytest.raises(SqlError, match="^datatype mismatch: SQLITE_MISMATCH$"):
        sql.exec("SELECT * FROM n LIMIT ?", 1.5)


# --- portability ------------------------------------------------------------------------------------------------------
DIFFERENCES: dict[str, tuple[Any, str]] = {
    "an int": (1, "binding 1 is the int 1; the platform binds numbers as REAL"),
    "a bool": (True, "binding 1 is the bool True; the platform binds the TEXT 'true'"),
    "a large int": (2**53, f"binding 1 is the int {2**53}; the platform refuses an int beyond 2**53 - 1"),
    "a bytearray": (bytearray(b"a"), "binding 1 is a bytearray; the platform refuses a bytearray"),
}
for what, (value, words) in DIFFERENCES.items():

    @FACTS.driven(f"4.5 portability = warn says once per line what the platform does with {what}", portability="warn")
    async def warned(stage: Stage, value: Any = value, words: str = words) -> None:
        def part(thing: Thing) -> None:
            for _ in range(3):
                thing.ctx.storage.sql.exec("SELECT ?", value).one()
            thing.ctx.storage.sql.exec("SELECT ?", value).one()

        await stage.run(part)
        await stage.run(part, name="b")
        lines = [log.text for log in stage.gateway.of(Log) if log.level == "warning"]

        assert len(lines) == 2
        assert words in lines[0]
        places = [line.split(": ")[0] for line in lines]
        assert places[0].startswith(f"{__file__}:")
        assert int(places[1].rsplit(":", 1)[1]) == int(places[0].rsplit(":", 1)[1]) + 1

    @FACTS.inside(f"4.5 portability = error refuses {what}", portability="error")
    def refused(thing: Thing, value: Any = value, words: str = words) -> None:
        with pytest.raises(PortabilityError) as caught:
            thing.ctx.storage.sql.exec("SELECT ?", value)
        assert words in str(caught.value)
        assert isinstance(caught.value, TypeError)

    @FACTS.driven(f"4.5 portability = off says nothing about {what}")
    async def silent(stage: Stage, value: Any = value) -> None:
        await stage.run(lambda thing: thing.ctx.storage.sql.exec("SELECT ?", value).to_array() and None)
        assert stage.gateway.of(Log) == []


@FACTS.driven("4.5 what is bound alike on the platform is portable", portability="warn")
async def portable(stage: Stage) -> None:
    def part(thing: Thing) -> None:
        thing.ctx.storage.sql.exec("SELECT ?, ?, ?, ?, ?", None, 1.5, "a", b"a", memoryview(b"a")).to_array()

    await stage.run(part)
    assert stage.gateway.of(Log) == []
