"""One object's storage as a whole: existence, deleting everything, and tools that look inside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable.errors import SqlError, StorageError
from durable.storage.actor_store import ActorStore
from durable.storage.sql.inspection import Inspection


# --- existence ------------------------------------------------------------------------------------------------------
def test_an_object_exists_from_its_first_committed_write(open_store: Callable[[], ActorStore]) -> None:
    store = open_store()
    assert (store.exists, store.is_new, store.is_empty) == (False, True, True)
    store.sql.exec("SELECT 1")
    assert (store.exists, store.is_new) == (False, True)
    store.kv.put("k", 1)
    assert (store.exists, store.is_new, store.is_empty) == (True, True, False)
    store.rollback()
    assert (store.exists, store.is_new) == (False, True)
    store.kv.put("k", 1)
    store.commit()
    assert (store.exists, store.is_new, store.is_empty) == (True, False, False)

    again = open_store()
    assert (again.exists, again.is_new, again.is_empty) == (True, False, False)


def test_memory_only_use_touches_no_file(store: ActorStore, object_file: Path) -> None:
    assert (store.in_transaction, store.commit(), store.undurable_epoch, store.exists) == (False, False, 0, False)
    store.rollback()
    store.close()

    assert not object_file.parent.parent.exists()


def test_it_can_be_used_again_after_closing(store: ActorStore) -> None:
    store.kv.put("k", 1)
    store.alarm.set(2_000_000_000_000)
    store.sql.exec("CREATE TABLE t (a)")
    store.commit()
    store.close()

    assert store.kv.get("k") == 1
    assert store.alarm.get() == 2_000_000_000_000
    assert store.sql.exec("SELECT count(*) AS n FROM t").one() == {"n": 0}


def test_a_cursor_that_outlives_its_file_says_why_it_ends(store: ActorStore) -> None:
    store.sql.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
    store.commit()
    cursor = store.sql.exec("SELECT * FROM t")
    store.close()

    with pytest.raises(SqlError) as caught:
        next(cursor)
    assert str(caught.value) == "the object's storage was closed"


def test_it_knows_which_databases_are_its_own(store: ActorStore) -> None:
    assert store.is_open_on([]) is False
    database = store.database
    assert store.is_open_on([database]) is True


# --- delete_all -----------------------------------------------------------------------------------------------------
@pytest.fixture
def crowded(store: ActorStore) -> ActorStore:
    """All that makes dropping hard: foreign keys both ways, search and box indexes, views, triggers, a sequence."""
    store.sql.exec("CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, child REFERENCES child (id))")
    store.sql.exec("CREATE TABLE child (id INTEGER PRIMARY KEY, parent NOT NULL REFERENCES parent (id))")
    store.sql.exec("INSERT INTO parent VALUES (7, NULL); INSERT INTO child VALUES (1, 7); UPDATE parent SET child = 1")
    store.sql.exec("CREATE VIRTUAL TABLE search USING fts5(x); INSERT INTO search VALUES ('hello')")
    store.sql.exec("CREATE VIRTUAL TABLE box USING rtree(id, a, b); INSERT INTO box VALUES (1, 2, 3)")
    store.sql.exec(
        'CREATE TABLE "odd ""name; --" (a); CREATE VIEW v AS SELECT * FROM parent; CREATE VIEW w AS SELECT * FROM v'
    )
    store.sql.exec("CREATE INDEX i ON child (parent); ANALYZE")
    store.sql.exec("CREATE TRIGGER guard BEFORE DELETE ON child BEGIN SELECT RAISE(ABORT, 'never'); END")
    store.kv.put("k", 1)
    store.alarm.set(2_000_000_000_000)
    store.commit()
    return store


@pytest.mark.parametrize("keep_alarm", [True, False])
def test_delete_all_leaves_nothing_but_perhaps_the_alarm(
    crowded: ActorStore, open_store: Callable[[], ActorStore], keep_alarm: bool
) -> None:
    crowded.delete_all(keep_alarm=keep_alarm)
    assert crowded.in_transaction
    assert crowded.commit() is True

    for again in (lambda: crowded, open_store):
        store = again()
        names = [row["name"] for row in store.sql.exec("SELECT name FROM sqlite_schema ORDER BY name")]
        assert [name for name in names if not name.startswith(("_cf_", "sqlite_"))] == []
        assert store.kv.list() == {}
        assert store.alarm.get() == (2_000_000_000_000 if keep_alarm else None)
        assert store.is_empty is not keep_alarm
        assert store.sql.exec("PRAGMA quick_check").one() == {"quick_check": "ok"}


def test_delete_all_is_part_of_the_turn(crowded: ActorStore) -> None:
    crowded.delete_all(keep_alarm=False)
    crowded.sql.exec("CREATE TABLE parent (other)")
    crowded.rollback()

    assert crowded.kv.get("k") == 1
    assert crowded.alarm.get() == 2_000_000_000_000
    assert crowded.sql.exec("SELECT * FROM w").to_array() == [{"id": 7, "child": 1}]
    assert crowded.sql.exec("SELECT * FROM search WHERE search MATCH 'hello'").one() == {"x": "hello"}


def test_after_delete_all_the_object_starts_over(crowded: ActorStore) -> None:
    crowded.delete_all(keep_alarm=False)
    crowded.sql.exec("CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    crowded.kv.put("k", 2)

    assert crowded.sql.exec("INSERT INTO parent DEFAULT VALUES RETURNING id").one() == {"id": 1}
    assert crowded.commit() is True
    assert crowded.kv.list() == {"k": 2}
    crowded.sql.exec("CREATE TABLE c (p REFERENCES parent (id))")
    with pytest.raises(SqlError, match="FOREIGN KEY constraint failed"):
        crowded.sql.exec("INSERT INTO c VALUES (99)")


def test_delete_all_cancels_open_cursors(crowded: ActorStore) -> None:
    crowded.sql.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)")
    cursor, finished = crowded.sql.exec("SELECT a FROM t"), crowded.sql.exec("SELECT a FROM t WHERE a = 9")
    raw = cursor.raw()
    crowded.delete_all(keep_alarm=False)

    for reader in (cursor, raw):
        with pytest.raises(SqlError) as caught:
            next(reader)
        assert str(caught.value) == "SQLite query was canceled because the database was deleted."
    assert finished.to_array() == []


def test_delete_all_inside_an_explicit_transaction_is_refused(crowded: ActorStore) -> None:
    name = crowded.savepoint()
    with pytest.raises(StorageError) as caught:
        crowded.delete_all(keep_alarm=False)
    crowded.release(name)

    assert str(caught.value) == "delete_all() cannot be called within a transaction; call it before or after"
    assert crowded.kv.get("k") == 1


def test_delete_all_of_an_object_without_a_file_makes_none(store: ActorStore, object_file: Path) -> None:
    store.delete_all(keep_alarm=False)

    assert not object_file.exists()


def test_foreign_keys_that_the_user_switched_off_stay_off(crowded: ActorStore) -> None:
    crowded.sql.exec("PRAGMA foreign_keys = off")
    crowded.delete_all(keep_alarm=False)

    assert crowded.sql.exec("PRAGMA foreign_keys").one() == {"foreign_keys": 0}


# --- tools ----------------------------------------------------------------------------------------------------------
def look(store: ActorStore, sql: str, **options: Any) -> Inspection:
    return store.inspect(sql, **{"write": False, "rows_max": 100, "seconds_max": 5.0, **options})[-1]


def test_a_tool_reads_rows_up_to_its_cap(crowded: ActorStore) -> None:
    found = look(crowded, "SELECT 1; SELECT value AS v FROM json_each('[1, 2, 3]')", rows_max=2)

    assert found == Inspection(columns=["v"], rows=[[1], [2]], truncated=True, rows_written=0)
    assert look(crowded, "SELECT 1 AS one WHERE 0") == Inspection(["one"], [], False, 0)


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO box VALUES (2, 3, 4)", "DELETE FROM parent", "CREATE TABLE x (a)", "DROP TABLE box",
     "PRAGMA optimize", "PRAGMA foreign_keys = off", "ALTER TABLE box RENAME TO y",
     "SELECT 1; UPDATE parent SET id = 1", "BEGIN", "ATTACH 'x' AS y", "VACUUM"],
)  # fmt: skip
def test_a_tool_that_only_reads_changes_nothing(crowded: ActorStore, sql: str) -> None:
    told: list[int] = []
    crowded.on_first_write = lambda: told.append(1)

    with pytest.raises(SqlError) as caught:
        look(crowded, sql)

    assert "SQLITE_AUTH" in (caught.value.code, str(caught.value)[-11:])
    assert (told, crowded.in_transaction) == ([], False)
    assert crowded.sql.exec("PRAGMA foreign_keys").one() == {"foreign_keys": 1}


@pytest.mark.parametrize("write", [False, True])
def test_the_platforms_tables_are_hidden_from_tools(crowded: ActorStore, write: bool) -> None:
    with pytest.raises(SqlError, match=r"access to _cf_KV\.key is prohibited"):
        look(crowded, "SELECT * FROM _cf_KV", write=write)
    with pytest.raises(SqlError, match="not authorized"):
        look(crowded, "DROP TABLE _cf_KV", write=True)


def test_a_tools_write_commits_by_itself_and_tells_no_actor(
    crowded: ActorStore, open_store: Callable[[], ActorStore]
) -> None:
    told: list[int] = []
    crowded.on_first_write = lambda: told.append(1)

    found = look(crowded, "CREATE TABLE x (a); INSERT INTO x VALUES (1), (2) RETURNING a", write=True)

    assert found == Inspection(["a"], [[1], [2]], False, 2)
    assert (told, crowded.in_transaction, crowded.commit()) == ([], False, False)
    assert open_store().sql.exec("SELECT count(*) AS n FROM x").one() == {"n": 2}


def test_a_tools_script_is_written_whole_or_not_at_all(crowded: ActorStore) -> None:
    with pytest.raises(SqlError, match="no such table: nope"):
        look(crowded, "CREATE TABLE x (a); INSERT INTO nope VALUES (1)", write=True)

    assert not crowded.in_transaction
    with pytest.raises(SqlError, match="no such table: x"):
        crowded.sql.exec("SELECT * FROM x")


@pytest.mark.parametrize("write", [False, True])
def test_a_tools_query_is_stopped_when_its_time_is_up(crowded: ActorStore, write: bool) -> None:
    endless = "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT max(x) FROM r"
    with pytest.raises(StorageError) as caught:
        look(crowded, endless if not write else f"CREATE TABLE big AS {endless}", write=write, seconds_max=0.0)

    assert str(caught.value) == "the query took longer than 0 seconds and was stopped"
    assert crowded.kv.get("k") == 1
    assert not crowded.in_transaction


def test_a_tool_may_look_from_another_thread(crowded: ActorStore) -> None:
    found: list[Inspection] = []
    thread = threading.Thread(target=lambda: found.append(look(crowded, "SELECT 1 AS one")))
    thread.start()
    thread.join()

    assert found[0].rows == [[1]]
    assert crowded.kv.get("k") == 1


def test_a_tool_never_makes_an_object(store: ActorStore, object_file: Path) -> None:
    with pytest.raises(StorageError) as caught:
        look(store, "CREATE TABLE t (a)", write=True)

    assert str(caught.value) == "the object has no data"
    assert not object_file.exists()


def test_a_tool_waits_its_turn(crowded: ActorStore) -> None:
    crowded.kv.put("k", 2)

    with pytest.raises(StorageError, match="the object is in the middle of a transaction; try again"):
        look(crowded, "SELECT 1")
