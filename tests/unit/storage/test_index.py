"""The index of one namespace: what a listing, a name and the alarm scheduler find in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from durable.errors import StorageCorruptError, StorageError
from durable.storage.index import AlarmCorrection, IndexRemoval, IndexRow, NamespaceIndex


def identity(number: int) -> str:
    return f"{number:064x}"


def row(number: int, name: str | None = None, alarm_ms: int | None = None, created_ms: int = 1) -> IndexRow:
    return IndexRow(identity(number), name, created_ms, 2, alarm_ms)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "Room-1" / "index.sqlite"


@pytest.fixture
def index(path: Path):
    index = NamespaceIndex(path)
    yield index
    index.close()


def test_a_row_is_found_by_id_and_by_name(index: NamespaceIndex):
    index.put_many([row(1, "general", alarm_ms=5)])

    assert index.get(identity(1)) == IndexRow(identity(1), "general", 1, 2, 5, 0)
    assert index.find_by_name("general") == index.get(identity(1))
    assert index.get(identity(2)) is None
    assert index.find_by_name("") is None


def test_a_second_put_moves_the_alarm_and_keeps_name_creation_and_schema_version(index: NamespaceIndex):
    index.put_many([IndexRow(identity(1), "general", 1, 2, 5, schema_version=3)])

    index.put_many([IndexRow(identity(1), None, 100, 101, None)])

    assert index.get(identity(1)) == IndexRow(identity(1), "general", 1, 101, None, 3)


def test_rows_outlive_the_process_that_wrote_them(index: NamespaceIndex, path: Path):
    index.put_many([row(1)])

    again = NamespaceIndex(path)

    assert again.count() == 1
    again.close()


def test_due_alarms_come_earliest_first_and_only_those_before_the_moment(index: NamespaceIndex):
    index.put_many([row(1, alarm_ms=30), row(2, alarm_ms=10), row(3), row(4, alarm_ms=20)])

    assert [found.alarm_ms for found in index.due(before_ms=30, limit=10)] == [10, 20]
    assert [found.alarm_ms for found in index.due(before_ms=31, limit=1)] == [10]
    assert index.next_due() == 10


def test_without_alarms_nothing_is_due_next(index: NamespaceIndex):
    index.put_many([row(1)])

    assert index.next_due() is None


def test_a_listing_goes_page_by_page_in_the_order_of_ids(index: NamespaceIndex):
    index.put_many([row(number) for number in (3, 1, 2)])

    first = index.list(limit=2)
    second = index.list(after=first[-1].id, limit=2)

    assert [found.id for found in (*first, *second)] == [identity(1), identity(2), identity(3)]


def test_changes_of_one_transaction_apply_in_order(index: NamespaceIndex):
    index.apply([row(1, alarm_ms=5), IndexRemoval(identity(1)), row(1, alarm_ms=7, created_ms=9)])

    assert index.get(identity(1)) == IndexRow(identity(1), None, 9, 2, 7, 0)


def test_one_change_that_cannot_be_made_takes_the_others_with_it_and_leaves_the_index_usable(index: NamespaceIndex):
    with pytest.raises(TypeError):
        index.apply([row(1), row(2, name=object())])  # type: ignore[arg-type]
    assert index.count() == 0

    index.put_many([row(1)])
    assert index.count() == 1


def test_a_removed_object_is_gone(index: NamespaceIndex):
    index.put_many([row(1, "a")])

    index.remove(identity(1))

    assert index.count() == 0
    assert index.names(10) == ()


def test_a_correction_applies_only_while_the_index_still_says_what_was_expected(index: NamespaceIndex):
    index.put_many([row(1, alarm_ms=5), row(2, alarm_ms=6)])

    index.apply([AlarmCorrection(identity(1), 5, None), AlarmCorrection(identity(2), 5, None)])

    assert [(found.id, found.alarm_ms) for found in index.list()] == [(identity(1), None), (identity(2), 6)]


def test_names_come_last_used_first(index: NamespaceIndex):
    index.put_many([IndexRow(identity(n), name, 1, used, None) for n, name, used in ((1, "old", 1), (2, "new", 9))])

    assert index.names(limit=5) == ("new", "old")
    assert index.names(limit=1) == ("new",)


def test_only_the_owner_may_read_the_file(index: NamespaceIndex, path: Path):
    index.put_many([row(1)])

    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {0o600}


def test_a_commit_is_synced_before_the_call_returns(index: NamespaceIndex):
    full = 2

    assert index._database.pragma("synchronous") == full
    assert index._database.pragma("journal_mode") == "wal"


def test_a_file_left_empty_by_a_crash_is_filled(path: Path):
    path.parent.mkdir(parents=True)
    path.touch()

    index = NamespaceIndex(path)

    assert index.count() == 0
    index.close()


def test_text_in_place_of_an_index_is_refused_by_name(path: Path):
    path.parent.mkdir(parents=True)
    path.write_text("this is no database, and long enough to be taken for one " * 20)

    with pytest.raises(StorageCorruptError, match=r"index\.sqlite is damaged"):
        NamespaceIndex(path)


def test_someone_elses_database_is_refused_and_left_alone(path: Path):
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE mine(x)")
    foreign.close()

    with pytest.raises(StorageCorruptError, match="is not an index of objects"):
        NamespaceIndex(path)

    with sqlite3.connect(path) as foreign:
        assert foreign.execute("SELECT count(*) FROM mine").fetchone() == (0,)
    foreign.close()


def test_a_later_format_is_refused_with_both_numbers(index: NamespaceIndex, path: Path):
    index._database.pragma("user_version", 7)

    with pytest.raises(StorageCorruptError, match="has index format 7; this version reads format 1"):
        NamespaceIndex(path)


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path):
    path.parent.mkdir(parents=True)
    target = tmp_path / "target"
    target.touch()
    os.symlink(target, path)

    with pytest.raises(StorageError, match=r"index\.sqlite"):
        NamespaceIndex(path)

    assert target.stat().st_size == 0


def test_a_missing_index_that_is_not_to_be_made_is_empty_and_stays_missing(path: Path):
    index = NamespaceIndex(path, create=False)

    assert (index.count(), index.list(), index.get("a" * 64)) == (0, (), None)
    index.close()
    assert not path.parent.exists()


def test_a_link_to_nothing_is_no_missing_index(path: Path, tmp_path: Path):
    path.parent.mkdir(parents=True)
    os.symlink(tmp_path / "nowhere", path)

    with pytest.raises(StorageError, match=r"index\.sqlite"):
        NamespaceIndex(path, create=False)
    assert not (tmp_path / "nowhere").exists()
