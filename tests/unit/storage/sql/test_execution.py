"""`sql.exec`: statements, bindings, cursors and the wording of errors."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

from durable.errors import SqlBindingError, SqlError, StorageError
from durable.storage.actor_store import ActorStore


@pytest.fixture
def exec_sql(store: ActorStore) -> Callable[..., Any]:
    store.sql.exec("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
    store.sql.exec("INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')")
    return store.sql.exec


# --- values ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "kind", "back"),
    [
        (1, "integer", 1), (2**63 - 1, "integer", 2**63 - 1), (-(2**63), "integer", -(2**63)),
        (True, "integer", 1), (False, "integer", 0), (1.0, "real", 1.0), (1.5, "real", 1.5), ("é", "text", "é"),
        ("", "text", ""), (b"\x00\xff", "blob", b"\x00\xff"), (bytearray(b"ab"), "blob", b"ab"),
        (memoryview(b"abc")[1:], "blob", b"bc"), (None, "null", None), (float("nan"), "null", None),
    ],
)  # fmt: skip
def test_a_python_value_keeps_its_meaning(store: ActorStore, value: Any, kind: str, back: Any) -> None:
    row = store.sql.exec("SELECT ? AS v, typeof(?1) AS kind", value).one()

    assert row == {"v": back, "kind": kind}
    assert type(row["v"]) is type(back)


def test_a_member_of_an_int_enum_is_bound_as_its_number(store: ActorStore) -> None:
    class Level(IntEnum):
        HIGH = 3

    assert store.sql.exec("SELECT ? AS v", Level.HIGH).one() == {"v": 3}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**63, "binding 2 is an int beyond SQLite's INTEGER, which reaches from -9223372036854775808 to"),
        (-(2**63) - 1, "bind str(value) to keep every digit"),
        (dt.datetime(2024, 1, 1), "binding 2 is of type datetime; bind value.isoformat()"),
        (dt.date(2024, 1, 1), "binding 2 is of type date; bind value.isoformat()"),
        ([1], "binding 2 is of type list; bind its items one by one, `exec(query, *values)`, or json.dumps(value)"),
        ((1,), "binding 2 is of type tuple; bind its items one by one"),
        ({"a": 1}, "binding 2 is of type dict; bind json.dumps(value)"),
        ({1}, "binding 2 is of type set; bind json.dumps(sorted(value))"),
        (object(), "binding 2 is of type object; bind a str, int, float, bool, bytes or None"),
        ("\ud800", "binding 2 is text with a lone surrogate at index 0"),
    ],
)
@pytest.mark.parametrize("times", [1, 2], ids=["first sight", "known text"])
def test_what_sqlite_has_no_type_for_is_refused_with_its_position(
    store: ActorStore, value: Any, words: str, times: int
) -> None:
    if times == 2:
        store.sql.exec("SELECT ?, ?", 1, 2)

    with pytest.raises(SqlBindingError) as caught:
        store.sql.exec("SELECT ?, ?", 1, value)

    assert words in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_text_that_is_not_utf8_is_an_error_with_the_way_round_it(store: ActorStore) -> None:
    with pytest.raises(SqlError, match=r"not valid UTF-8; read it with CAST\(column AS BLOB\)"):
        store.sql.exec("SELECT CAST(x'ff' AS TEXT)")


@pytest.mark.parametrize("given", [(), (1,), (1, 2, 3)])
@pytest.mark.parametrize("times", [1, 2], ids=["first sight", "known text"])
def test_the_number_of_bindings_must_match(store: ActorStore, given: tuple[int, ...], times: int) -> None:
    if times == 2:
        store.sql.exec("SELECT ?, ?", 1, 2)

    with pytest.raises(SqlError) as caught:
        store.sql.exec("SELECT ?, ?", *given)

    assert str(caught.value) == (f"Wrong number of parameter bindings for SQL query: it has 2, got {len(given)}.")


def test_numbered_and_named_parameters_count_by_position(store: ActorStore) -> None:
    assert store.sql.exec("SELECT ?2 AS x, ?1 AS y", 1, 2).one() == {"x": 2, "y": 1}
    assert store.sql.exec("SELECT :a AS x, :b AS y, :a AS z", 1, 2).one() == {"x": 1, "y": 2, "z": 1}


# --- cursors --------------------------------------------------------------------------------------------------------
def test_rows_come_as_dicts_with_attributes(exec_sql: Callable[..., Any]) -> None:
    rows = exec_sql("SELECT a, b FROM t ORDER BY a").to_array()

    assert rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
    assert rows[1].b == "y"


def test_of_columns_with_one_name_the_last_wins_and_raw_keeps_all(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT 1 AS a, 2 AS a")

    assert cursor.column_names == ["a", "a"]
    assert exec_sql("SELECT 1 AS a, 2 AS a").one() == {"a": 2}
    assert exec_sql("SELECT 1 AS a, 2 AS a").raw().to_array() == [[1, 2]]


def test_one_wants_exactly_one_row(exec_sql: Callable[..., Any]) -> None:
    with pytest.raises(SqlError) as none:
        exec_sql("SELECT * FROM t WHERE a > 9").one()
    with pytest.raises(SqlError) as many:
        exec_sql("SELECT * FROM t").one()

    assert str(none.value) == "Expected exactly one result from SQL query, but got no results."
    assert str(many.value) == "Expected exactly one result from SQL query, but got multiple results."
    exec_sql("DROP TABLE t")  # neither cursor holds the table


def test_next_says_done_for_ever(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT a FROM t WHERE a = 1")

    assert cursor.next() == {"done": False, "value": {"a": 1}}
    assert cursor.next() == {"done": True}
    assert cursor.next().done is True


def test_a_cursor_and_its_raw_form_share_their_position(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT a FROM t ORDER BY a")

    assert next(cursor) == {"a": 1}
    assert next(cursor.raw()) == [2]
    assert cursor.to_array() == [{"a": 3}]


def test_the_cursor_runs_one_row_ahead(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT a FROM t")
    seen = [cursor.rows_read]
    for _ in cursor:
        seen.append(cursor.rows_read)

    assert seen == [1, 2, 3, 3]


def test_rows_written_counts_changed_rows(exec_sql: Callable[..., Any]) -> None:
    assert exec_sql("UPDATE t SET b = 1").rows_written == 3
    assert exec_sql("UPDATE t SET b = 1").rows_written == 3
    assert exec_sql("INSERT INTO t VALUES (9, 9) RETURNING a").rows_written == 1
    assert exec_sql("SELECT * FROM t").rows_written == 0


def test_column_names_survive_empty_results_and_are_empty_for_statements_without_any(
    exec_sql: Callable[..., Any],
) -> None:
    empty = exec_sql("SELECT a, b FROM t WHERE a > 9")
    assert (empty.column_names, empty.to_array()) == (["a", "b"], [])
    assert exec_sql("DELETE FROM t WHERE a > 9").column_names == []


def test_the_platforms_spelling_works(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT a FROM t ORDER BY a")

    assert (cursor.columnNames, cursor.rowsRead, cursor.rowsWritten) == (["a"], 1, 0)
    assert cursor.raw().toArray() == [[1], [2], [3]]


def test_a_statement_takes_effect_when_it_is_executed_even_if_nobody_reads_its_rows(
    exec_sql: Callable[..., Any], store: ActorStore
) -> None:
    exec_sql("INSERT INTO t VALUES (4, 'w'), (5, 'v') RETURNING a")

    assert store.commit() is True
    assert exec_sql("SELECT count(*) AS n FROM t").one() == {"n": 5}


def test_a_write_to_the_table_that_is_read_shows_in_the_cursor(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT a FROM t ORDER BY a")
    exec_sql("INSERT INTO t VALUES (4, 'w')")

    assert [row["a"] for row in cursor] == [1, 2, 3, 4]


def test_a_table_with_an_open_cursor_cannot_be_dropped(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT a FROM t")

    with pytest.raises(SqlError) as caught:
        exec_sql("DROP TABLE t")
    assert str(caught.value) == "database table is locked: SQLITE_LOCKED"

    del cursor
    exec_sql("DROP TABLE t")


def test_two_runs_of_one_text_do_not_disturb_each_other(exec_sql: Callable[..., Any]) -> None:
    for _ in range(3):
        first, second = exec_sql("SELECT a FROM t ORDER BY a"), exec_sql("SELECT a FROM t ORDER BY a")
        assert [next(first), next(second), next(first)] == [{"a": 1}, {"a": 1}, {"a": 2}]


def test_a_known_statement_sees_a_new_column(exec_sql: Callable[..., Any]) -> None:
    for _ in range(3):
        assert exec_sql("SELECT * FROM t WHERE a = 1").one() == {"a": 1, "b": "x"}

    exec_sql("ALTER TABLE t ADD COLUMN c DEFAULT 7")

    assert exec_sql("SELECT * FROM t WHERE a = 1").one() == {"a": 1, "b": "x", "c": 7}


def test_a_known_statement_forgets_a_column_that_was_rolled_back(
    store: ActorStore, exec_sql: Callable[..., Any]
) -> None:
    name = store.savepoint()
    exec_sql("ALTER TABLE t ADD COLUMN c DEFAULT 7")
    assert exec_sql("SELECT * FROM t WHERE a = 9").column_names == ["a", "b", "c"]
    store.rollback_to(name)

    assert exec_sql("SELECT * FROM t WHERE a = 9").column_names == ["a", "b"]


def test_thousands_of_different_texts_leave_a_bounded_memory(store: ActorStore) -> None:
    for number in range(1000):
        assert store.sql.exec(f"SELECT {number} AS n").one() == {"n": number}

    assert len(store.sql._plans) <= 128


# --- several statements ---------------------------------------------------------------------------------------------
def test_all_statements_run_and_the_last_ones_rows_come_back(store: ActorStore) -> None:
    cursor = store.sql.exec(
        "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); SELECT * FROM t; PRAGMA table_info(t);"
        " SELECT sum(a) + ? AS s FROM t;\n",
        10,
    )

    assert cursor.one() == {"s": 13}


def test_only_the_last_statement_takes_parameters(exec_sql: Callable[..., Any]) -> None:
    with pytest.raises(SqlError) as caught:
        exec_sql("INSERT INTO t VALUES (9, ?); SELECT 1", 5)

    assert str(caught.value) == (
        "When executing multiple SQL statements in a single call, only the last statement can have parameters,"
        " but this one has 1: INSERT INTO t VALUES (9, ?);"
    )
    assert exec_sql("SELECT count(*) AS n FROM t").one() == {"n": 3}


@pytest.mark.parametrize("query", ["", "  \n", ";", "-- nothing", "/* nothing */", "SELECT 1; -- c", "SELECT 1; /* c"])
def test_text_whose_end_is_no_statement_is_refused(store: ActorStore, query: str) -> None:
    with pytest.raises(SqlError) as caught:
        store.sql.exec(query)

    assert str(caught.value) == "SQL code did not contain a statement."


def test_a_semicolon_in_a_string_or_trigger_ends_nothing(store: ActorStore) -> None:
    store.sql.exec("CREATE TABLE t (a)")
    store.sql.exec("CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a = a + 1; UPDATE t SET a = a * 2; END")
    store.sql.exec("INSERT INTO t VALUES (1)")

    assert store.sql.exec("SELECT a, ';' AS c FROM t -- end; of it").one() == {"a": 4, "c": ";"}


def test_the_offset_of_an_error_counts_from_the_beginning_of_the_text(store: ActorStore) -> None:
    with pytest.raises(SqlError) as caught:
        store.sql.exec("SELECT 'é'; SELEC 2")

    assert str(caught.value) == 'near "SELEC": syntax error at offset 13: SQLITE_ERROR'


# --- errors ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        ("SELEC", 'near "SELEC": syntax error at offset 0: SQLITE_ERROR', "SQLITE_ERROR"),
        ("SELECT * FROM nope", "no such table: nope: SQLITE_ERROR", "SQLITE_ERROR"),
        (
            "INSERT INTO u VALUES (1), (1)",
            "UNIQUE constraint failed: u.v: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)",
            "SQLITE_CONSTRAINT_UNIQUE",
        ),
        (
            "INSERT INTO child VALUES (5)",
            "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)",
            "SQLITE_CONSTRAINT_FOREIGNKEY",
        ),
        (
            "INSERT INTO strict VALUES (1.5)",
            "cannot store REAL value in INT column strict.n: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_DATATYPE)",
            "SQLITE_CONSTRAINT_DATATYPE",
        ),
        ("SELECT 1 LIMIT 1.5", "datatype mismatch: SQLITE_MISMATCH", "SQLITE_MISMATCH"),
        ("VACUUM", "cannot VACUUM from within a transaction: SQLITE_ERROR", "SQLITE_ERROR"),
    ],
)
def test_errors_have_the_platforms_wording(store: ActorStore, query: str, message: str, code: str) -> None:
    store.sql.exec("CREATE TABLE u (v UNIQUE); CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    store.sql.exec("CREATE TABLE child (id REFERENCES parent (id)); CREATE TABLE strict (n INT) STRICT")

    with pytest.raises(SqlError) as caught:
        store.sql.exec(query)

    assert (str(caught.value), caught.value.code, caught.value.critical) == (message, code, False)


def test_an_error_undoes_its_statement_and_leaves_the_turn_usable(exec_sql: Callable[..., Any]) -> None:
    exec_sql("INSERT INTO t VALUES (4, 'w')")
    with pytest.raises(SqlError, match="UNIQUE constraint failed"):
        exec_sql("INSERT INTO t VALUES (5, 'v'), (1, 'again')")
    exec_sql("INSERT INTO t VALUES (6, 'u')")

    assert [row["a"] for row in exec_sql("SELECT a FROM t ORDER BY a")] == [1, 2, 3, 4, 6]


LIMITS: list[tuple[str, str]] = [
    ("SELECT zeroblob(3000000)", "string or blob too big: SQLITE_TOOBIG"),
    ("SELECT " + "1 " * 60_000, "statement too long (120007 bytes, at most 100000): SQLITE_TOOBIG"),
    (f"CREATE TABLE w ({', '.join(f'c{n}' for n in range(101))})", "too many columns on w: SQLITE_ERROR"),
    ("SELECT " + "+".join("1" * 102), "Expression tree is too large (maximum depth 100): SQLITE_ERROR"),
    (" UNION ".join(["SELECT 1"] * 6), "too many terms in compound SELECT: SQLITE_ERROR"),
    (f"SELECT 'x' LIKE '{'a' * 51}'", "LIKE or GLOB pattern too complex: SQLITE_ERROR"),
    ("SELECT ?101", "variable number must be between ?1 and ?100 at offset 7: SQLITE_ERROR"),
]


@pytest.mark.parametrize(("query", "message"), LIMITS, ids=[message[:30] for _, message in LIMITS])
def test_limits_of_the_platform_hold(store: ActorStore, query: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        store.sql.exec(query)

    assert str(caught.value) == message


def test_exec_wants_a_string(store: ActorStore) -> None:
    with pytest.raises(TypeError, match="exec\\(\\) takes an SQL string first, got list"):
        store.sql.exec(["SELECT 1"])  # type: ignore[arg-type]


def test_a_nul_character_in_the_text_is_an_error(store: ActorStore) -> None:
    with pytest.raises(SqlError):
        store.sql.exec("SELECT 1\0; DROP TABLE t")


# --- places it does not work from -----------------------------------------------------------------------------------
def test_storage_in_another_thread_says_what_to_do(store: ActorStore) -> None:
    caught: list[BaseException] = []

    def work() -> None:
        for use in (lambda: store.sql.exec("SELECT 1"), lambda: store.kv.get("a"), lambda: store.alarm.get()):
            try:
                use()
            except StorageError as error:
                caught.append(error)

    thread = threading.Thread(target=work, name="helper")
    thread.start()
    thread.join()

    assert len(caught) == 3
    for error in caught:
        assert "storage was used in thread 'helper'" in str(error)
        assert "asyncio.to_thread() only the computation" in str(error)


def test_a_cursor_in_another_thread_is_refused_too(exec_sql: Callable[..., Any]) -> None:
    cursor = exec_sql("SELECT a FROM t")
    caught: list[BaseException] = []

    def work() -> None:
        try:
            list(cursor)
        except StorageError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert "an actor's storage belongs to the thread that runs the actor" in str(caught[0])
    assert next(cursor) == {"a": 1}


def test_database_size_follows_what_is_stored(store: ActorStore) -> None:
    assert store.sql.database_size == 4096
    store.sql.exec("CREATE TABLE t (b)")
    store.sql.exec("INSERT INTO t VALUES (zeroblob(100000))")
    full = store.sql.database_size
    store.sql.exec("DROP TABLE t")

    assert full > 100_000
    assert store.sql.database_size == 4096


@pytest.mark.parametrize(
    "query",
    [
        "/* c */ SELECT 1 AS n",
        "/* a */ /* b */ SELECT 1 AS n",
        "-- c\nSELECT 1 AS n",
        "; /* ' */ SELECT 1 AS n /* d */",
    ],
)
def test_a_comment_ends_where_it_ends(store: ActorStore, query: str) -> None:
    assert store.sql.exec(query).one() == {"n": 1}
