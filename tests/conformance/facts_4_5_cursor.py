"""`sql.exec`: execution, several statements, cursors, values, errors."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from durable import SqlError, StorageError
from tests.conformance.stage import Facts, Thing

FACTS = Facts()


def _numbers(thing: Thing) -> Any:
    """The sql of an object with the table n of 1, 2, 3."""
    sql = thing.ctx.storage.sql
    sql.exec("CREATE TABLE n (v INTEGER PRIMARY KEY, w)")
    sql.exec("INSERT INTO n VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    return sql


# --- execution --------------------------------------------------------------------------------------------------------
@FACTS.inside("4.5 a write takes effect in exec, whoever reads its rows")
def eager(thing: Thing) -> None:
    sql = _numbers(thing)
    returned = sql.exec("INSERT INTO n VALUES (4, 'd'), (5, 'e') RETURNING v")
    assert sql.exec("SELECT count(*) AS n FROM n").one() == {"n": 5}
    assert returned.rows_written == 2
    assert returned.to_array() == [{"v": 4}, {"v": 5}]


@FACTS.inside("4.5 exec runs a query up to its first row; an error of that row is raised there")
def first_row(thing: Thing) -> None:
    with pytest.raises(SqlError, match="integer overflow"):
        thing.ctx.storage.sql.exec("SELECT abs(-9223372036854775808)")


@FACTS.inside("4.5 an error of a later row is raised where that row is read")
def later_row(thing: Thing) -> None:
    sql = _numbers(thing)
    sql.exec("UPDATE n SET w = iif(v = 3, 'no JSON', '[]')")
    cursor = sql.exec("SELECT json(w) AS w FROM n ORDER BY v")
    assert next(cursor) == {"w": "[]"}
    with pytest.raises(SqlError, match="malformed JSON"):
        next(cursor)


@FACTS.inside("4.5 the same text may run twice at the same time")
def overlapping(thing: Thing) -> None:
    sql = _numbers(thing)
    for _ in range(3):
        first, second = sql.exec("SELECT v FROM n ORDER BY v"), sql.exec("SELECT v FROM n ORDER BY v")
        assert [next(first), next(second), next(first)] == [{"v": 1}, {"v": 1}, {"v": 2}]


@FACTS.inside("4.5 a statement that is known sees a new column")
def new_column(thing: Thing) -> None:
    sql = _numbers(thing)
    for _ in range(3):
        assert sql.exec("SELECT * FROM n WHERE v = 1").one() == {"v": 1, "w": "a"}
    sql.exec("ALTER TABLE n ADD COLUMN x DEFAULT 7")
    assert sql.exec("SELECT * FROM n WHERE v = 1").one() == {"v": 1, "w": "a", "x": 7}


@FACTS.inside("4.5 a cursor outlives the object that made it")
def outlives(thing: Thing) -> None:
    _numbers(thing)
    rows = thing.ctx.storage.sql.exec("SELECT v FROM n ORDER BY v").raw()
    gc.collect()
    assert rows.to_array() == [[1], [2], [3]]


@FACTS.inside("4.5 exec without a text is a TypeError")
def no_text(thing: Thing) -> None:
    sql: Any = thing.ctx.storage.sql
    for args in ((), (None,), (5,), (b"SELECT 1",)):
        with pytest.raises(TypeError):
            sql.exec(*args)


# --- several statements -----------------------------------------------------------------------------------------------
@FACTS.inside("4.5 all statements of a text run; the cursor is that of the last")
def several(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    query = (
        "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); SELECT 7; PRAGMA case_sensitive_like = on; SELECT * FROM t"
    )
    assert sql.exec(query + ";  \n").to_array() == [{"a": 1}, {"a": 2}]
    assert sql.exec("SELECT a FROM t WHERE a = ?; SELECT 1".split(";")[0], 2).one() == {"a": 2}


@FACTS.inside("4.5 a multi-statement exec returns the last cursor after a PRAGMA that compiles statements anew")
def after_pragma(thing: Thing) -> None:
    sql = _numbers(thing)
    for _ in range(2):
        assert sql.exec("PRAGMA foreign_keys = off; PRAGMA foreign_keys = on; SELECT max(v) AS m FROM n").one() == {
            "m": 3
        }


@FACTS.inside("4.5 only the last statement may have parameters")
def last_parameters(thing: Thing) -> None:
    sql = _numbers(thing)
    assert sql.exec("SELECT 1; SELECT ? AS v", 2).one() == {"v": 2}
    with pytest.raises(SqlError) as caught:
        sql.exec("DELETE FROM n WHERE v = ?; SELECT 1", 1)
    assert str(caught.value).startswith(
        "When executing multiple SQL statements in a single call, only the last statement can have parameters"
    )
    assert sql.exec("SELECT count(*) AS n FROM n").one() == {"n": 3}


for text in ("", "   ", ";", "-- c", "/* c */", "SELECT 1; -- c", "SELECT 1; /* c */"):

    @FACTS.inside(f"4.5 {text!r} ends in no statement")
    def no_statement(thing: Thing, text: str = text) -> None:
        with pytest.raises(SqlError) as caught:
            thing.ctx.storage.sql.exec(text)
        assert str(caught.value) == "SQL code did not contain a statement."


# --- cursors ----------------------------------------------------------------------------------------------------------
@FACTS.inside("4.5 rows are dicts with attributes, keyed by column name")
def rows(thing: Thing) -> None:
    sql = _numbers(thing)
    assert list(sql.exec("SELECT * FROM n WHERE v < 3")) == [{"v": 1, "w": "a"}, {"v": 2, "w": "b"}]
    assert sql.exec("SELECT 123").one() == {"123": 123}
    assert next(sql.exec("SELECT * FROM n")).w == "a"


@FACTS.inside("4.5 of columns with one name the last wins; raw and column_names keep all")
def duplicates(thing: Thing) -> None:
    cursor = thing.ctx.storage.sql.exec("SELECT 1 AS a, 2 AS a")
    assert cursor.column_names == ["a", "a"]
    assert cursor.one() == {"a": 2}
    assert thing.ctx.storage.sql.exec("SELECT 1 AS a, 2 AS a").raw().to_array() == [[1, 2]]


@FACTS.inside("4.5 next says done for ever")
def done(thing: Thing) -> None:
    cursor = thing.ctx.storage.sql.exec("SELECT 1 AS a")
    assert cursor.next() == {"done": False, "value": {"a": 1}}
    assert [cursor.next(), cursor.next()] == [{"done": True}, {"done": True}]


@FACTS.inside("4.5 raw has next and to_array, no column_names, and shares its cursor's position")
def raw(thing: Thing) -> None:
    cursor = _numbers(thing).exec("SELECT v FROM n ORDER BY v")
    rows = cursor.raw()
    assert not hasattr(rows, "column_names")
    assert next(cursor) == {"v": 1}
    assert rows.next() == {"done": False, "value": [2]}
    assert rows.toArray() == [[3]]
    assert rows.next() == {"done": True}
    assert cursor.next() == {"done": True}


@FACTS.inside("4.5 one wants exactly one row, and leaves the cursor exhausted")
def one(thing: Thing) -> None:
    sql = _numbers(thing)
    with pytest.raises(SqlError) as none:
        sql.exec("SELECT * FROM n WHERE v > 9").one()
    many = sql.exec("SELECT v FROM n")
    with pytest.raises(SqlError) as several:
        many.one()
    single = sql.exec("SELECT 1 AS a")
    assert single.one() == {"a": 1}

    assert str(none.value) == "Expected exactly one result from SQL query, but got no results."
    assert str(several.value) == "Expected exactly one result from SQL query, but got multiple results."
    assert [single.next(), many.next()] == [{"done": True}] * 2


@FACTS.inside("4.5 column_names can be read after the end, and are empty for a statement without any")
def names(thing: Thing) -> None:
    sql = _numbers(thing)
    cursor = sql.exec("SELECT v, w FROM n")
    cursor.to_array()
    assert cursor.column_names == ["v", "w"]
    assert sql.exec("SELECT v, w FROM n WHERE v > 9").column_names == ["v", "w"]
    assert sql.exec("UPDATE n SET w = 'x'").column_names == []


@FACTS.inside("4.5 the cursor runs one row ahead of its reader")
def ahead(thing: Thing) -> None:
    cursor = _numbers(thing).exec("SELECT * FROM n")
    read = [cursor.rows_read]
    for _ in range(3):
        cursor.next()
        read.append(cursor.rows_read)
    assert read == [1, 2, 3, 3]


@FACTS.inside("4.5 rows_written counts the rows that a statement changed (here: index entries not)")
def rows_written(thing: Thing) -> None:
    sql = _numbers(thing)
    sql.exec("CREATE UNIQUE INDEX by_w ON n (w)")
    cursor = sql.exec("INSERT INTO n VALUES (4, 'd') RETURNING v")
    assert (cursor.rows_written, cursor.rows_read) == (1, 1)
    assert sql.exec("DELETE FROM n WHERE v < 3").rows_written == 2
    assert sql.exec("SELECT * FROM n").rows_written == 0


@FACTS.inside("4.5 rows_read does not count what SQLite keeps for itself, such as the list of an IN")
def rows_read(thing: Thing) -> None:
    cursor = _numbers(thing).exec("SELECT v FROM n WHERE v IN (1, 2, 7, 8, 9)")
    assert (len(cursor.to_array()), cursor.rows_read) == (2, 2)


@FACTS.inside("4.5 a table with an open cursor cannot be dropped; one whose cursor is gone can")
def drop(thing: Thing) -> None:
    sql = _numbers(thing)
    cursor: Any = sql.exec("SELECT v FROM n")
    with pytest.raises(SqlError) as caught:
        sql.exec("DROP TABLE n")
    assert str(caught.value) == "database table is locked: SQLITE_LOCKED"
    cursor = None  # noqa: F841
    sql.exec("DROP TABLE n")


@FACTS.inside("4.5 a write to a table that is read shows in the cursor")
def no_snapshot(thing: Thing) -> None:
    sql = _numbers(thing)
    cursor = sql.exec("SELECT v FROM n ORDER BY v")
    sql.exec("INSERT INTO n VALUES (4, 'd')")
    assert [row["v"] for row in cursor] == [1, 2, 3, 4]


@FACTS.inside("4.5 a cursor that is open when everything is deleted is canceled, one of RETURNING too")
async def canceled(thing: Thing) -> None:
    sql = _numbers(thing)
    reading, finished = sql.exec("SELECT v FROM n"), sql.exec("SELECT 1")
    finished.to_array()
    returned = sql.exec("INSERT INTO n VALUES (8, 'h'), (9, 'i') RETURNING v")
    await thing.ctx.storage.delete_all()
    for cursor in (reading, returned, reading.raw()):
        with pytest.raises(SqlError) as caught:
            cursor.next()
        assert str(caught.value) == "SQLite query was canceled because the database was deleted."
    assert finished.next() == {"done": True}


VALUES: dict[str, Any] = {"INTEGER": 2**62, "REAL": 1.0, "TEXT": "é", "BLOB": b"\x00", "NULL": None}
for name, value in VALUES.items():

    @FACTS.inside(f"4.5 {name} comes back with its Python type")
    def out(thing: Thing, value: Any = value) -> None:
        found = thing.ctx.storage.sql.exec("SELECT ? AS v", value).one()["v"]
        assert (found, type(found)) == (value, type(value))


@FACTS.inside("4.5 database_size is pages in use times their size: it grows, and falls after DROP")
def database_size(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    empty = sql.database_size
    sql.exec("CREATE TABLE t (b)")
    sql.exec("INSERT INTO t VALUES (zeroblob(100000))")
    full = sql.database_size
    sql.exec("DROP TABLE t")

    assert empty >= 4096
    assert full - empty > 100_000
    assert full % 4096 == 0
    assert sql.databaseSize == empty


# --- errors -----------------------------------------------------------------------------------------------------------
ERRORS = {
    "SELEC": 'near "SELEC": syntax error at offset 0: SQLITE_ERROR',
    "SELECT 1; SELEC": 'near "SELEC": syntax error at offset 10: SQLITE_ERROR',
    "SELECT * FROM x": "no such table: x: SQLITE_ERROR",
    "INSERT INTO p VALUES (2, 'a')": (
        "UNIQUE constraint failed: p.v: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)"
    ),
    "INSERT INTO c VALUES (9)": (
        "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
    ),
}  # fmt: skip
for query, message in ERRORS.items():

    @FACTS.inside(f"4.5 the error of {query!r} is SQLite's with its codes")
    def error(thing: Thing, query: str = query, message: str = message) -> None:
        sql = thing.ctx.storage.sql
        sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY, v UNIQUE); CREATE TABLE c (p REFERENCES p (id))")
        sql.exec("INSERT INTO p VALUES (1, 'a')")
        with pytest.raises(SqlError) as caught:
            sql.exec(query)
        assert str(caught.value) == message
        assert caught.value.code in message


@FACTS.inside("4.5 without SQLite the getter succeeds and its use throws", sqlite=False)
def no_sqlite(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    for use in (lambda: sql.exec("SELECT 1"), lambda: sql.database_size):
        with pytest.raises(
            StorageError, match="^SQL is not enabled for this Durable Object class. To enable it, declare"
        ):
            use()
