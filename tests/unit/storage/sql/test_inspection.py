"""What a tool gets back of several statements, with values and under caps. What it may not do: `test_authorizer`."""

from __future__ import annotations

from typing import Any

import pytest

from durable.errors import SqlBindingError, SqlError, StorageError
from durable.limits import INSPECT_BYTES_MAX
from durable.storage.actor_store import ActorStore
from durable.storage.sql.inspection import ROW_BYTES, VALUE_BYTES, Inspection, Parameters

NUMBERS = "SELECT value AS v FROM json_each('[1, 2, 3]')"


@pytest.fixture
def filled(store: ActorStore) -> ActorStore:
    store.sql.exec("CREATE TABLE t (a, b)")
    store.sql.exec("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')")
    store.commit()
    return store


def look(store: ActorStore, sql: str, parameters: Parameters = (), **options: Any) -> list[Inspection]:
    return store.inspect(sql, parameters, **{"write": False, "rows_max": 100, "seconds_max": 60.0, **options})


def rows(results: list[Inspection]) -> list[list[list[Any]]]:
    return [found.rows for found in results]


# --- several statements ---------------------------------------------------------------------------------------------
def test_every_statement_returns_its_rows(filled: ActorStore) -> None:
    assert look(filled, "SELECT a FROM t; SELECT 1 AS one WHERE 0; SELECT b FROM t WHERE a = 2") == [
        Inspection(["a"], [[1], [2], [3]], False, 0),
        Inspection(["one"], [], False, 0),
        Inspection(["b"], [["y"]], False, 0),
    ]


def test_statements_without_rows_are_counted_together(filled: ActorStore) -> None:
    script = "CREATE TABLE u (a); INSERT INTO u VALUES (1); DELETE FROM t; SELECT count(*) AS n FROM u; DROP TABLE u"
    assert look(filled, script, write=True) == [
        Inspection([], [], False, 4),
        Inspection(["n"], [[1]], False, 0),
        Inspection([], [], False, 0),
    ]


def test_a_trigger_is_one_statement(filled: ActorStore) -> None:
    trigger = "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE a = 1; DELETE FROM t WHERE a = 2; END"
    look(filled, f"{trigger}; INSERT INTO t VALUES (4, 'w')", write=True)
    assert rows(look(filled, "SELECT a FROM t")) == [[[3], [4]]]


def test_a_mistake_is_told_where_it_is_in_the_whole(filled: ActorStore) -> None:
    with pytest.raises(SqlError, match="no such column: nope at offset 20: SQLITE_ERROR"):
        look(filled, "SELECT 'é'; SELECT nope")


@pytest.mark.parametrize("script", ["", " ; -- nothing"])
def test_no_statement_is_a_mistake(filled: ActorStore, script: str) -> None:
    with pytest.raises(SqlError, match="did not contain a statement"):
        look(filled, script)


def test_a_statement_may_have_100_000_bytes_and_a_script_more(filled: ActorStore) -> None:
    insert = f"INSERT INTO t VALUES (4, '{'w' * 60_000}');"
    assert look(filled, insert * 3, write=True)[0].rows_written == 3
    with pytest.raises(SqlError, match=r"statement too long \(100\d\d\d bytes, at most 100000\)"):
        look(filled, f"DELETE FROM t; SELECT '{'w' * 100_000}'", write=True)
    assert rows(look(filled, "SELECT count(*) FROM t")) == [[[6]]]


@pytest.mark.parametrize("text", ["SELECT '\ud800'", "SELECT 1; SELECT 'a\x00b'", "\x00"])
def test_text_that_is_none_is_told(filled: ActorStore, text: str) -> None:
    with pytest.raises(StorageError):
        look(filled, text)


