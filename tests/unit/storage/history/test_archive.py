"""Archiving logs, base copies, breaks, moments, retention: what is kept of an object, and what a crash leaves of it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from durable.clock import ManualClock
from durable.errors import StorageError
from durable.storage.history import archive as archive_module
from durable.storage.history.resolution import moment_text
from tests.unit.storage.history.kit import ROTATION, Object, contents, images_at


@pytest.fixture
def thing(tmp_path: Path, clock: ManualClock):
    thing = Object(tmp_path / "objects", clock)
    yield thing
    thing.close()


# --- what lies where ------------------------------------------------------------------------------------------
def test_a_small_object_pays_for_its_times_alone(thing: Object) -> None:
    store = thing.open()
    thing.put(store, a=1)
    store.close()

    assert {path.name for path in thing.folder.iterdir()} == {
        thing.file.name, f"{thing.file.name}-wal", f"{thing.file.name}-times"
    }  # fmt: skip
    assert stat.S_IMODE(os.stat(f"{thing.file}-times").st_mode) == 0o600


def test_an_object_without_history_has_no_file_more(thing: Object) -> None:
    store = thing.open(keep_days=0)
    store.kv.put("a", 1)
    store.commit()
    store.recovery.note_commit()
    assert store.checkpoint()
    store.close()

    assert {path.name for path in thing.folder.iterdir()} == {thing.file.name, f"{thing.file.name}-wal"}


def test_a_rotation_moves_the_log_and_its_times_and_copies_nothing(thing: Object) -> None:
    store = thing.open()
    thing.put(store, a=1)
    store.history.flush()  # type: ignore[union-attr]
    inode = os.stat(f"{thing.file}-wal").st_ino
    assert store.checkpoint()

    assert thing.names() == {"head", "00000000.wal", "00000000.times"}
    assert (thing.history / "00000000.wal").stat().st_ino == inode
    assert stat.S_IMODE(thing.history.stat().st_mode) == 0o700
    assert contents(store) == {"a": 1}


def test_an_open_cursor_puts_the_rotation_off_and_not_the_object(thing: Object) -> None:
    store = thing.open()
    thing.put(store, a=1, b=2)
    store.sql.exec("CREATE TABLE t (n)")
    store.sql.exec("INSERT INTO t VALUES (1), (2), (3)")
    thing.commit(store)
    cursor = store.sql.exec("SELECT n FROM t")
    before = store.database.log_frames

    assert not store.checkpoint()
    assert store.database.checkpoint_frames > before  # tried again later, not at the next commit
    assert [row["n"] for row in cursor] == [1, 2, 3]
    assert store.checkpoint()
    assert "00000000.wal" in thing.names()


def test_what_an_actor_set_on_its_connection_outlives_a_rotation(thing: Object) -> None:
    store = thing.open()
    store.sql.exec("CREATE TABLE t (n INTEGER PRIMARY KEY, w TEXT)")
    store.sql.exec("INSERT INTO t VALUES (7, 'Ab')")
    store.sql.exec("PRAGMA case_sensitive_like = on")
    thing.commit(store)
    assert store.checkpoint()

    assert store.sql.exec("SELECT last_insert_rowid() AS id").one() == {"id": 7}
    assert store.sql.exec("SELECT count(*) AS n FROM t WHERE w LIKE 'aB'").one() == {"n": 0}


# --- bookmarks and moments ------------------------------------------------------------------------------------
def test_bookmarks_grow_with_every_commit_and_across_rotations_and_openings(thing: Object) -> None:
    store, seen = thing.open(), []
    for number in range(9):
        seen.append(thing.put(store, n=number))
        if number % 3 == 1:
            assert store.checkpoint()
        if number % 3 == 2:
            store = thing.open()

    assert seen == sorted(set(seen))
    assert store.recovery.bookmark() == seen[-1]


def test_a_moment_is_the_last_commit_at_or_before_it(thing: Object) -> None:
    store = thing.open()
    marks: dict[int, str] = {}
    for number in range(12):
        mark = thing.put(store, n=number)
        marks[thing.clock.wall_ms()] = mark
        if number == 4:
            assert store.checkpoint()
        if number == 8:
            store = thing.open()
    ask = store.recovery.bookmark_for_time

    assert [ask(ms) for number, ms in enumerate(marks) if number != 4] == [
        mark for number, mark in enumerate(marks.values()) if number != 4
    ]
    # The rotation took place in the same millisecond as the fifth commit; nothing was written in between.
    between = [mark if number != 4 else f"00000001-00000000-{mark[18:]}" for number, mark in enumerate(marks.values())]
    thing.clock.advance(1)
    assert [ask(ms + 999) for ms in marks] == between


def test_a_moment_before_the_history_names_where_it_begins(thing: Object) -> None:
    store = thing.open()
    first = thing.clock.wall_ms() + 1000
    thing.put(store, a=1)

    with pytest.raises(StorageError) as caught:
        store.recovery.bookmark_for_time(first - 1)

    assert str(caught.value) == (
        f"{moment_text(first - 1)} is older than the history of the object, which begins at {moment_text(first)}"
    )


def test_a_moment_to_come_is_refused(thing: Object) -> None:
    store = thing.open()
    thing.put(store, a=1)

    with pytest.raises(StorageError, match="is in the future: now it is 2023-"):
        store.recovery.bookmark_for_time(thing.clock.wall_ms() + 1)


def test_a_clock_that_was_set_back_does_not_hide_later_commits(thing: Object) -> None:
    store = thing.open()
    thing.put(store, a=1)
    thing.clock.jump(-3600)
    later = thing.put(store, a=2)

    assert store.recovery.bookmark_for_time(thing.clock.wall_ms()) == later


def test_commits_of_a_killed_process_are_known_from_the_next_opening_on(thing: Object, tmp_path: Path) -> None:
    store = thing.open()
    thing.put(store, a=1)
    store.history.flush()  # type: ignore[union-attr]
    lost = thing.put(store, a=2)
    moment = thing.clock.wall_ms()
    killed = Object(tmp_path / "killed", thing.clock)
    shutil.copytree(thing.folder, killed.folder)
    thing.clock.advance(60)
    after = killed.open()

    assert after.recovery.bookmark_for_time(thing.clock.wall_ms()) == lost
    assert after.recovery.bookmark_for_time(moment) < lost
    killed.close()


def test_times_of_commits_that_a_power_cut_took_are_forgotten(thing: Object, tmp_path: Path) -> None:
    store = thing.open()
    marks = [thing.put(store, n=number) for number in range(5)]
    frames = int(marks[2].split("-")[1], 16)
    cut_at = thing.clock.wall_ms() - 2000
    store.history.flush()  # type: ignore[union-attr]
    cut = Object(tmp_path / "cut", thing.clock)
    shutil.copytree(thing.folder, cut.folder)
    os.truncate(f"{cut.file}-wal", 32 + frames * 4120)
    after = cut.open()
    new = cut.put(after, n="new")

    assert after.recovery.bookmark_for_time(cut_at + 2000) == marks[2]
    assert after.recovery.bookmark_for_time(cut.clock.wall_ms()) == new
    cut.close()


# --- bases ----------------------------------------------------------------------------------------------------
def test_a_base_is_copied_when_enough_has_been_archived(thing: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 40_000)
    store = thing.open()
    for number in range(12):
        thing.put(store, n=number)
        thing.put(store, n=100 + number)
        assert store.checkpoint()

    bases = sorted(name for name in thing.names() if name.endswith(".base"))
    assert bases
    last = max(int(name[:8]) for name in bases)
    assert sum(path.stat().st_size for path in thing.history.glob("*.wal") if int(path.stem) >= last) < 40_000
    connection = apsw.Connection(f"file:{thing.history / bases[-1]}?immutable=1", flags=apsw.SQLITE_OPEN_URI | 2)
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()


# --- crashes --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("with_base", [False, True])
def test_a_crash_anywhere_in_a_rotation_loses_neither_data_nor_history(
    thing: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_base: bool
) -> None:
    if with_base:
        monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 1)
    store = thing.open()
    marks = {}
    for number in range(6):
        marks[thing.put(store, n=number)] = number
        if number == 2:
            assert store.checkpoint()
    with images_at(ROTATION, thing.folder, tmp_path / "images") as images:
        assert store.checkpoint()
    assert len(images) == (8 if with_base else 7)
    thing.close()

    for image in images.values():
        after = Object(image, thing.clock)
        store = after.open()
        assert (contents(store), store.recovery.look()) == ({"n": 5}, ""), image.name
        newest = after.put(store, n="new")
        assert store.checkpoint(), image.name
        assert newest > max(marks)
        for mark, number in marks.items():
            after.restore(store, mark)
            store = after.open()
            assert contents(store) == {"n": number}, (image.name, mark)
        after.restore(store, newest)
        assert contents(after.open()) == {"n": "new"}, image.name
        after.close()


def test_a_disk_that_refuses_leaves_the_object_as_it_was(thing: Object) -> None:
    store = thing.open()
    mark = thing.put(store, a=1)
    thing.history.write_bytes(b"in the way")

    with pytest.raises(StorageError, match=r"the history of .* cannot be kept"):
        store.checkpoint()
    assert contents(store) == {"a": 1}
    thing.history.unlink()
    thing.put(store, a=2)
    assert store.checkpoint()
    thing.restore(store, mark)

    assert contents(thing.open()) == {"a": 1}


def test_looking_at_an_objects_history_leaves_sqlites_locks_alone(thing: Object) -> None:
    store = thing.open()
    thing.put(store, a=1)
    store.close()
    store = thing.open()
    assert store.kv.get("a") == 1
    assert store.recovery.look() == ""
    thing.put(store, a=2)
    # Another process, because locks on Unix belong to one.
    program = f"import apsw; apsw.Connection({str(thing.file)!r}).execute('SELECT * FROM sqlite_schema').fetchall()"
    other = [sys.executable, "-c", program]

    assert "BusyError" in subprocess.run(other, capture_output=True, text=True, check=False).stderr
    thing.file.read_bytes()  # this is what would be wrong
    assert subprocess.run(other, capture_output=True, text=True, check=False).returncode == 0
