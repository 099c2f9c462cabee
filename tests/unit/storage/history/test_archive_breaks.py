"""Breaks in the history of an object: when its file changed without its log being kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from durable.clock import ManualClock
from durable.errors import StorageError
from tests.unit.storage.history.kit import ROTATION, Object, contents, images_at


@pytest.fixture
def thing(tmp_path: Path, clock: ManualClock):
    thing = Object(tmp_path / "objects", clock)
    yield thing
    thing.close()


def break_by_checkpoint(thing: Object) -> None:
    """What opening the file with a database browser does."""
    connection = apsw.Connection(str(thing.file))
    assert connection.execute("SELECT count(*) FROM _cf_KV").get
    connection.close()
    assert not Path(f"{thing.file}-wal").exists()


def break_by_switching_off(thing: Object) -> None:
    store = thing.open(keep_days=0)
    store.kv.put("off", 1)
    store.commit()
    assert store.checkpoint()
    store.kv.put("off", 2)
    store.commit()
    store.close()


def break_by_damage(thing: Object) -> None:
    (thing.history / "head").write_bytes(b"{")


BREAKS = (break_by_checkpoint, break_by_switching_off, break_by_damage)


@pytest.mark.parametrize("damage", BREAKS)
def test_a_break_is_found_and_begins_a_new_base_while_older_states_stay(
    thing: Object, damage: Callable[[Object], None]
) -> None:
    store = thing.open()
    old = thing.put(store, n=1)
    assert store.checkpoint()
    cut = thing.put(store, n=2)
    store.close()
    damage(thing)
    store = thing.open()

    assert store.recovery.look()
    assert store.history.was_kept  # type: ignore[union-attr]
    thing.put(store, n=3)
    assert store.database.checkpoint_frames == 0
    assert store.checkpoint()
    assert store.recovery.look() == ""
    new = thing.put(store, n=4)
    before_gap, behind_gap = contents(store), thing.clock.wall_ms()
    with pytest.raises(StorageError, match=r"lies in a gap of the object's history: .*00000001\.wal was not kept"):
        store.recovery.find(cut)
    for mark, expected in ((old, {"n": 1}), (new, before_gap), (old, {"n": 1}), (behind_gap, before_gap)):
        thing.restore(store, mark)
        store = thing.open()
        assert contents(store) == expected


def test_a_moment_in_a_gap_is_refused_with_both_ends(thing: Object) -> None:
    store = thing.open()
    old = thing.put(store, n=1)
    assert store.checkpoint()
    store.close()
    break_by_switching_off(thing)
    thing.clock.advance(3600)
    store = thing.open()
    thing.put(store, n=3)
    assert store.checkpoint()

    with pytest.raises(StorageError) as caught:
        store.recovery.find(thing.clock.wall_ms() - 1800_000)

    assert f"Before it: {old}, of " in str(caught.value)
    assert "behind it: 00000002-00000000-" in str(caught.value)


def test_an_object_that_was_written_without_history_gets_it_with_its_next_write(thing: Object) -> None:
    break_by_switching_off(thing)
    store = thing.open()
    assert store.recovery.look() == "it was written without history"
    assert not store.history.was_kept  # type: ignore[union-attr]
    thing.put(store, a=1)
    assert store.checkpoint()
    mark = thing.put(store, a=2)
    thing.put(store, a=3)
    thing.restore(store, mark)

    assert contents(thing.open()) == {"a": 2, "off": 2}


def test_a_second_time_without_history_is_a_second_break(thing: Object) -> None:
    break_by_switching_off(thing)
    store = thing.open()
    thing.put(store, a=1)
    assert store.checkpoint()
    first = thing.put(store, a=2)
    store.close()
    break_by_switching_off(thing)
    store = thing.open()

    assert store.recovery.look() == "point-in-time recovery was off for a while"
    thing.put(store, a=3)
    assert store.checkpoint()
    with pytest.raises(StorageError, match="lies in a gap of the object's history"):
        store.recovery.find(first)
    mark = thing.put(store, a=4)
    thing.put(store, a=5)
    thing.restore(store, mark)
    assert contents(thing.open()) == {"a": 4, "off": 2}


def test_a_crash_while_a_break_is_mended_mends_it_again(thing: Object, tmp_path: Path) -> None:
    store = thing.open()
    old = thing.put(store, n=1)
    assert store.checkpoint()
    store.close()
    break_by_switching_off(thing)
    store = thing.open()
    thing.put(store, n=3)
    with images_at(ROTATION, thing.folder, tmp_path / "images") as images:
        assert store.checkpoint()
    assert [name[3:] for name in images] == [ROTATION[0], ROTATION[1], ROTATION[6], ROTATION[5], ROTATION[7]]

    for image in images.values():
        after = Object(image, thing.clock)
        store = after.open()
        assert contents(store)["n"] == 3, image.name
        mark = after.put(store, n=4)
        if store.recovery.look():
            assert store.checkpoint()
            mark = after.put(store, n=5)
        expected = contents(store)
        after.put(store, n=6)
        for each, state in ((mark, expected), (old, {"n": 1}), (mark, expected)):
            after.restore(store, each)
            store = after.open()
            assert contents(store) == state, image.name
        after.close()


def test_another_programs_commit_in_our_log_is_no_break(thing: Object) -> None:
    store = thing.open()
    thing.put(store, a=1)
    store.close()
    other = apsw.Connection(str(thing.file))
    other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    store = thing.open()
    thing.put(store, a=2)

    assert store.recovery.look() == ""
