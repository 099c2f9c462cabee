"""What an object's file says of its migrations: part of the transaction, gone with everything else."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from durable.clock import SystemClock
from durable.storage.actor_store import ActorStore
from durable.storage.schema_record import quick_checksums


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


# --- a quick look ----------------------------------------------------------------------------------------------------
@pytest.fixture
def noted(store: ActorStore) -> Path:
    """An object with two migrations, most of it in its log."""
    for version, checksum in enumerate(("aa", "bb"), 1):
        store.schema.add(version, f"000{version}_a.sql", checksum, 1)
    store.commit()
    store.end()
    return store.path


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {each.name: (each.stat().st_size, each.stat().st_mtime_ns) for each in folder.iterdir()}


def test_a_quick_look_reads_the_log_and_changes_no_file(noted: Path) -> None:
    before = files(noted.parent)

    assert before[f"{noted.name}-wal"][0] > 0
    assert quick_checksums(noted) == ("aa", "bb")
    assert files(noted.parent) == before


def test_a_quick_look_at_a_file_without_a_log_makes_none(noted: Path) -> None:
    connection = apsw.Connection(str(noted))
    connection.pragma("wal_checkpoint")
    connection.close()
    before = files(noted.parent)

    assert f"{noted.name}-wal" not in before
    assert quick_checksums(noted) == ("aa", "bb")
    assert files(noted.parent) == before


def test_a_quick_look_at_what_is_unusual_says_nothing_and_makes_nothing(noted: Path, tmp_path: Path) -> None:
    assert quick_checksums(tmp_path / "missing.sqlite") is None
    assert not (tmp_path / "missing.sqlite").exists()
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"nothing that SQLite knows" * 1000)
    assert quick_checksums(damaged) is None
    assert quick_checksums(noted) == ("aa", "bb")
    Path(f"{noted}-restoring").touch()
    assert quick_checksums(noted) is None


def test_a_quick_look_at_an_object_without_migrations_finds_none(store: ActorStore) -> None:
    store.sql.exec("CREATE TABLE m(id)")
    store.commit()
    store.end()

    assert quick_checksums(store.path) == ()
