"""Bringing an object back: what is built, what a crash leaves, what can be undone, and what is refused."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import apsw
import pytest

from durable.clock import ManualClock, SystemClock
from durable.errors import StorageCorruptError, StorageError
from durable.storage.actor_store import ActorStore
from durable.storage.history import archive as archive_module
from durable.storage.history.bookmark import undo_bookmark
from durable.storage.history.decision import decision_of, draft_of
from tests.unit.storage.history.kit import ID, Object, contents, images_at

STEPS = (
    "restore.base_copied",
    "restore.built",
    "restore.decided",
    "restore.moved.wal",
    "restore.moved.times",
    "restore.undo_noted",
    "restore.base_made",
    "restore.head_written",
    "restore.draft_renamed",
    "restore.finished",
)


@pytest.fixture
def thing(tmp_path: Path, clock: ManualClock):
    thing = Object(tmp_path / "objects", clock)
    yield thing
    thing.close()


def with_history(thing: Object, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict]:
    """An object over two bases and six segments; its contents by bookmark."""
    monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 40_000)
    store, states = thing.open(), {}
    for number in range(18):
        mark = thing.put(store, **{f"k{number % 4}": number, "pad": "x" * 5000})
        states[mark] = contents(store)
        if number % 3 == 2:
            assert store.checkpoint()
        if number % 5 == 4:
            store = thing.open()
    return states


def test_every_commit_can_be_restored_in_any_order(thing: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    states = with_history(thing, monkeypatch)
    assert sum(name.endswith(".base") for name in thing.names()) >= 1
    marks = list(states)

    for mark in (*marks, *reversed(marks), *marks[::5]):
        thing.restore(thing.open(), mark)
        assert contents(thing.open()) == states[mark]


def test_one_frame_more_is_another_state(thing: Object) -> None:
    store = thing.open()
    states = {}
    for number in range(200):
        # One page each: every frame of the log is a commit.
        states[thing.put(store, n=number)] = number
    marks = list(states)
    frames = [int(mark.split("-")[1], 16) for mark in marks]
    assert frames[100] == frames[99] + 1
    thing.restore(store, marks[99])
    assert contents(thing.open()) == {"n": 99}

    thing.restore(thing.open(), marks[100])

    assert contents(thing.open()) == {"n": 100}


def test_objects_go_on_after_a_restore_with_bookmarks_that_grow(thing: Object) -> None:
    store = thing.open()
    old, late = thing.put(store, n=1), thing.put(store, n=2)
    thing.restore(store, old)
    store = thing.open()
    new = thing.put(store, n=3)

    assert old < late < new
    for mark, number in ((late, 2), (new, 3), (old, 1), (new, 3)):
        thing.restore(thing.open(), mark)
        assert contents(thing.open()) == {"n": number}


def test_a_moment_behind_a_restore_is_the_restored_state(thing: Object) -> None:
    store = thing.open()
    old = thing.put(store, n=1)
    thing.put(store, n=2)
    before = thing.clock.wall_ms()
    thing.restore(store, old)
    thing.clock.advance(10)
    after = thing.clock.wall_ms()
    store = thing.open()
    thing.put(store, n=3)

    for ms, number in ((after, 1), (before, 2)):
        thing.restore(thing.open(), ms)
        assert contents(thing.open()) == {"n": number}


def test_the_alarm_comes_back_with_the_rest(thing: Object) -> None:
    store = thing.open()
    due = thing.clock.wall_ms() + 60_000
    store.alarm.set(due)
    old = thing.commit(store)
    store.alarm.delete()
    thing.commit(store)

    assert thing.restore(store, old) == due
    assert thing.open().alarm.get() == due


def test_delete_all_is_undone(thing: Object) -> None:
    store = thing.open()
    store.sql.exec("CREATE TABLE t (a)")
    store.sql.exec("INSERT INTO t VALUES (7)")
    full = thing.put(store, k=1)
    store.delete_all(keep_alarm=False)
    thing.commit(store)
    thing.restore(store, full)
    store = thing.open()

    assert store.sql.exec("SELECT a FROM t").one() == {"a": 7}
    assert contents(store) == {"k": 1}


def test_the_state_before_anything_was_written_is_empty(thing: Object) -> None:
    store = thing.open()
    nothing = store.recovery.bookmark()
    thing.put(store, n=1)
    thing.restore(store, nothing)

    assert contents(thing.open()) == {}
    assert thing.open().is_new


# --- undoing --------------------------------------------------------------------------------------------------
def test_an_undo_bookmark_leads_back_to_what_the_restore_ended(thing: Object) -> None:
    store = thing.open()
    old = thing.put(store, n=1)
    thing.put(store, n=2)
    undo = undo_bookmark(store.recovery.find(old), old, 1, ID)
    with pytest.raises(StorageError, match=r"undoes a restore that was not made yet.*make the restore first"):
        store.recovery.find(str(undo))
    thing.put(store, n=3)
    thing.restore(store, old, nonce=undo.nonce)
    store = thing.open()
    thing.put(store, n=4)
    thing.restore(store, str(undo))

    assert contents(thing.open()) == {"n": 3}


def test_a_wish_is_part_of_the_turn_and_is_not_restored_with_it(thing: Object) -> None:
    store = thing.open()
    old = thing.put(store, n=1)
    undo = store.recovery.wish(old)
    store.rollback()
    assert store.recovery.wished() is None
    undo = store.recovery.wish(old)
    store.kv.put("n", 2)
    thing.commit(store)
    store = thing.open()
    wish = store.recovery.wished()
    assert wish is not None
    assert (wish.bookmark, undo.split("-")[2]) == (old, f"{wish.nonce:08x}")
    thing.restore(store, wish.bookmark, wish.nonce)
    store = thing.open()
    assert (contents(store), store.recovery.wished()) == ({"n": 1}, None)
    thing.restore(store, undo)
    store = thing.open()

    assert (contents(store), store.recovery.wished()) == ({"n": 2}, None)


def test_a_wish_can_be_dropped(thing: Object) -> None:
    store = thing.open()
    store.recovery.wish(thing.put(store, n=1))
    thing.commit(store)
    store.recovery.drop_wish()

    assert store.recovery.wished() is None
    assert contents(thing.open()) == {"n": 1}


# --- refusals -------------------------------------------------------------------------------------------------
def test_a_bookmark_newer_than_the_object_is_refused(thing: Object) -> None:
    store = thing.open()
    newest = thing.put(store, n=1)
    newer = f"00000000-0000ffff{newest[17:]}"

    with pytest.raises(StorageError) as caught:
        store.recovery.find(newer)

    assert str(caught.value) == f"the bookmark {newer} is newer than the object, whose newest one is {newest}"


def test_a_bookmark_between_two_commits_is_refused(thing: Object) -> None:
    store = thing.open()
    store.kv.put_many({f"k{number}": "x" * 4000 for number in range(50)})
    mark = thing.commit(store)
    between = f"00000000-00000007{mark[17:]}"

    with pytest.raises(StorageError, match=r"names frame 7, where no commit ends; use one as it was returned"):
        store.recovery.find(between)


def test_nothing_can_be_restored_when_no_history_is_kept(thing: Object) -> None:
    store = thing.open(keep_days=0)
    for ask in (store.recovery.bookmark, lambda: store.recovery.wish("x"), lambda: store.recovery.find(5)):
        with pytest.raises(StorageError, match=r"point-in-time recovery is off: pitr_days is 0 in \[dev\]"):
            ask()


# --- crashes and damage ---------------------------------------------------------------------------------------
def test_a_crash_anywhere_in_a_restore_leaves_the_state_before_or_after_and_all_history(
    thing: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = with_history(thing, monkeypatch)
    marks = list(states)
    target, newest = marks[7], marks[-1]
    store = thing.open()
    undo = undo_bookmark(store.recovery.find(newest), target, 1, ID)
    with images_at(STEPS, thing.folder, tmp_path / "images") as images:
        thing.restore(store, target, undo.nonce)
    assert [name[3:] for name in images] == list(STEPS)

    for name, image in images.items():
        after = Object(image, thing.clock)
        decided = int(name[:2]) >= STEPS.index("restore.decided")
        store = after.open()
        assert contents(store) == states[target if decided else newest], name
        assert store.recovery.look() == "", name
        assert not decision_of(after.file).exists()
        for mark in (*marks[::4], *([str(undo)] if decided else [])):
            after.restore(store, mark)
            store = after.open()
            assert contents(store) == states.get(mark, states[newest]), (name, mark)
        assert not draft_of(after.file).exists()
        after.close()


def test_finishing_may_die_again_at_every_step(thing: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = with_history(thing, monkeypatch)
    marks = list(states)
    with images_at(("restore.decided",), thing.folder, tmp_path / "first") as first:
        thing.restore(thing.open(), marks[4])
    decided = Object(next(iter(first.values())), thing.clock)
    with images_at(STEPS[3:], decided.folder, tmp_path / "second") as images:
        decided.open().kv.get("k0")
    assert len(images) == 7
    decided.close()

    for image in images.values():
        after = Object(image, thing.clock)
        assert contents(after.open()) == states[marks[4]]
        after.close()


def test_a_damaged_log_is_refused_and_nothing_is_touched(thing: Object) -> None:
    store = thing.open()
    marks = [thing.put(store, n=number) for number in range(20)]
    assert store.checkpoint()
    thing.put(store, n=100)
    log = thing.history / "00000000.wal"
    data = bytearray(log.read_bytes())
    data[32 + 4120 * 6 + 200] ^= 0xFF
    log.write_bytes(data)
    before = {path: path.read_bytes() for path in thing.folder.iterdir() if path.is_file()}

    with pytest.raises(StorageCorruptError, match=r"00000000\.wal is damaged: SQLite recovers \d+ of the \d+ frames"):
        thing.restore(store, marks[15])

    untouched = {path: path.read_bytes() for path in before if path.suffix != ".sqlite-times"}
    assert untouched == {path: before[path] for path in untouched}
    assert contents(thing.open()) == {"n": 100}
    # What lies before the damage is as restorable as ever.
    thing.restore(thing.open(), marks[2])
    assert contents(thing.open()) == {"n": 2}


def test_a_log_that_is_too_short_for_its_commits_is_not_replayed_over(thing: Object) -> None:
    store = thing.open()
    for number in range(20):
        thing.put(store, n=number)
    assert store.checkpoint()
    later = thing.put(store, n=100)
    log = thing.history / "00000000.wal"
    os.truncate(log, 32 + 4120 * 9)

    with pytest.raises(StorageCorruptError, match=r"SQLite recovers 9 of the 2\d frames that were committed"):
        thing.restore(store, later)

    assert contents(thing.open()) == {"n": 100}


# --- how long it takes ----------------------------------------------------------------------------------------
def fill(store: ActorStore, thing: Object, megabytes: int, commits: int) -> tuple[str, str]:
    """A large object, then small commits; the bookmark `commits` before the last, and that of the commit after it."""
    store.sql.exec("CREATE TABLE big (n INTEGER PRIMARY KEY, body BLOB)")
    store.sql.exec("CREATE TABLE small (n INTEGER PRIMARY KEY, at INTEGER)")
    for number in range(megabytes):
        store.sql.exec("INSERT INTO big VALUES (?, randomblob(1000000))", number)
        commit(store)
    marks: dict[int, str] = {}
    for number in range(commits + 100):
        store.sql.exec(
            "INSERT INTO small VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at", number % 50, number
        )
        commit(store)
        if number in (99, 100):
            marks[number] = store.recovery.bookmark()
        if number == 99:
            shutil.copytree(thing.folder, thing.folder.parent / "then")
    return marks[99], marks[100]


def commit(store: ActorStore) -> None:
    assert store.commit()
    store.recovery.note_commit()
    if store.database.log_frames >= store.database.checkpoint_frames:
        assert store.checkpoint()


def dump(file: Path) -> list[tuple]:
    """Every row, through SQLite alone."""
    connection = apsw.Connection(str(file))
    try:
        return [
            *connection.execute("SELECT n, at FROM small ORDER BY n"),
            *connection.execute("SELECT n, hex(body) FROM big ORDER BY n"),
            *connection.execute("SELECT sql FROM sqlite_schema ORDER BY name"),
        ]
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("megabytes", "commits"), [(3, 300), pytest.param(100, 10_000, marks=pytest.mark.slow)], ids=["small", "100-MB"]
)
def test_a_large_object_comes_back_as_it_was_many_commits_ago(
    tmp_path: Path, megabytes: int, commits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    thing = Object(tmp_path / "objects", SystemClock())  # type: ignore[arg-type]
    then, one_later = fill(thing.open(), thing, megabytes, commits)
    expected = dump(tmp_path / "then" / thing.file.name)
    store = thing.open()
    began = time.perf_counter()
    target = store.recovery.find(then)
    restore = store.recovery.restore(target, 0)
    store.close()
    restore.build()
    restore.decide(SystemClock().wall_ms())
    reopened = thing.open()
    assert reopened.sql.exec("SELECT count(*) AS n FROM big").one() == {"n": megabytes}
    seconds = time.perf_counter() - began
    with capsys.disabled():
        size = thing.file.stat().st_size / 1e6
        print(f"\nrestored {size:.0f} MB to {commits} commits ago in {seconds:.2f} s", end=" ")
    thing.close()
    assert dump(thing.file) == expected

    store = thing.open()
    restore = store.recovery.restore(store.recovery.find(one_later), 0)
    store.close()
    restore.build()
    restore.decide(SystemClock().wall_ms())
    assert dump(thing.file) != expected
