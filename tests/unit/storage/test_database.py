"""Making, opening, checking and closing an object's file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from durable.errors import StorageCorruptError, StorageError
from durable.storage.actor_store import ActorStore
from durable.storage.database import Database
from durable.storage.schema import empty_file


@pytest.fixture
def written(object_file: Path) -> Path:
    """An object's file with one table in it, all of it in the main file."""
    database = Database.open(object_file, create=True)
    database.run("CREATE TABLE t (a)")
    database.after_commit()
    database.run("INSERT INTO t VALUES (1)")
    assert database.checkpoint()
    database.close()
    return object_file


def test_a_new_file_has_our_mark_is_in_wal_mode_and_belongs_to_its_owner(object_file: Path) -> None:
    database = Database.open(object_file, create=True)
    try:
        pragma = {name: database.run(f"PRAGMA {name}").get for name in ("application_id", "journal_mode", "page_size")}
        assert pragma == {"application_id": 0x44757241, "journal_mode": "wal", "page_size": 4096}
        assert database.run("PRAGMA locking_mode").get == "exclusive"
        assert database.is_new
        for path in (object_file, Path(f"{object_file}-wal")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not Path(f"{object_file}-shm").exists()
    finally:
        database.close()


def test_the_contents_are_synced_before_the_file_gets_its_name(object_file: Path) -> None:
    seen: list[tuple[int, bool]] = []
    Database.open(
        object_file, create=True, sync=lambda fd: seen.append((os.fstat(fd).st_size, object_file.exists()))
    ).close()

    assert seen == [(4096, False)]


def test_the_empty_file_is_a_database_that_sqlite_accepts(tmp_path: Path) -> None:
    path = tmp_path / "plain.sqlite"
    path.write_bytes(empty_file())
    connection = apsw.Connection(str(path))

    assert connection.execute("PRAGMA integrity_check").get == "ok"
    assert connection.execute("PRAGMA journal_mode").get == "wal"
    connection.close()


def test_sqlites_own_syncs_come_back_after_the_first_commit(object_file: Path) -> None:
    database = Database.open(object_file, create=True)
    assert database.run("PRAGMA synchronous").get == 0
    database.run("CREATE TABLE t (a)")
    assert database.after_commit() is True
    assert database.run("PRAGMA synchronous").get == 1
    assert not database.is_new
    database.close()

    again = Database.open(object_file, create=False)
    assert again.run("PRAGMA synchronous").get == 1
    assert not again.is_new
    again.close()


def test_opening_what_is_not_there_makes_nothing(object_file: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Database.open(object_file, create=False)

    assert str(caught.value) == f"{object_file} does not exist"
    assert not object_file.parent.exists()


def test_a_file_that_nothing_was_written_to_is_removed_on_close(store: ActorStore, object_file: Path) -> None:
    assert store.sql.exec("SELECT 1 AS one").one() == {"one": 1}
    assert object_file.exists()
    assert not store.exists
    store.close()

    assert list(object_file.parent.iterdir()) == []


def test_closing_keeps_the_log_and_reopening_reads_it(open_store: Callable[[], ActorStore], object_file: Path) -> None:
    store = open_store()
    store.kv.put("k", 1)
    store.commit()
    store.close()

    assert Path(f"{object_file}-wal").stat().st_size > 0
    assert object_file.stat().st_size == 4096
    assert open_store().kv.get("k") == 1


def test_a_process_that_died_loses_nothing_that_it_committed(
    open_store: Callable[[], ActorStore], object_file: Path, tmp_path: Path
) -> None:
    store = open_store()
    for number in range(3):
        store.kv.put(f"k{number}", number)
        store.commit()
    store.kv.put("open", 1)
    copy = tmp_path / object_file.name
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{object_file}{suffix}").read_bytes())

    survivor = ActorStore(copy, clock=None, on_first_write=lambda: None)  # type: ignore[arg-type]
    assert survivor.kv.list() == {"k0": 0, "k1": 1, "k2": 2}
    survivor.close()


def test_every_torn_end_of_the_log_opens_as_an_earlier_commit(
    store: ActorStore, object_file: Path, tmp_path: Path
) -> None:
    for number in range(6):
        store.kv.put(f"k{number}", "x" * 3000)
        store.commit()
    base, log = object_file.read_bytes(), Path(f"{object_file}-wal").read_bytes()
    copy = tmp_path / "copy.sqlite"
    found: list[int] = []
    for cut in range(0, len(log) + 1, 1500):
        copy.write_bytes(base)
        # What a power cut leaves of the last sectors may be anything.
        Path(f"{copy}-wal").write_bytes(log[:cut] + b"\xa5" * min(512, len(log) - cut))
        survivor = ActorStore(copy, clock=None, on_first_write=lambda: None)  # type: ignore[arg-type]
        keys = survivor.kv.list()
        assert list(keys) == [f"k{number}" for number in range(len(keys))]
        found.append(len(keys))
        survivor.close()

    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 5)


def test_a_checkpoint_moves_the_log_into_the_file_and_waits_for_open_cursors(store: ActorStore) -> None:
    store.sql.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)")
    store.commit()
    frames = store.database.log_frames
    cursor = store.sql.exec("SELECT a FROM t")

    assert store.checkpoint() is False
    del cursor
    assert store.checkpoint() is True
    assert store.path.stat().st_size == store.database.run("PRAGMA page_count").get * 4096
    assert store.database.log_bytes == frames * (4096 + 24)
    store.sql.exec("INSERT INTO t VALUES (4)")
    store.commit()
    assert store.database.log_frames == 1