# --- parameters -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("script", "parameters", "found"),
    [
        ("SELECT ?", (None,), [[[None]]]),
        ("SELECT ?, ?", ("é", b"\x00"), [[["é", b"\x00"]]]),
        ("SELECT ?; SELECT 0; SELECT ?, ?", (1, 2, 3), [[[1]], [[0]], [[2, 3]]]),
        ("SELECT ?2, ?1; SELECT ?", (1, 2, 3), [[[2, 1]], [[3]]]),
        ("SELECT :n, @n, $n; SELECT 0; SELECT :n + :m", {"n": 1, "m": 2}, [[[1, 1, 1]], [[0]], [[3]]]),
        ("SELECT 1", {}, [[[1]]]),
    ],
)
def test_values_go_to_the_statements_that_take_them(
    filled: ActorStore, script: str, parameters: Parameters, found: list[Any]
) -> None:
    assert rows(look(filled, script, parameters)) == found
    assert rows(look(filled, script, parameters, write=True)) == found


@pytest.mark.parametrize(
    ("script", "parameters", "said"),
    [
        ("SELECT ?", (), "the SQL has 1 parameter, but got 0 values"),
        ("SELECT ?; SELECT ?, ?", (1,), "the SQL has at least 3 parameters, but got 1 value"),
        ("SELECT ?; SELECT 1", (1, 2), "the SQL has 1 parameter, but got 2 values"),
        ("SELECT 1", (1,), "the SQL has 0 parameters, but got 1 value"),
        ("SELECT :n", {"m": 1}, "the SQL has :n, and no value was given for it; there are :m"),
        ("SELECT :n", {"n": 1, "m": 1}, "a value was given for 'm', but the SQL has no :m"),
        ("SELECT ?", {"n": 1}, "the values were given by name, but the SQL has a ? without one; write :name"),
        ("SELECT ?", (2**70,), "binding 1 is an int beyond SQLite's INTEGER"),
        ("SELECT :n", {"n": "\ud800"}, "binding 1 is text with a lone surrogate"),
    ],
)
@pytest.mark.parametrize("write", [False, True])
def test_values_that_do_not_fit_are_told_and_nothing_is_written(
    filled: ActorStore, script: str, parameters: Parameters, said: str, write: bool
) -> None:
    changing = "DELETE FROM t; " if write else ""
    with pytest.raises(SqlBindingError) as caught:
        look(filled, changing + script, parameters, write=write)

    assert str(caught.value).startswith(said)
    assert rows(look(filled, "SELECT count(*) FROM t")) == [[[3]]]


def test_a_value_is_never_read_as_sql(filled: ActorStore) -> None:
    hostile = "'; DROP TABLE t; --"
    assert rows(look(filled, "INSERT INTO t VALUES (9, ?) RETURNING b", (hostile,), write=True)) == [[[hostile]]]
    assert rows(look(filled, "SELECT count(*) FROM t WHERE b = :b", {"b": hostile})) == [[[1]]]


# --- caps -----------------------------------------------------------------------------------------------------------
def test_rows_are_capped_for_each_statement(filled: ActorStore) -> None:
    assert look(filled, f"{NUMBERS}; {NUMBERS}", rows_max=2) == [Inspection(["v"], [[1], [2]], True, 0)] * 2
    assert [found.truncated for found in look(filled, NUMBERS, rows_max=3)] == [False]


def test_bytes_are_capped_for_all_statements_together(filled: ActorStore) -> None:
    row = ROW_BYTES + VALUE_BYTES + 1_000
    bytes_max = 3 * row + 2 * (ROW_BYTES + 1)
    texts = "SELECT hex(zeroblob(500)) AS h FROM t"
    first, second = look(filled, f"{texts}; {texts}", bytes_max=bytes_max)

    assert (len(first.rows), first.truncated, first.oversized) == (3, False, False)
    assert (len(second.rows), second.truncated, second.oversized) == (0, True, True)


def test_text_counts_as_its_utf8_bytes(filled: ActorStore) -> None:
    bytes_max = 3 * (ROW_BYTES + VALUE_BYTES + 300)
    text, wide = "x" * 300, "€" * 300
    assert not look(filled, "SELECT ? FROM t", (text,), bytes_max=bytes_max)[0].truncated
    assert look(filled, "SELECT ? FROM t", (wide,), bytes_max=bytes_max)[0].oversized


def test_a_row_that_is_too_large_alone_is_none(filled: ActorStore) -> None:
    wide = ", ".join(["zeroblob(2000000)"] * 9)
    assert look(filled, f"SELECT {wide}")[0].rows == []
    assert look(filled, f"SELECT {wide}")[0].oversized
    assert INSPECT_BYTES_MAX < 9 * 2_000_000


