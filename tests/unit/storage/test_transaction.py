"""The implicit transaction, savepoints, and errors that throw a turn's writes away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import SqlError, StorageError
from durable.storage.actor_store import ActorStore

FULL = "database or disk is full (the disk is full, or the object has reached its size limit): SQLITE_FULL"


@pytest.fixture
def numbers(store: ActorStore) -> ActorStore:
    store.sql.exec("CREATE TABLE n (v INTEGER PRIMARY KEY)")
    store.sql.exec("INSERT INTO n VALUES (1)")
    store.commit()
    return store


def values(store: ActorStore) -> list[int]:
    return [row["v"] for row in store.sql.exec("SELECT v FROM n ORDER BY v")]


def test_the_first_write_opens_it_and_says_so_once(object_file: Path, clock: ManualClock) -> None:
    told: list[str] = []
    store = ActorStore(object_file, clock=clock, on_first_write=lambda: told.append("write"))
    store.sql.exec("SELECT 1")
    assert (told, store.in_transaction) == ([], False)

    store.sql.exec("CREATE TABLE t (a)")
    store.sql.exec("INSERT INTO t VALUES (1)")
    store.kv.put("k", 1)
    store.alarm.set(2_000_000_000_000)
    assert (told, store.in_transaction) == (["write"], True)

    assert store.commit() is True
    assert store.in_transaction is False
    store.kv.put("k", 2)
    assert told == ["write", "write"]
    store.close()


def test_commit_is_false_when_nothing_was_open_or_written(numbers: ActorStore) -> None:
    assert numbers.commit() is False
    values(numbers)
    assert numbers.commit() is False
    numbers.sql.exec("DELETE FROM n WHERE v = 99")
    assert numbers.in_transaction
    assert numbers.commit() is False
    assert not numbers.in_transaction


def test_what_was_not_committed_is_not_in_the_file(open_store: Callable[[], ActorStore]) -> None:
    store = open_store()
    store.kv.put("a", 1)
    store.commit()
    store.kv.put("b", 2)

    assert open_store().kv.list() == {"a": 1}


def test_rollback_discards_the_turn(numbers: ActorStore) -> None:
    numbers.sql.exec("INSERT INTO n VALUES (2)")
    numbers.sql.exec("DROP TABLE n")
    numbers.rollback()

    assert values(numbers) == [1]
    assert not numbers.in_transaction


def test_an_open_cursor_does_not_keep_the_turn_from_committing(numbers: ActorStore) -> None:
    numbers.sql.exec("INSERT INTO n VALUES (2), (3)")
    cursor = numbers.sql.exec("SELECT v FROM n ORDER BY v")
    returned = numbers.sql.exec("INSERT INTO n VALUES (4), (5) RETURNING v")

    assert numbers.commit() is True
    assert [row["v"] for row in returned] == [4, 5]
    assert next(cursor) == {"v": 1}


# --- savepoints -----------------------------------------------------------------------------------------------------
def test_a_savepoint_keeps_or_undoes_what_came_after_it(numbers: ActorStore) -> None:
    kept = numbers.savepoint()
    numbers.sql.exec("INSERT INTO n VALUES (2)")
    numbers.release(kept)
    undone = numbers.savepoint()
    numbers.sql.exec("INSERT INTO n VALUES (3)")
    numbers.sql.exec("CREATE TABLE other (a)")
    numbers.rollback_to(undone)

    assert values(numbers) == [1, 2]
    assert numbers.commit() is True
    with pytest.raises(SqlError, match="no such table: other"):
        numbers.sql.exec("SELECT * FROM other")


def test_savepoints_nest_and_an_outer_rollback_undoes_an_inner_commit(numbers: ActorStore) -> None:
    outer = numbers.savepoint()
    inner = numbers.savepoint()
    numbers.sql.exec("INSERT INTO n VALUES (2)")
    numbers.release(inner)
    assert values(numbers) == [1, 2]
    numbers.rollback_to(outer)

    assert values(numbers) == [1]


def test_an_inner_rollback_keeps_the_outer_writes(numbers: ActorStore) -> None:
    outer = numbers.savepoint()
    numbers.sql.exec("INSERT INTO n VALUES (2)")
    inner = numbers.savepoint()
    numbers.sql.exec("INSERT INTO n VALUES (3)")
    numbers.rollback_to(inner)
    numbers.release(outer)

    assert values(numbers) == [1, 2]


def test_no_turn_commits_while_an_explicit_transaction_is_open(
    numbers: ActorStore, open_store: Callable[[], ActorStore]
) -> None:
    name = numbers.savepoint()
    numbers.sql.exec("INSERT INTO n VALUES (2)")
    assert numbers.commit() is False
    assert numbers.in_transaction
    numbers.release(name)
    assert numbers.commit() is True

    assert values(open_store()) == [1, 2]


def test_savepoints_end_from_the_inside_out_and_once(numbers: ActorStore) -> None:
    outer = numbers.savepoint()
    inner = numbers.savepoint()

    with pytest.raises(StorageError) as caught:
        numbers.rollback_to(outer)
    assert str(caught.value) == "an outer transaction cannot end while a transaction inside it is still running"
    numbers.release(inner)
    with pytest.raises(StorageError) as caught:
        numbers.release(inner)
    assert str(caught.value) == "this transaction has already ended"
    numbers.release(outer)


def test_a_savepoint_of_a_transaction_that_only_read_writes_nothing(numbers: ActorStore) -> None:
    name = numbers.savepoint()
    values(numbers)
    numbers.release(name)

    assert numbers.commit() is False


# --- critical errors ------------------------------------------------------------------------------------------------
def test_a_deferred_constraint_that_is_violated_at_the_end_undoes_the_turn(store: ActorStore) -> None:
    store.sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id))")
    store.commit()
    store.kv.put("k", 1)
    store.sql.exec("PRAGMA defer_foreign_keys = on")
    store.sql.exec("INSERT INTO c VALUES (1)")

    with pytest.raises(SqlError) as caught:
        store.commit()

    assert str(caught.value) == (
        "the turn's writes were rolled back, because they left constraints violated: FOREIGN KEY constraint failed:"
        " SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
    )
    assert caught.value.critical
    store.rollback()
    assert store.kv.get("k") is None
    assert store.sql.exec("SELECT count(*) AS n FROM c").one() == {"n": 0}


def test_a_full_disk_leaves_every_earlier_commit_intact(
    numbers: ActorStore, open_store: Callable[[], ActorStore]
) -> None:
    pages = numbers.database.run("PRAGMA page_count").get
    numbers.database.run(f"PRAGMA max_page_count = {pages + 3}").fetchall()
    numbers.sql.exec("INSERT INTO n VALUES (2)")

    with pytest.raises(SqlError) as caught:
        for number in range(20):
            numbers.kv.put(f"k{number}", b"x" * 4000)

    assert str(caught.value) == FULL
    numbers.rollback()
    assert values(numbers) == [1]
    numbers.database.run("PRAGMA max_page_count = 1000000").fetchall()
    numbers.sql.exec("INSERT INTO n VALUES (7)")
    assert numbers.commit() is True
    assert values(open_store()) == [1, 7]


def test_after_sqlite_rolled_back_by_itself_every_use_fails_until_the_reset(numbers: ActorStore) -> None:
    numbers.sql.exec("INSERT INTO n VALUES (2)")
    with pytest.raises(SqlError) as first:
        numbers.sql.exec("INSERT OR ROLLBACK INTO n VALUES (1)")
    assert first.value.critical

    for use in (
        lambda: numbers.sql.exec("SELECT 1"),
        lambda: numbers.kv.get("k"),
        lambda: numbers.kv.put("k", 1),
        lambda: numbers.alarm.get(),
        lambda: numbers.alarm_now,
        lambda: numbers.savepoint(),
        lambda: numbers.commit(),
    ):
        with pytest.raises(SqlError) as caught:
            use()
        assert caught.value is first.value

    numbers.rollback()
    assert values(numbers) == [1]
    assert numbers.kv.get("k") is None


def test_a_query_that_is_interrupted_inside_a_write_is_critical(numbers: ActorStore) -> None:
    numbers.sql.exec("INSERT INTO n VALUES (2)")
    numbers.database.connection.set_progress_handler(lambda: True, 1000)
    with pytest.raises(SqlError) as caught:
        numbers.sql.exec(
            "INSERT INTO n WITH RECURSIVE r (x) AS (SELECT 10 UNION ALL SELECT x + 1 FROM r LIMIT 100000)"
            " SELECT x FROM r"
        )
    numbers.database.connection.set_progress_handler(None)

    assert str(caught.value) == "interrupted: SQLITE_INTERRUPT"
    assert caught.value.critical
    numbers.rollback()
    assert values(numbers) == [1]
