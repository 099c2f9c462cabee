"""`state.sqlite`: what it records, what it refuses, and that it is never half written."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from durable.clock import ClockSetting
from durable.config import Location
from durable.errors import MigrationError, NotFoundError, StorageCorruptError, StorageError
from durable.storage.class_life.declared import digest_of
from durable.storage.migration_plan import CreateClass, DeleteClass, MigrationPlan, PlannedMigration, RenameClass, Step
from durable.storage.state_db import APPLICATION_ID, AppliedMigration, DeletedNamespace, NamespaceRow, StateDatabase

PLACE = Location("durable.toml", 1, 1)


def a_plan(*migrations: tuple[str, list[Step]], applied: tuple[str, ...] = ()) -> MigrationPlan:
    return MigrationPlan(applied, tuple(PlannedMigration(tag, tuple(steps), PLACE) for tag, steps in migrations))


def key(class_name: str) -> str:
    return f"{class_name}-00000000"


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as reader:
        return reader.execute(sql).fetchall()


def test_a_new_state_is_empty_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with StateDatabase(path) as database:
        assert database.namespaces(None) == []
        assert database.applied_tags(None) == []
        assert database.unfinished_moves() == []
        assert database.clock == ClockSetting()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_every_commit_reaches_the_disk_before_it_returns(tmp_path: Path) -> None:
    with StateDatabase(tmp_path / "state.sqlite") as database:
        assert database._connection.pragma("synchronous") == 2  # FULL


def test_an_applied_plan_is_recorded_with_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    steps: list[Step] = [CreateClass("Room", True), CreateClass("Old", False)]
    with StateDatabase(path) as database:
        database.apply(None, a_plan(("v1", steps), ("v2", [])), now_ms=5, make_key=key)
    with StateDatabase(path) as database:
        assert database.namespaces(None) == [
            NamespaceRow("Old-00000000", "Old", False, None, 5),
            NamespaceRow("Room-00000000", "Room", True, None, 5),
        ]
        assert database.applied_tags(None) == ["v1", "v2"]
        assert database.applied_migrations(None) == [
            AppliedMigration("v1", 0, 5, [step.to_json() for step in steps], {}, digest_of({})),
            AppliedMigration("v2", 1, 5, [], {}, digest_of({})),
        ]


def test_a_rename_keeps_the_key_and_a_deletion_leaves_a_record(tmp_path: Path) -> None:
    with StateDatabase(tmp_path / "state.sqlite") as database:
        database.apply(None, a_plan(("v1", [CreateClass("A", True), CreateClass("B", True)])), now_ms=1, make_key=key)
        second = a_plan(("v2", [DeleteClass("B"), RenameClass("A", "B")]), applied=("v1",))
        database.apply(None, second, now_ms=2, make_key=key)
        assert database.namespaces(None) == [NamespaceRow("A-00000000", "B", True, None, 1)]
        folder = "B-00000000-19700101T000000Z"
        assert database.deleted_namespaces(None) == [DeletedNamespace("B-00000000", "B", True, None, 1, 2, folder)]
        (move,) = database.unfinished_moves()
        assert (move.key, move.kind, move.place) == ("B-00000000", "deleted", folder)
        database.finish_move(move)
        assert database.unfinished_moves() == []


def test_environments_do_not_see_each_other(tmp_path: Path) -> None:
    keys = iter(["Room-00000001", "Room-00000002"])
    plan = a_plan(("v1", [CreateClass("Room", True)]))
    with StateDatabase(tmp_path / "state.sqlite") as database:
        database.apply(None, plan, now_ms=1, make_key=lambda _: next(keys))
        assert database.applied_tags("staging") == []
        database.apply("staging", plan, now_ms=1, make_key=lambda _: next(keys))
        assert [row.key for row in database.namespaces(None)] == ["Room-00000001"]
        assert database.namespaces("staging") == [NamespaceRow("Room-00000002", "Room", True, "staging", 1)]


def test_a_key_is_never_used_again_not_even_after_its_class_was_deleted(tmp_path: Path) -> None:
    keys = iter(["A-00000001", "A-00000001", "A-00000002"])
    with StateDatabase(tmp_path / "state.sqlite") as database:
        steps: list[Step] = [CreateClass("A", True), DeleteClass("A"), CreateClass("A", True)]
        database.apply(None, a_plan(("v1", steps)), now_ms=1, make_key=lambda _: next(keys))
        assert [row.key for row in database.namespaces(None)] == ["A-00000002"]
        with pytest.raises(StorageError, match="no unused key for the namespace of B after 100 tries"):
            database.apply(
                None,
                a_plan(("v2", [CreateClass("B", True)]), applied=("v1",)),
                now_ms=1,
                make_key=lambda _: "A-00000001",
            )


def test_a_plan_that_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    plan = a_plan(("v1", [CreateClass("A", True)]), ("v2", [CreateClass("B", True)]))
    with StateDatabase(tmp_path / "state.sqlite") as database:
        with pytest.raises(ValueError, match=r"not the key of a namespace: '\.\./B'"):
            database.apply(None, plan, now_ms=1, make_key=lambda name: key(name) if name == "A" else f"../{name}")
        assert database.namespaces(None) == []
        assert database.applied_tags(None) == []


def test_a_plan_made_for_another_state_is_refused(tmp_path: Path) -> None:
    plan = a_plan(("v1", [CreateClass("A", True)]))
    with StateDatabase(tmp_path / "state.sqlite") as database:
        database.apply(None, plan, now_ms=1, make_key=key)
        with pytest.raises(MigrationError) as caught:
            database.apply(None, plan, now_ms=1, make_key=key)
        assert str(caught.value) == (
            'the state changed after the plan was made: the last applied tag was none then and is "v1" now'
        )
        assert caught.value.fix == "durable migrate status"


def test_the_clocks_offset_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with StateDatabase(path) as database:
        database.set_clock(ClockSetting(-86_400_000, 1_700_000_000_000))
    with StateDatabase(path) as database:
        assert database.clock == ClockSetting(-86_400_000, 1_700_000_000_000)
        database.set_clock(ClockSetting(5))
        assert database.clock == ClockSetting(5)


# --- opening ----------------------------------------------------------------------------------------------------------
def test_a_tool_makes_no_state_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        StateDatabase(tmp_path / "state.sqlite", create=False)
    assert str(caught.value) == f"there is no state in {tmp_path} yet"
    assert list(tmp_path.iterdir()) == []


def test_a_crash_right_after_creation_leaves_a_file_that_is_filled_later(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").touch()
    with StateDatabase(tmp_path / "state.sqlite") as database:
        assert database.applied_tags(None) == []


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_state_file_that_was_lost_is_not_replaced_while_there_is_data(is_empty: bool, tmp_path: Path) -> None:
    (tmp_path / "Room-0123456789ab").mkdir()
    path = tmp_path / "state.sqlite"
    if is_empty:
        path.touch()
    with pytest.raises(StorageCorruptError) as caught:
        StateDatabase(path)
    assert str(caught.value) == (
        f"{path} {'is empty' if is_empty else 'is missing'}, but {tmp_path} holds the data of Room-0123456789ab; "
        "put the file back, or move the folder away to start anew"
    )


def test_a_state_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    StateDatabase(path).close()
    with closing(sqlite3.connect(path)) as writer, writer:
        writer.execute("UPDATE settings SET value = 7 WHERE name = 'format_version'")
    before = path.read_bytes()
    with pytest.raises(StorageError) as caught:
        StateDatabase(path)
    assert str(caught.value) == (
        f"{tmp_path} was written by a newer durable (format 7, this one knows 2); nothing was changed"
    )
    assert path.read_bytes() == before


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as writer, writer:
        writer.execute("CREATE TABLE theirs(x)")
    with pytest.raises(StorageCorruptError) as caught:
        StateDatabase(path)
    assert str(caught.value) == f"{path} was not written by durable"


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"not a database, but long enough to look like a page " * 100)
    with pytest.raises(StorageCorruptError, match=r"state\.sqlite cannot be read: .*file is not a database"):
        StateDatabase(path)


def test_a_lost_setting_is_corruption(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    StateDatabase(path).close()
    with closing(sqlite3.connect(path)) as writer, writer:
        writer.execute("DELETE FROM settings")
    with pytest.raises(StorageCorruptError, match='has lost its setting "format_version"'):
        StateDatabase(path)


def test_a_link_is_refused_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "state.sqlite").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError, match="cannot be opened"):
        StateDatabase(tmp_path / "state.sqlite")
    assert (tmp_path / "target").read_bytes() == b""


def test_the_record_can_be_read_by_anybody_with_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with StateDatabase(path) as database:
        database.apply("staging", a_plan(("v1", [CreateClass("Room", True)])), now_ms=5, make_key=key)
        ((environment, steps),) = rows(path, "SELECT environment, steps FROM applied_migrations")
    assert environment == "staging"
    assert json.loads(str(steps)) == [{"step": "create_class", "class": "Room", "sqlite": True}]
