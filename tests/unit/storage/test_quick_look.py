"""One look at a file that nobody has open: the same answers as the object's own connection, and not a trace of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from durable import values
from durable.clock import SystemClock
from durable.errors import SqlError, StorageCorruptError, StorageError
from durable.storage.actor_store import ActorStore
from durable.storage.quick_look import look_quickly
from durable.storage.schema import KV_TABLE


def store_at(path: Path) -> ActorStore:
    return ActorStore(path, clock=SystemClock(), on_first_write=lambda: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of an object at rest; what it wrote last is in its log alone."""
    path = tmp_path / "ab" / f"ab{'0' * 62}.sqlite"
    store = store_at(path)
    store.keep_file()
    store.sql.exec("CREATE TABLE m(id INTEGER PRIMARY KEY, body TEXT)")
    store.sql.exec("INSERT INTO m(body) VALUES ('a'), ('b')")
    store.kv.put("cart", {"apples": 3})
    store.commit()
    store.end()
    return path


def look(path: Path, sql: str, parameters: Any = (), **caps: Any) -> Any:
    return look_quickly(path, sql, parameters, **{"rows_max": 100, "bytes_max": 10_000, "seconds_max": 10.0} | caps)


def without_log(path: Path, *, is_empty: bool) -> None:
    """As after a checkpoint: all of it is in the file."""
    store = store_at(path)
    store.sql.exec("SELECT 1")
    assert store.checkpoint()
    store.end()
    log = Path(f"{path}-wal")
    log.write_bytes(b"")
    if not is_empty:
        log.unlink()


def traces(path: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything in the object's folder: contents, time of the last write, and inode."""
    files = sorted(path.parent.iterdir())
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns, each.stat().st_ino) for each in files}


def test_it_sees_what_is_in_the_log_alone(path: Path) -> None:
    assert os.path.getsize(path) == 4096

    (found,) = look(path, "SELECT id, body FROM m WHERE id > ?", (1,))

    assert (found.columns, found.rows) == (["id", "body"], [[2, "b"]])


def test_it_answers_as_the_objects_own_connection_does(path: Path) -> None:
    queries = ["SELECT * FROM kv", "PRAGMA table_info(m)", "SELECT soundex('Ada'), 1e999, x'00ff' FROM m; SELECT 1"]

    quick = [look(path, query) for query in queries]

    store = store_at(path)
    own = [store.inspect(query, write=False, rows_max=100, seconds_max=10) for query in queries]
    store.end()
    assert quick == own


@pytest.mark.parametrize("state", ["a log", "an empty log", "no log"])
def test_it_leaves_no_trace(path: Path, state: str) -> None:
    if state != "a log":
        without_log(path, is_empty=state == "an empty log")
    before = traces(path)

    (found,) = look(path, "SELECT count(*) FROM m ORDER BY random()")

    assert found.rows == [[2]]
    assert traces(path) == before


def test_the_objects_own_connection_does_leave_one(path: Path) -> None:
    without_log(path, is_empty=False)
    before = traces(path)
    store = store_at(path)
    store.inspect("SELECT count(*) FROM m", write=False, rows_max=1, seconds_max=10)
    store.end()
    assert traces(path) != before


@pytest.mark.parametrize("has_log", [True, False])
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO m VALUES (9, 'x')",
        "UPDATE m SET body = ''",
        "DROP TABLE m",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "ATTACH '/tmp/other.sqlite' AS other",
        "SELECT load_extension('x')",
        f"SELECT * FROM {KV_TABLE}",
    ],
)
def test_nothing_but_looking_is_allowed(path: Path, sql: str, has_log: bool) -> None:
    if not has_log:
        without_log(path, is_empty=False)
    before = traces(path)
    with pytest.raises(SqlError):
        look(path, sql)
    assert traces(path) == before


def test_rows_bytes_and_time_are_bounded(path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    (few,) = look(path, endless, rows_max=3)
    assert (few.rows, few.truncated) == ([[1], [2], [3]], True)
    (small,) = look(path, endless, bytes_max=1000)
    assert small.truncated
    assert small.oversized
    with pytest.raises(StorageError, match="took longer than"):
        look(path, f"SELECT count(*) FROM ({endless})", seconds_max=0.01)


def test_there_is_nothing_to_see_of_an_object_without_a_file(tmp_path: Path) -> None:
    assert look(tmp_path / f"{'0' * 64}.sqlite", "SELECT 1") is None
    assert list(tmp_path.iterdir()) == []


def test_a_restore_that_is_not_finished_is_left_to_the_objects_own_connection(path: Path) -> None:
    Path(f"{path}-restoring").write_text("{}")
    before = traces(path)
    assert look(path, "SELECT 1") is None
    assert traces(path) == before


def test_a_file_whose_end_is_in_its_log_is_left_to_it_too(path: Path) -> None:
    without_log(path, is_empty=False)
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) - 4096)
    assert look(path, "SELECT 1") is None


def test_a_damaged_or_foreign_file_is_named(path: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.sqlite"
    connection: Any = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE t(x)")
    connection.close()
    with pytest.raises(StorageCorruptError, match="not written by durable"):
        look(foreign, "SELECT 1")
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StorageCorruptError, match=path.name):
        look(path, "SELECT 1")


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(path)
    with pytest.raises(StorageCorruptError, match="not a regular file"):
        look(link, "SELECT 1")


def test_a_folder_with_any_name_is_read(path: Path, tmp_path: Path) -> None:
    without_log(path, is_empty=False)
    odd = tmp_path / "a?b=c&immutable=0#d %41é"
    odd.mkdir()
    moved = path.rename(odd / path.name)
    (found,) = look(moved, "SELECT count(*) FROM m")
    assert found.rows == [[2]]


def test_stored_values_are_decoded_as_everywhere(path: Path) -> None:
    (found,) = look(path, "SELECT key, type, value, bytes FROM kv")
    assert found.rows == [["cart", "dict", '{"apples": 3}', len(values.encode({"apples": 3}))]]