def test_a_checkpoint_during_a_transaction_does_nothing(store: ActorStore) -> None:
    store.kv.put("k", 1)
    assert store.checkpoint() is False
    store.commit()
    assert store.checkpoint() is True


# --- files that no object wrote -------------------------------------------------------------------------------------
def corrupt(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("this is not a database\n" * 500)
    elif how == "bad header":
        path.write_bytes(b"\xff" * 100 + data[100:])
    elif how == "foreign":
        path.unlink()
        Path(f"{path}-wal").unlink()
        connection = apsw.Connection(str(path))
        connection.execute("CREATE TABLE theirs (a)")
        connection.close()
    elif how == "future format":
        path.write_bytes(data[:18] + b"\x03\x03" + data[20:])
    elif how == "root page":
        path.write_bytes(data[:100] + b"\xff" * (4096 - 100) + data[4096:])
    elif how == "directory":
        path.unlink()
        path.mkdir()
    elif how == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif how == "symbolic link":
        moved = path.with_suffix(".elsewhere")
        path.rename(moved)
        path.symlink_to(moved)
    elif how == "hard link":
        path.with_suffix(".second").hardlink_to(path)
    elif how == "missing":
        path.unlink()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("empty", "is empty, although an object was stored in it"),
        ("text", "is damaged: it does not begin like a database"),
        ("bad header", "is damaged: it does not begin like a database"),
        ("foreign", "was not written by durable: its application id is 0x0, not 0x44757241"),
        ("future format", "was written by a newer SQLite (file format 3, this one knows 2)"),
        ("root page", "is damaged: "),
        ("directory", "is not a regular file"),
        ("fifo", "is not a regular file"),
        ("symbolic link", "is not a regular file"),
        ("hard link", "has a second name (a hard link), and writing to it would change that file too"),
        ("missing", "is missing, although its write-ahead log is there"),
    ],
)
def test_a_damaged_or_foreign_file_is_named_and_left_alone(written: Path, how: str, words: str) -> None:
    corrupt(written, how)
    if how not in ("foreign", "missing"):
        # An empty log, so that what is found is the file's own state.
        Path(f"{written}-wal").write_bytes(b"")
    before = written.read_bytes() if written.is_file() else None

    with pytest.raises(StorageCorruptError) as caught:
        Database.open(written, create=True)

    assert words in str(caught.value)
    assert caught.value.file == str(written)
    assert (written.read_bytes() if written.is_file() else None) == before


def test_a_damaged_page_met_later_is_an_error_that_names_the_file(written: Path) -> None:
    data = bytearray(written.read_bytes())
    data[4096 : 4096 + 8] = b"\xff" * 8
    written.write_bytes(data)
    Path(f"{written}-wal").write_bytes(b"")
    store = ActorStore(written, clock=None, on_first_write=lambda: None)  # type: ignore[arg-type]

    with pytest.raises(StorageCorruptError, match="is damaged: ") as caught:
        store.sql.exec("SELECT * FROM t")

    assert caught.value.critical
    store.close()


def test_a_truncated_file_is_an_error_not_a_smaller_object(written: Path) -> None:
    data = written.read_bytes()
    written.write_bytes(data[:4096])
    Path(f"{written}-wal").write_bytes(b"")
    store = ActorStore(written, clock=None, on_first_write=lambda: None)  # type: ignore[arg-type]

    with pytest.raises(StorageCorruptError, match="is damaged: "):
        store.sql.exec("SELECT * FROM t")
    store.close()


def test_a_file_that_another_program_has_open_is_said_to_be(written: Path) -> None:
    first = Database.open(written, create=False)
    other = apsw.Connection(str(written))
    try:
        with pytest.raises(apsw.BusyError):
            other.execute("SELECT * FROM t")
    finally:
        other.close()
        first.close()


def test_a_folder_that_cannot_be_written_is_an_error_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match=r"file/ab\.sqlite cannot be (made|read): Not a directory"):
        Database.open(tmp_path / "file" / "ab.sqlite", create=True)


def test_a_file_below_a_linked_folder_is_opened_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")

    for create in (True, False):
        database = Database.open(tmp_path / "link" / "object.sqlite", create=create)
        database.keep()
        assert database.path == tmp_path.resolve() / "disk" / "object.sqlite"
        database.close()


def test_a_relative_path_is_opened_wherever_the_process_goes_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = Database.open(Path("object.sqlite"), create=True)
    monkeypatch.chdir("/")

    database.run("CREATE TABLE t (a)")

    descriptor, folder = database.take_sync_targets()
    assert (os.path.samestat(os.fstat(descriptor), os.stat(tmp_path / "object.sqlite-wal")), folder) == (
        True,
        str(tmp_path),
    )
    database.close()