def test_a_statement_that_writes_is_done_whole_whatever_of_it_is_shown(filled: ActorStore) -> None:
    [found] = look(filled, "UPDATE t SET a = a + 10 RETURNING a", write=True, rows_max=1)

    assert found == Inspection(["a"], [[11]], True, 3)
    assert rows(look(filled, "SELECT a FROM t")) == [[[11], [12], [13]]]


def test_many_quick_statements_are_stopped_as_well(filled: ActorStore) -> None:
    with pytest.raises(SqlError, match="the query took longer than 0 seconds and was stopped") as caught:
        look(filled, "DELETE FROM t;" * 3, write=True, seconds_max=0.0)

    assert caught.value.code == "SQLITE_INTERRUPT"
    assert rows(look(filled, "SELECT count(*) FROM t")) == [[[3]]]


@pytest.mark.parametrize("write", [False, True])
def test_a_query_that_sorts_too_much_is_stopped(
    filled: ActorStore, monkeypatch: pytest.MonkeyPatch, write: bool
) -> None:
    sorting = (
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000)"
        " SELECT hex(randomblob(50)) AS h FROM c ORDER BY h"
    )
    assert look(filled, sorting)[0].truncated
    monkeypatch.setattr("durable.storage.sql.inspection.INSPECT_MEMORY_BYTES_MAX", 4 << 20)
    with pytest.raises(SqlError, match="the query took more than 4 MiB of memory and was stopped"):
        look(filled, f"CREATE TABLE u AS {sorting}" if write else sorting, write=write)

    assert rows(look(filled, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'")) == [[[0]]]
    assert filled.sql.exec("SELECT count(*) AS n FROM t").one() == {"n": 3}


# --- the actor notices nothing --------------------------------------------------------------------------------------
SWITCHES = ("foreign_keys", "ignore_check_constraints", "recursive_triggers", "reverse_unordered_selects")


@pytest.mark.parametrize("fails", [False, True])
def test_switches_that_a_tool_sets_end_with_it(filled: ActorStore, fails: bool) -> None:
    before = [filled.sql.exec(f"PRAGMA {name}").raw().to_array() for name in SWITCHES]
    script = "".join(f"PRAGMA {name} = {1 if name != 'foreign_keys' else 0};" for name in SWITCHES)
    script += "PRAGMA case_sensitive_like = on; SELECT 'a' LIKE 'A';"
    if fails:
        with pytest.raises(SqlError):
            look(filled, script + "SELECT nope", write=True)
    else:
        assert [[0]] in rows(look(filled, script, write=True))

    assert [filled.sql.exec(f"PRAGMA {name}").raw().to_array() for name in SWITCHES] == before
    assert filled.sql.exec("SELECT 'a' LIKE 'A' AS same").one() == {"same": 1}


def test_switches_of_the_actors_own_stay(filled: ActorStore) -> None:
    filled.sql.exec("PRAGMA recursive_triggers = on")
    look(filled, "PRAGMA recursive_triggers = off", write=True)
    assert filled.sql.exec("PRAGMA recursive_triggers").one() == {"recursive_triggers": 1}


def test_the_actors_last_row_id_stays(filled: ActorStore) -> None:
    before = filled.sql.exec("SELECT last_insert_rowid() AS id").one()
    look(filled, "INSERT INTO t (rowid, a) VALUES (77, 1)", write=True)
    assert filled.sql.exec("SELECT last_insert_rowid() AS id").one() == before


def test_a_statement_that_the_actor_knows_sees_what_the_tool_wrote(filled: ActorStore) -> None:
    query = "SELECT count(*) AS n FROM t"
    assert filled.sql.exec(query).one() == {"n": 3}
    look(filled, "DELETE FROM t WHERE a = 1; ALTER TABLE t ADD COLUMN c", write=True)
    assert filled.sql.exec(query).one() == {"n": 2}
    assert filled.sql.exec("SELECT * FROM t").column_names == ["a", "b", "c"]
