"""What an object's file says of its migrations: part of the transaction, gone with everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.clock import SystemClock
from durable.storage.actor_store import ActorStore


@pytest.fixture
def store(tmp_path: Path) -> ActorStore:
    return ActorStore(tmp_path / "a.sqlite", clock=SystemClock(), on_first_write=lambda: None)


def test_looking_makes_no_file(store: ActorStore) -> None:
    assert store.schema.checksums() == ()
    assert not store.has_file


def test_versions_are_committed_and_rolled_back_with_the_transaction(store: ActorStore) -> None:
    store.schema.add(1, "0001_a.sql", "aa", 1)
    store.commit()
    store.schema.add(2, "0002_b.sql", "bb", 2)
    assert store.schema.checksums() == ("aa", "bb")
    store.rollback()
    assert store.schema.checksums() == ("aa",)
    store.end()


def test_deleting_everything_deletes_the_versions_and_the_first_one_can_be_noted_again(store: ActorStore) -> None:
    store.schema.add(1, "0001_a.sql", "aa", 1)
    store.sql.exec("CREATE TABLE m(id)")
    store.commit()
    store.delete_all(keep_alarm=False)
    store.commit()
    assert store.schema.checksums() == ()
    assert store.is_empty
    store.schema.add(1, "0001_a.sql", "cc", 1)
    assert store.schema.checksums() == ("cc",)
    store.end()


def test_no_sql_of_the_users_reaches_them(store: ActorStore) -> None:
    store.schema.add(1, "0001_a.sql", "aa", 1)
    with pytest.raises(Exception, match="prohibited|not authorized"):
        store.sql.exec("DELETE FROM _cf_MIGRATIONS")
    store.sql.exec("CREATE TABLE m(id)")
    store.sql.exec("ALTER TABLE m RENAME TO n")
    store.end()
