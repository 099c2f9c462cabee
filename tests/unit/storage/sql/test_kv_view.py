"""`kv` for tools: keys and decoded values, and nobody else's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from durable.errors import SqlError, StorageError
from durable.limits import SQL_VALUE_BYTES_MAX
from durable.storage.actor_store import ActorStore
from durable.storage.sql.kv_view import CUT_CHARACTERS, describe, kv_view
from durable.values import encode

KEYS = {"a": 1, "b": {"apples": 3, "note": "é\x1b[2J"}, "c": [1.5, None], "d": b"\x00\xff", "prefix:1": {1, 2}}


@pytest.fixture
def keyed(store: ActorStore) -> ActorStore:
    store.kv.put_many(KEYS)
    store.commit()
    return store


def look(store: ActorStore, sql: str, *parameters: Any, **options: Any) -> list[list[Any]]:
    return store.inspect(sql, parameters, **{"write": False, "rows_max": 100, "seconds_max": 60.0, **options})[-1].rows


def test_values_are_decoded_and_their_bytes_counted(keyed: ActorStore) -> None:
    assert look(keyed, "SELECT * FROM kv") == [
        ["a", "int", "1", len(encode(1))],
        ["b", "dict", '{"apples": 3, "note": "é\\u001b[2J"}', len(encode(KEYS["b"]))],
        ["c", "list", "[1.5, null]", len(encode(KEYS["c"]))],
        ["d", "bytes", '{"$bytes": "AP8="}', len(encode(KEYS["d"]))],
        ["prefix:1", "set", '{"$set": [1, 2]}', len(encode(KEYS["prefix:1"]))],
    ]


def test_sqlite_reads_the_json(keyed: ActorStore) -> None:
    assert look(keyed, "SELECT value ->> '$.apples' FROM kv WHERE key = 'b'") == [[3]]
    assert look(keyed, "SELECT kv.key, j.value FROM kv, json_each(kv.value) AS j WHERE kv.type = 'list'") == [
        ["c", 1.5],
        ["c", None],
    ]


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("key = 'b'", ["b"]),
        ("key = 'B' COLLATE NOCASE", ["b"]),
        ("key = 5", []),
        ("key IS NULL", []),
        ("key = NULL", []),
        ("key > 'b'", ["c", "d", "prefix:1"]),
        ("key >= 'b' AND key < 'd'", ["b", "c"]),
        ("key <= 'a'", ["a"]),
        ("key IN ('a', 'd', 'nope')", ["a", "d"]),
        ("key GLOB 'prefix:*'", ["prefix:1"]),
        ("key LIKE 'PREFIX%'", ["prefix:1"]),
        ("key BETWEEN 'a' AND 'b' OR key = 'd'", ["a", "b", "d"]),
        ("bytes > 3 AND type <> 'dict'", ["c", "d", "prefix:1"]),
        ("key < 'b' OR key = 'a' OR key > 'c'", ["a", "d", "prefix:1"]),
    ],
)
def test_conditions_hold_whoever_checks_them(keyed: ActorStore, where: str, keys: list[str]) -> None:
    assert look(keyed, f"SELECT key FROM kv WHERE {where}") == [[key] for key in keys]
    assert look(keyed, f"SELECT key FROM kv WHERE {where} ORDER BY key DESC") == [[key] for key in reversed(keys)]


def test_keys_come_in_the_order_that_was_asked_for(keyed: ActorStore) -> None:
    assert look(keyed, "SELECT key FROM kv ORDER BY bytes, key DESC LIMIT 2") == [["a"], ["d"]]
    assert look(keyed, "SELECT max(key), min(key), count(*) FROM kv") == [["prefix:1", "a", 5]]


def test_a_key_is_found_without_reading_the_others(keyed: ActorStore) -> None:
    assert "WHERE key = ?" in str(look(keyed, "EXPLAIN QUERY PLAN SELECT value FROM kv WHERE key = 'b'"))
    assert "SELECT key, length(value), NULL" in str(look(keyed, "EXPLAIN QUERY PLAN SELECT key, bytes FROM kv"))


def test_two_passes_at_once_do_not_meet(keyed: ActorStore) -> None:
    found = look(keyed, "SELECT x.key, y.key FROM kv AS x JOIN kv AS y ON y.key < x.key ORDER BY 1, 2")
    assert len(found) == 10
    assert found[:3] == [["b", "a"], ["c", "a"], ["c", "b"]]


def test_an_object_without_keys_has_none(store: ActorStore) -> None:
    store.sql.exec("CREATE TABLE t (a)")
    store.commit()
    assert look(store, "SELECT * FROM kv") == []


def test_what_cannot_be_decoded_is_told_and_hides_nothing(keyed: ActorStore) -> None:
    keyed.database.run("UPDATE _cf_KV SET value = x'09ff' WHERE key = 'b'").fetchall()
    found = {key: (kind, json.loads(value)) for key, kind, value, _ in look(keyed, "SELECT * FROM kv")}
    assert found["b"][0] == "unreadable"
    assert "these 2 bytes are not a stored value" in found["b"][1]["$error"]
    assert found["a"] == ("int", 1)


def test_a_value_larger_than_sqlite_takes_shows_its_beginning() -> None:
    kind, text = describe(encode(b"x" * (SQL_VALUE_BYTES_MAX - 100)))
    assert kind == "bytes"
    assert json.loads(text) == {"$cut": ('{"$bytes": "' + "eHh4" * CUT_CHARACTERS)[:CUT_CHARACTERS]}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ("None", "null")),
        (True, ("bool", "true")),
        (float("nan"), ("float", '{"$float": "nan"}')),
        ((1, "a"), ("tuple", '{"$tuple": [1, "a"]}')),
        ({1: "a"}, ("dict", '{"$dict": [[1, "a"]]}')),
        (datetime(2026, 1, 31, tzinfo=UTC), ("datetime", '{"$datetime": "2026-01-31T00:00:00+00:00"}')),
    ],
)
def test_python_types_keep_their_names(value: Any, found: tuple[str, str]) -> None:
    assert describe(encode(value)) == found


# --- whose it is ----------------------------------------------------------------------------------------------------
def test_the_objects_own_sql_never_sees_it(keyed: ActorStore) -> None:
    query = "SELECT * FROM kv"
    for _ in range(2):
        with pytest.raises(SqlError, match="no such table: kv"):
            keyed.sql.exec(query)
        assert look(keyed, query)
        assert look(keyed, query, write=True)
    with pytest.raises(SqlError):
        look(keyed, "SELECT nope FROM kv")
    with pytest.raises(SqlError, match="no such table: kv"):
        keyed.sql.exec(query)


def test_a_table_of_the_users_own_hides_it(keyed: ActorStore) -> None:
    keyed.sql.exec("CREATE TABLE kv (mine)")
    keyed.sql.exec("INSERT INTO kv VALUES ('yes')")
    keyed.commit()
    assert look(keyed, "SELECT * FROM kv") == [["yes"]]
    assert look(keyed, "DELETE FROM kv RETURNING mine", write=True) == [["yes"]]
    assert look(keyed, "WITH kv AS (SELECT 7) SELECT * FROM kv") == [[7]]


def test_a_tool_can_make_a_table_of_that_name(keyed: ActorStore) -> None:
    look(keyed, "CREATE TABLE kv (mine); INSERT INTO kv VALUES (1)", write=True)
    assert keyed.sql.exec("SELECT * FROM kv").one() == {"mine": 1}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO kv VALUES ('a', 'int', '2', 1)",
        "UPDATE kv SET value = '2'",
        "DELETE FROM kv",
        "DROP TABLE kv",
        "ALTER TABLE kv RENAME TO mine",
        "ALTER TABLE kv ADD COLUMN c",
        "CREATE INDEX i ON kv (key)",
        "CREATE TRIGGER r AFTER INSERT ON kv BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE mine USING kv",
        "CREATE TABLE t (a); CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT * FROM kv; END; INSERT INTO t VALUES (1)",
        "CREATE VIEW v AS SELECT * FROM kv; SELECT * FROM v",
    ],
)
def test_it_is_for_looking_only(keyed: ActorStore, statement: str) -> None:
    with pytest.raises(SqlError):
        look(keyed, statement, write=True)
    assert keyed.kv.get("a") == 1
    assert keyed.sql.exec("SELECT count(*) AS n FROM sqlite_schema WHERE name NOT LIKE '_cf%'").one() == {"n": 0}


def test_keys_can_be_copied_into_a_table(keyed: ActorStore) -> None:
    look(keyed, "CREATE TABLE copy AS SELECT key, value FROM kv", write=True)
    assert keyed.sql.exec("SELECT value FROM copy WHERE key = 'c'").one() == {"value": "[1.5, null]"}


def test_it_opens_no_way_to_the_platforms_tables(keyed: ActorStore) -> None:
    for statement in (
        "SELECT * FROM kv JOIN _cf_KV",
        "SELECT (SELECT value FROM _cf_KV) FROM kv",
        "SELECT key FROM kv WHERE key IN (SELECT key FROM _cf_KV)",
    ):
        with pytest.raises(SqlError, match="names that begin with _cf_ belong to the platform"):
            look(keyed, statement)


def test_every_row_asks_whether_time_is_up(keyed: ActorStore) -> None:
    asked: list[int] = []
    with kv_view(keyed.database, lambda: asked.append(1)):
        keyed.database.run("SELECT count(*) FROM kv").fetchall()
    assert len(asked) == len(KEYS) + 1


def test_a_row_cap_and_a_time_limit_hold(keyed: ActorStore) -> None:
    [found] = keyed.inspect("SELECT key FROM kv", write=False, rows_max=2, seconds_max=60.0)
    assert (found.rows, found.truncated) == ([["a"], ["b"]], True)
    with pytest.raises(StorageError, match="took longer than 0 seconds"):
        look(keyed, "SELECT count(*) FROM kv", seconds_max=0.0)
    assert keyed.kv.get("a") == 1
