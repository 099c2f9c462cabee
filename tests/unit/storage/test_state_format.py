"""Formats of the state directory: an older one is brought up to date after a copy, a newer one is not touched."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from durable import failpoints
from durable.errors import StorageError
from durable.storage import state_format
from durable.storage.class_life.applying import open_state
from durable.storage.class_life.declared import digest_of
from durable.storage.layout import StateLayout
from durable.storage.state_db import DeletedNamespace, NamespaceRow, StateDatabase

FORMAT_1 = """
PRAGMA journal_mode = wal;
CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE namespaces (
    key TEXT PRIMARY KEY, environment TEXT NOT NULL, class_name TEXT NOT NULL, sqlite INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, UNIQUE (environment, class_name)
) STRICT, WITHOUT ROWID;
CREATE TABLE applied_migrations (
    environment TEXT NOT NULL, position INTEGER NOT NULL, tag TEXT NOT NULL, applied_ms INTEGER NOT NULL,
    steps TEXT NOT NULL, PRIMARY KEY (environment, position), UNIQUE (environment, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted_namespaces (
    key TEXT PRIMARY KEY, environment TEXT NOT NULL, class_name TEXT NOT NULL, deleted_ms INTEGER NOT NULL,
    is_moved INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES ('format_version', 1), ('clock_offset_ms', 77);
INSERT INTO namespaces VALUES ('Room-00000001', '', 'Hall', 1, 5);
INSERT INTO applied_migrations VALUES
    ('', 0, 'v1', 5, '[{"step": "create_class", "class": "Room", "sqlite": true},
                       {"step": "create_class", "class": "Old", "sqlite": false}]'),
    ('', 1, 'v2', 6, '[{"step": "delete_class", "class": "Old"},
                       {"step": "rename_class", "from": "Room", "to": "Hall"}]');
INSERT INTO deleted_namespaces VALUES ('Old-00000002', '', 'Old', 6000, 0), ('Log-00000003', '', 'Log', 7000, 1);
PRAGMA application_id = 1148547667;
"""
"""What the first format wrote, to the letter of its tables."""


@pytest.fixture
def old(tmp_path: Path) -> StateLayout:
    """A state of format 1, with the folder of a deletion that a crash left half done."""
    layout = StateLayout(tmp_path / "state")
    layout.ensure()
    write_format_1(layout.state_file)
    layout.ensure_namespace("Old-00000002")
    return layout


def write_format_1(path: Path) -> None:
    with closing(sqlite3.connect(path)) as writer:
        writer.executescript(FORMAT_1)


def content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as reader:
        return list(reader.iterdump())


def test_an_older_state_is_brought_up_to_date_with_all_that_it_knew(old: StateLayout) -> None:
    with open_state(old) as state:
        assert state.namespaces(None) == [NamespaceRow("Room-00000001", "Hall", True, None, 5)]
        first, second = state.applied_migrations(None)
        assert first.declared == {"new_classes": ["Old"], "new_sqlite_classes": ["Room"]}
        assert second.declared == {"deleted_classes": ["Old"], "renamed_classes": [["Room", "Hall"]]}
        assert [first.digest, second.digest] == [digest_of(first.declared), digest_of(second.declared)]
        assert state.clock.offset_ms == 77
        assert state.deleted_namespaces(None) == [
            DeletedNamespace("Log-00000003", "Log", True, None, 7000, 7000, "Log-00000003-19700101T000007Z"),
            DeletedNamespace("Old-00000002", "Old", False, None, 6000, 6000, "Old-00000002-19700101T000006Z"),
        ]
        assert state.unfinished_moves() == []
    assert (old.deleted_folder / "Old-00000002-19700101T000006Z").is_dir()


def test_the_copy_from_before_is_whole_and_can_be_put_back(old: StateLayout) -> None:
    before = content(old.state_file)
    StateDatabase(old.state_file).close()
    copy = old.state / "state.sqlite.format-1"
    assert content(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    after = content(old.state_file)
    os.replace(copy, old.state_file)
    StateDatabase(old.state_file).close()
    assert content(old.state_file) == after


def test_opening_twice_upgrades_once(old: StateLayout) -> None:
    StateDatabase(old.state_file).close()
    copy = (old.state / "state.sqlite.format-1").stat().st_mtime_ns
    StateDatabase(old.state_file).close()
    assert (old.state / "state.sqlite.format-1").stat().st_mtime_ns == copy


POINTS = ["state_format.drafted", "state_format.copied", "state_format.changed", "state_format.upgraded"]


class Crashed(BaseException):
    pass


def crash() -> None:
    raise Crashed


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_on_the_way_leaves_the_old_format_or_the_new_one(point: str, old: StateLayout) -> None:
    before = content(old.state_file)
    with failpoints.arm(point, crash), pytest.raises(Crashed):
        StateDatabase(old.state_file)
    left = content(old.state_file)
    with StateDatabase(old.state_file) as state:
        assert len(state.applied_migrations(None)) == 2
    assert left in (before, content(old.state_file))
    assert content(old.state / "state.sqlite.format-1") == before


def test_without_the_transaction_the_crash_would_be_noticed(old: StateLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: an upgrade that commits half of itself leaves neither format."""
    upgrade = state_format._UPGRADES[1]

    def half_committed(connection: Any) -> None:
        upgrade(connection)
        connection.execute("COMMIT")
        raise Crashed

    monkeypatch.setitem(state_format._UPGRADES, 1, half_committed)
    before = content(old.state_file)
    with pytest.raises(BaseException):  # noqa: B017, PT011
        StateDatabase(old.state_file)
    monkeypatch.undo()
    left = content(old.state_file)
    assert left != before
    with pytest.raises(StorageError):
        StateDatabase(old.state_file)


def test_no_copy_no_upgrade(old: StateLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = content(old.state_file)
    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StorageError) as caught:
        StateDatabase(old.state_file)
    assert str(caught.value) == (
        f"{old.state_file} is of an older format, and no copy of it could be made before the upgrade: "
        "No space left on device; nothing was changed"
    )
    assert content(old.state_file) == before


# --- newer ------------------------------------------------------------------------------------------------------------
def everything(folder: Path) -> dict[str, bytes]:
    # Readers share an index of the log, which is no content.
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir()) if not each.name.endswith("-shm")}


@pytest.mark.parametrize("with_log", [False, True])
def test_a_newer_state_is_refused_and_not_a_byte_of_it_is_written(with_log: bool, tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    StateDatabase(path).close()
    writer = sqlite3.connect(path)
    writer.execute("UPDATE settings SET value = 9 WHERE name = 'format_version'")
    writer.commit()
    if with_log:
        # As after a crash: the change is in the log alone.
        kept = everything(tmp_path)
        writer.close()
        for name, data in kept.items():
            (tmp_path / name).write_bytes(data)
        assert (tmp_path / "state.sqlite-wal").stat().st_size
    writer.close()
    before = everything(tmp_path)
    with pytest.raises(StorageError) as caught:
        StateDatabase(path)
    assert str(caught.value) == (
        f"{tmp_path} was written by a newer durable (format 9, this one knows 2); nothing was changed"
    )
    assert everything(tmp_path) == before


def test_a_look_that_checkpoints_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: looking with an ordinary connection writes the log back into the file."""
    look: Callable[[Path], object] = state_format._connect
    monkeypatch.setattr(state_format, "_look", look)
    with pytest.raises(AssertionError):
        test_a_newer_state_is_refused_and_not_a_byte_of_it_is_written(True, tmp_path)
