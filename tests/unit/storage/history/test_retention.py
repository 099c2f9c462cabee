"""How long history is kept, and how much of it: what is deleted, and what outlives the object."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import StorageError
from durable.storage.history import archive as archive_module
from durable.storage.history import retention
from tests.unit.storage.history.kit import KEEP_DAYS, Object, contents


@pytest.fixture
def thing(tmp_path: Path, clock: ManualClock):
    thing = Object(tmp_path / "objects", clock)
    yield thing
    thing.close()


def test_what_is_too_old_goes_era_by_era_and_the_newest_stays(thing: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 1)
    store = thing.open()
    marks = []
    for day in range(5):
        marks.append(thing.put(store, day=day))
        assert store.checkpoint()
        thing.clock.advance(10 * 86_400)
    thing.put(store, day=5)
    assert store.checkpoint()

    # 50 days have passed: what lies before the base of day 20 is not needed to reach the last 30.
    with pytest.raises(StorageError, match="is older than the history of the object, which begins at 20"):
        store.recovery.find(marks[0])
    thing.restore(store, marks[3])
    assert contents(thing.open()) == {"day": 3}
    store = thing.open()
    thing.clock.advance(1000 * 86_400)
    newest = thing.put(store, day=6)
    assert store.checkpoint()
    thing.restore(store, newest)
    assert contents(thing.open()) == {"day": 6}


def test_history_is_bounded_in_bytes(thing: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 1)
    monkeypatch.setattr(retention, "HISTORY_BYTES_MAX", 200_000)
    monkeypatch.setattr(retention, "HISTORY_FILE_MULTIPLE", 1)
    store = thing.open()
    for number in range(40):
        thing.put(store, n=number, text="x" * 8000)
        assert store.checkpoint()

    reach = store.recovery.reach()
    assert reach.bytes < 200_000 + 50_000
    assert reach.segments < 30
    mark = store.recovery.bookmark()
    thing.put(store, n="later")
    thing.restore(store, mark)
    assert contents(thing.open())["n"] == 39


def test_sleeping_and_removed_objects_are_swept(thing: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 1)
    store = thing.open()
    for text in ("a", "b", "x"):
        thing.put(store, text=text)
        assert store.checkpoint()
    store.close()
    later = thing.clock.wall_ms() + (KEEP_DAYS + 1) * 86_400_000
    for path in thing.history.iterdir():
        os.utime(path, (thing.clock.wall_ms() / 1000,) * 2)
    removed = thing.folder / ("cd" * 32 + ".history")
    shutil.copytree(thing.history, removed)

    assert retention.prune_folder(thing.folder, keep_days=KEEP_DAYS, now_ms=thing.clock.wall_ms()) == 0
    assert retention.prune_folder(thing.folder, keep_days=KEEP_DAYS, now_ms=later) > 0
    assert not removed.exists()
    assert thing.names() == {"head", "00000003.base"}
    assert contents(thing.open()) == {"text": "x"}


def test_the_time_of_a_file_makes_no_history_too_old(thing: Object) -> None:
    store = thing.open()
    mark = thing.put(store, a=1)
    store.delete_all(keep_alarm=False)
    thing.commit(store)
    assert store.checkpoint()
    store.close()
    store.remove_files()
    # As an unpacked archive or a power cut leaves it: the base of the empty object has no times of its own.
    for path in thing.history.iterdir():
        os.utime(path, (0, 0))
    (thing.history / "break").touch()

    store = thing.open()
    thing.put(store, a=2)
    assert store.checkpoint()

    thing.restore(store, mark)
    assert contents(thing.open()) == {"a": 1}


def test_a_restore_deletes_nothing_that_leads_to_its_target(thing: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    store = thing.open()
    mark = thing.put(store, n=1)
    assert store.checkpoint()
    thing.put(store, n=2)
    store.close()
    # History that was kept ends here: a new base is made first, of which the older era is the price.
    (thing.history / "head").write_bytes(b"{")
    monkeypatch.setattr(retention, "HISTORY_BYTES_MAX", 1)
    monkeypatch.setattr(retention, "HISTORY_FILE_MULTIPLE", 0)

    thing.restore(thing.open(), mark)

    assert contents(thing.open()) == {"n": 1}


def test_an_object_that_was_removed_can_be_restored_and_one_that_follows_it_begins_empty(thing: Object) -> None:
    store = thing.open()
    mark = thing.put(store, a=1)
    store.delete_all(keep_alarm=False)
    thing.commit(store)
    assert store.checkpoint()
    store.close()
    store.remove_files()
    assert not thing.file.exists()
    store = thing.open()
    second = thing.put(store, a=2)
    assert store.recovery.look() == ""
    for each, expected in ((mark, {"a": 1}), (second, {"a": 2})):
        thing.restore(store, each)
        store = thing.open()
        assert contents(store) == expected
    store.delete_all(keep_alarm=False)
    thing.commit(store)
    assert store.checkpoint()
    store.close()
    store.remove_files()
    store = thing.open()
    thing.restore(store, second)
    assert contents(thing.open()) == {"a": 2}
