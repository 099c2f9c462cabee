"""Images of objects: what a copy holds, and which files are refused before they can become an object's state."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from durable.clock import ManualClock
from durable.errors import StorageError, UserInputError
from durable.storage import object_image
from durable.storage.actor_store import ActorStore
from durable.storage.object_image import ImageCopy, check_image, copy_image
from durable.storage.schema import APPLICATION_ID


def filled(store: ActorStore) -> ActorStore:
    store.kv.put("a", [1, "b"])
    store.sql.exec("CREATE TABLE t (n)")
    store.sql.exec("INSERT INTO t VALUES (1), (2)")
    store.alarm.set(1_700_000_000_000)
    assert store.commit()
    return store


def filled_with(store: ActorStore, number: int) -> None:
    store.kv.put("n", str(number) * 5000)
    assert store.commit()
    store.recovery.note_commit()


@pytest.fixture
def image(open_store: Callable[[], ActorStore], tmp_path: Path) -> Path:
    target = tmp_path / "image.sqlite"
    copy_image(filled(open_store()), target)
    return target


def opened(path: Path, clock: ManualClock) -> ActorStore:
    return ActorStore(path, clock=clock, on_first_write=lambda: None)


def edited(image: Path, *statements: str) -> Path:
    """Changed by a program that knows nothing of durable."""
    with sqlite3.connect(image) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    return image


def patched(image: Path, offset: int, content: bytes) -> Path:
    with image.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)
    return image


# --- copies ---------------------------------------------------------------------------------------------------
def test_a_copy_is_one_file_of_its_owner_with_everything_that_was_committed(
    open_store: Callable[[], ActorStore], tmp_path: Path, clock: ManualClock
) -> None:
    target = tmp_path / "image.sqlite"
    store = filled(open_store())

    size = copy_image(store, target)

    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["image.sqlite"]
    assert size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    check_image(target)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["image.sqlite"]
    copy = opened(target, clock)
    assert copy.kv.get("a") == [1, "b"]
    assert [tuple(row) for row in copy.sql.exec("SELECT n FROM t").raw()] == [(1,), (2,)]
    assert copy.alarm.now == 1_700_000_000_000
    copy.close()
    # The object goes on.
    store.kv.put("a", 2)
    assert store.commit()


@pytest.mark.parametrize("keep_days", [0, 1])
def test_what_is_written_while_a_copy_is_finished_is_not_in_it(
    tmp_path: Path, clock: ManualClock, keep_days: int
) -> None:
    file = tmp_path / "state" / ("ab" * 32 + ".sqlite")
    store = ActorStore(file, clock=clock, on_first_write=lambda: None, keep_days=keep_days)
    for checkpointed in (False, True):
        filled_with(store, 1)
        if checkpointed:
            assert store.checkpoint()
        copy = ImageCopy(tmp_path / "image")
        copy.take(store)
        # The object goes on: its log is moved into the file, begun anew, and the file is closed.
        for number in range(2, 30):
            filled_with(store, number)
            if number % 10 == 0:
                assert store.checkpoint()
        store.suspend()
        copy.finish()
        image = opened(tmp_path / "image", clock)
        assert image.kv.get("n") == "1" * 5000
        image.close()
        check_image(tmp_path / "image")
    store.close()


def large(folder: Path, clock: ManualClock) -> ActorStore:
    """An object of about sixty pages of 4 KiB in its file and some in its log, whose last change was a while ago."""
    store = ActorStore(folder / ("ab" * 32 + ".sqlite"), clock=clock, on_first_write=lambda: None, keep_days=1)
    for number in range(50):
        store.kv.put(f"k{number}", "x" * 4000)
    filled_with(store, 1)
    assert store.checkpoint()
    filled_with(store, 2)
    os.utime(store.path, ns=(0, 0))
    return store


@pytest.mark.parametrize("meanwhile", ["nothing", "commits", "closed", "checkpoint"])
def test_a_large_object_is_copied_piece_by_piece_between_its_turns(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    monkeypatch.setattr(object_image, "STEP_BYTES", 20_000)
    store = large(tmp_path / "state", clock)
    copy = ImageCopy(tmp_path / "image")
    copy.begin(store)
    steps = 1
    while not copy.is_taken:
        if meanwhile != "nothing":
            filled_with(store, steps + 2)
        if meanwhile == "closed":
            store.suspend()
        if meanwhile == "checkpoint" and steps == 5:
            assert store.checkpoint()
        copy.more(store)
        steps += 1
    copy.finish()

    image = opened(tmp_path / "image", clock)
    if meanwhile == "checkpoint":
        # Taken anew and at once, when the file had changed.
        assert (steps, image.kv.get("n")) == (6, "7" * 5000)
    else:
        assert steps > 6
        assert image.kv.get("n") == "2" * 5000
    assert len(image.kv.list()) == 51
    image.close()
    store.close()
    check_image(tmp_path / "image")


def test_an_object_that_is_deleted_while_it_is_copied_is_not_made_again(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_image, "STEP_BYTES", 20_000)
    store = large(tmp_path / "state", clock)
    copy = ImageCopy(tmp_path / "image")
    copy.begin(store)
    store.close()
    store.remove_files()
    with pytest.raises(StorageError, match="the object was deleted while it was copied"):
        copy.more(store)
    assert not store.path.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_file_that_was_changed_right_now_is_taken_at_once(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes within one tick of the file system's clock could not be told apart."""
    monkeypatch.setattr(object_image, "STEP_BYTES", 20_000)
    store = large(tmp_path / "state", clock)
    os.utime(store.path)
    copy = ImageCopy(tmp_path / "image")
    copy.begin(store)
    assert copy.is_taken
    copy.discard()
    store.close()


