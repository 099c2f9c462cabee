"""Another state for a whole object: with history and without, for a new object and for none, and at every crash."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import StorageError, UserInputError
from durable.storage import replacing
from durable.storage.actor_store import ActorStore
from durable.storage.history.decision import decision_of, draft_of
from durable.storage.object_image import copy_image
from durable.storage.replacing import Replacement, make_empty, prepare_replacement, remove_empty
from tests.unit.storage.history.kit import Object, contents, images_at

KEPT = (
    "replace.copied",
    "replace.built",
    "restore.decided",
    "restore.moved.wal",
    "restore.moved.times",
    "restore.undo_noted",
    "restore.base_made",
    "restore.head_written",
    "restore.draft_renamed",
    "restore.finished",
)
NOT_KEPT = (
    "replace.copied",
    "replace.built",
    "restore.decided",
    "restore.log_dropped",
    "restore.draft_renamed",
    "restore.finished",
)
STATE = {"new": [1, 2, 3]}
ALARM = 1_700_000_000_000


@pytest.fixture
def image(tmp_path: Path, clock: ManualClock) -> Path:
    source = Object(tmp_path / "source", clock, keep_days=0)
    store = source.open()
    store.alarm.set(ALARM)
    source.clock.advance(1)
    store.kv.put_many(STATE)
    store.commit()
    copy_image(store, tmp_path / "image")
    source.close()
    return tmp_path / "image"


@pytest.fixture(params=[30, 0], ids=["history", "no history"])
def thing(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock):
    thing = Object(tmp_path / "objects", clock, keep_days=request.param)
    yield thing
    thing.close()


def put(thing: Object, store: ActorStore, **values: object) -> None:
    thing.clock.advance(1)
    store.kv.put_many(values)
    assert store.commit()
    store.recovery.note_commit()


def replaced(thing: Object, store: ActorStore, image: Path | None) -> Replacement:
    replacement = prepare_replacement(store, image)
    assert replacement.build() == (None if image is None else ALARM)
    thing.clock.advance(1)
    replacement.decide(thing.clock.wall_ms())
    return replacement


def test_an_object_takes_the_state_of_an_image_and_goes_on_from_there(thing: Object, image: Path) -> None:
    store = thing.open()
    for number in range(5):
        put(thing, store, old=number)
    before = image.read_bytes()

    replacement = replaced(thing, store, image)

    assert contents(store) == STATE
    assert store.alarm.now == ALARM
    put(thing, store, more=1)
    store = thing.open()
    assert contents(store) == {**STATE, "more": 1}
    assert image.read_bytes() == before
    assert not draft_of(thing.file).exists()
    if not thing.keep_days:
        assert replacement.undo is None
        return
    assert replacement.undo is not None
    thing.restore(store, str(replacement.undo))
    assert contents(thing.open()) == {"old": 4}
    thing.restore(thing.open(), thing.clock.wall_ms() - 1000)
    assert contents(thing.open()) == {**STATE, "more": 1}


def test_a_crash_anywhere_leaves_the_state_before_or_after(thing: Object, image: Path, tmp_path: Path) -> None:
    store = thing.open()
    for number in range(5):
        put(thing, store, old=number)
    steps = KEPT if thing.keep_days else NOT_KEPT
    with images_at(steps, thing.folder, tmp_path / "images") as images:
        replacement = replaced(thing, store, image)
    assert [name[3:] for name in images] == list(steps)

    for name, folder in images.items():
        after = Object(folder, thing.clock, keep_days=thing.keep_days)
        decided = int(name[:2]) >= steps.index("restore.decided")
        store = after.open()
        assert contents(store) == (STATE if decided else {"old": 4}), name
        assert store.recovery.look() == "", name
        assert not decision_of(after.file).exists()
        if decided and replacement.undo is not None:
            after.restore(store, str(replacement.undo))
            assert contents(after.open()) == {"old": 4}, name
        put(after, after.open(), on=1)
        after.close()


def test_finishing_may_die_again_at_every_step(thing: Object, image: Path, tmp_path: Path) -> None:
    store = thing.open()
    put(thing, store, old=1)
    with images_at(("restore.decided",), thing.folder, tmp_path / "first") as first:
        replaced(thing, store, image)
    decided = Object(next(iter(first.values())), thing.clock, keep_days=thing.keep_days)
    steps = (KEPT if thing.keep_days else NOT_KEPT)[3:]
    with images_at(steps, decided.folder, tmp_path / "second") as images:
        decided.open().kv.get("new")
    assert [name[3:] for name in images] == list(steps)
    decided.close()
    for folder in images.values():
        after = Object(folder, thing.clock, keep_days=thing.keep_days)
        assert contents(after.open()) == STATE
        after.close()


def test_a_new_object_begins_with_an_image(thing: Object, image: Path) -> None:
    store = thing.open()
    assert not store.exists
    replacement = prepare_replacement(store, image)
    replacement.build()
    make_empty(store)
    assert thing.file.exists()
    replacement.decide(thing.clock.wall_ms())
    assert contents(store) == STATE
    put(thing, store, more=1)
    assert contents(thing.open()) == {**STATE, "more": 1}
    assert thing.open().recovery.look() == ""


@pytest.mark.parametrize("again", [False, True])
def test_a_deleted_object_leaves_its_history_and_may_begin_anew(thing: Object, image: Path, again: bool) -> None:
    store = thing.open()
    put(thing, store, old=1)
    replacement = replaced(thing, store, None)
    assert store.is_empty
    remove_empty(store)
    assert not thing.file.exists()
    assert not Path(f"{thing.file}-wal").exists()
    store = thing.open()
    assert not store.exists
    if again:
        other = prepare_replacement(store, image)
        other.build()
        make_empty(store)
        other.decide(thing.clock.wall_ms())
        assert contents(thing.open()) == STATE
        store = thing.open()
    if replacement.undo is not None:
        thing.restore(store, str(replacement.undo))
        assert contents(thing.open()) == {"old": 1}
    assert thing.open().recovery.look() == ""


def test_a_file_that_is_no_image_changes_nothing_and_leaves_nothing(thing: Object, tmp_path: Path) -> None:
    store = thing.open()
    put(thing, store, old=1)
    (tmp_path / "text").write_text("no database")
    with pytest.raises(UserInputError, match="does not begin like a database"):
        prepare_replacement(store, tmp_path / "text").build()
    assert not draft_of(thing.file).exists()
    assert contents(store) == {"old": 1}


def test_a_full_disk_changes_nothing_and_leaves_nothing(
    thing: Object, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = thing.open()
    put(thing, store, old=1)

    def full(source: Path, target: Path, size: int | None, *, sync: bool = True) -> None:
        target.write_bytes(b"a piece")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(replacing, "copy_bytes", full)
    with pytest.raises(StorageError, match="cannot be copied to .*: No space left on device"):
        prepare_replacement(store, image).build()
    assert not draft_of(thing.file).exists()
    assert contents(store) == {"old": 1}


def test_history_that_was_off_during_a_replacement_begins_anew_behind_it(
    tmp_path: Path, clock: ManualClock, image: Path
) -> None:
    thing = Object(tmp_path / "objects", clock)
    store = thing.open()
    put(thing, store, old=1)
    assert store.checkpoint()
    put(thing, store, old=2)
    replaced(thing, thing.open(keep_days=0), image)
    store = thing.open()
    assert store.recovery.look() == "point-in-time recovery was off for a while"
    assert contents(store) == STATE
    assert store.checkpoint()
    put(thing, store, more=1)
    mark = store.recovery.bookmark()
    put(thing, store, more=2)
    thing.restore(store, mark)
    assert contents(thing.open()) == {**STATE, "more": 1}
    thing.close()