def test_a_copy_that_was_not_finished_has_no_name(open_store: Callable[[], ActorStore], tmp_path: Path) -> None:
    (tmp_path / "image").write_text("the one before")
    copy = ImageCopy(tmp_path / "image")
    copy.take(filled(open_store()))
    assert (tmp_path / "image").read_text() == "the one before"
    copy.discard()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["image"]


def test_a_copy_has_no_wish_of_its_object(tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "state" / ("ab" * 32 + ".sqlite")
    store = ActorStore(file, clock=clock, on_first_write=lambda: None, keep_days=1)
    store.kv.put("a", 1)
    store.commit()
    store.recovery.note_commit()
    store.recovery.wish(store.recovery.bookmark())
    store.commit()

    copy_image(store, tmp_path / "image")

    assert store.recovery.wished() is not None
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "state"]
    copy = opened(tmp_path / "image", clock)
    assert copy.recovery.wished() is None
    assert copy.kv.get("a") == 1
    copy.close()


def test_a_copy_that_cannot_be_made_says_why_and_leaves_nothing(
    open_store: Callable[[], ActorStore], tmp_path: Path
) -> None:
    store = filled(open_store())
    with pytest.raises(UserInputError, match=r"nowhere/image cannot be written: No such file or directory"):
        copy_image(store, tmp_path / "nowhere" / "image")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserInputError, match=r"folder cannot be written: Is a directory"):
        copy_image(store, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []
    assert store.kv.get("a") == [1, "b"]


# --- refusals -------------------------------------------------------------------------------------------------
OTHER_TABLE = "CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB, more)"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda image: image.write_bytes(b""), "is damaged: it does not begin like a database"),
        (lambda image: image.write_bytes(b"PK\3\4" * 4000), "is damaged: it does not begin like a database"),
        (lambda image: image.write_bytes(image.read_bytes()[:-4096]), "is damaged: a part of it is missing"),
        (lambda image: patched(image, 68, b"\0\0\0\1"), "was not written by durable: its application id is 0x1"),
        (lambda image: patched(image, 18, b"\3\3"), "was written by a newer SQLite"),
        (lambda image: patched(image, 16, b"\x20\0"), "has another page size"),
        (lambda image: patched(image, 4096, b"\xff" * 4096), "is damaged: "),
        (lambda image: edited(image, "CREATE TABLE _cf_ROBOTS (n)"), "has a table _cf_ROBOTS, which this version"),
        (lambda image: edited(image, "DROP TABLE _cf_METADATA", OTHER_TABLE), "has a table _cf_METADATA that durable"),
        (
            lambda image: edited(image, "CREATE TRIGGER t1 AFTER DELETE ON _cf_METADATA BEGIN DELETE FROM t; END"),
            "has a trigger t1, which this version",
        ),
        (
            lambda image: edited(
                image,
                "CREATE VIRTUAL TABLE v USING fts5(a)",
                "PRAGMA writable_schema = ON",
                "UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE v USING \"csv\"(filename=x)' WHERE name = 'v'",
            ),
            "has a table of the module csv, which objects cannot use",
        ),
        (lambda image: edited(image, "UPDATE _cf_METADATA SET value = 'soon'"), "has an alarm that is no moment"),
        (lambda image: edited(image, "UPDATE _cf_METADATA SET value = -5"), "has an alarm that is no moment"),
        (lambda image: Path(f"{image}-wal").write_bytes(b"x"), "is not complete: another program has it open"),
        (lambda image: Path(f"{image}-journal").write_bytes(b"x"), "is not complete: another program has it open"),
    ],
)
def test_what_is_no_image_is_refused_with_its_name_and_left_alone(
    image: Path, spoil: Callable[[Path], Any], sentence: str
) -> None:
    spoil(image)
    before = {path: path.read_bytes() for path in image.parent.iterdir() if path.is_file()}

    with pytest.raises(UserInputError) as caught:
        check_image(image)

    assert str(caught.value).startswith(str(image))
    assert sentence in str(caught.value)
    assert caught.value.fix
    assert {path: path.read_bytes() for path in image.parent.iterdir() if path.is_file()} == before


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="does not exist"):
        check_image(tmp_path / "nothing")
    with pytest.raises(UserInputError, match="is not a regular file"):
        check_image(tmp_path)


def test_an_image_that_is_larger_than_an_object_may_be_is_refused(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_image, "SQL_DATABASE_BYTES_MAX", 10_000)
    with pytest.raises(UserInputError, match="more than the 10000 that an object may have"):
        check_image(image)


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "utf16"
    database: Any = apsw.Connection(str(path))
    database.execute(f"PRAGMA encoding = 'UTF-16'; PRAGMA application_id = {APPLICATION_ID}; CREATE TABLE t (a)")
    database.close()
    with pytest.raises(UserInputError, match="does not hold its text as UTF-8"):
        check_image(path)


def test_what_other_programs_make_of_an_image_is_still_one(image: Path, tmp_path: Path) -> None:
    """The twin of the refusals: `sqlite3` may change the data, the journal and the size."""
    edited(image, "INSERT INTO t VALUES (3)", "CREATE INDEX i ON t (n)", "CREATE VIRTUAL TABLE f USING fts5(a)")
    check_image(image)
    edited(image, "PRAGMA journal_mode = DELETE", "VACUUM")
    check_image(image)
    edited(image, f"VACUUM INTO '{tmp_path}/small.sqlite'")
    check_image(tmp_path / "small.sqlite")
