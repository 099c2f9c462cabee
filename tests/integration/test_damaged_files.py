"""Files that are not what their objects wrote: an error that names the file, never an empty object, nothing touched."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from durable.errors import StorageCorruptError
from durable.storage.layout import StateLayout
from durable.wire import messages as wire

from .conftest import KEY, Gateway

PROGRAM = """
from durable import DurableObject

class Thing(DurableObject):
    def fill(self):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, text TEXT)")
        for number in range(300):
            sql.exec("INSERT INTO t(text) VALUES (?)", f"{number} " * 100)

    def read(self):
        # What `SELECT count(*)` passes over it does not check.
        return len(self.ctx.storage.sql.exec("SELECT * FROM t ORDER BY id").to_array())

    def keys(self):
        return self.ctx.storage.kv.get("anything")

    async def empty(self):
        await self.ctx.storage.delete_all()
"""

PAGE = 4096


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def bad_header(path: Path) -> None:
    overwrite(path, 0, b"SQLite format 4\0")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def damaged_root_page(path: Path) -> None:
    overwrite(path, PAGE, os.urandom(PAGE))


def damaged_leaf_page(path: Path) -> None:
    overwrite(path, path.stat().st_size - 20 * PAGE, b"\xff" * PAGE)


def text(path: Path) -> None:
    path.write_text("this was a database once\n" * 1000)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def future_format(path: Path) -> None:
    overwrite(path, 18, b"\x03\x03")


def another_program(path: Path) -> None:
    path.unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)")
    database.close()


def foreign_log(path: Path) -> None:
    other = path.with_name("other.sqlite")
    database = sqlite3.connect(other)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)")
    shutil.copy(f"{other}-wal", f"{path}-wal")
    database.close()
    other.unlink()


def symbolic_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def hard_link(path: Path) -> None:
    os.link(path, path.with_name("second-name"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def missing(path: Path) -> None:
    path.unlink()


WITHOUT_LOG: list[tuple[Callable[[Path], None], str]] = [
    (empty, "is empty, although an object was stored in it"),
    (bad_header, "is damaged: "),
    (truncated, "is damaged: "),
    (damaged_root_page, "is damaged: database disk image is malformed"),
    (damaged_leaf_page, "is damaged: database disk image is malformed"),
    (text, "is damaged: "),
    (folder, "is not a regular file"),
    (future_format, "was written by a newer SQLite (file format 3, this one knows 2)"),
    (another_program, "was not written by durable"),
    (foreign_log, "was not written by durable"),
    (symbolic_link, "is not a regular file"),
    (dangling_link, "is not a regular file"),
    (hard_link, "has a second name"),
    (pipe, "is not a regular file"),
    (missing, "is missing, although its object was stored in it; put the file back"),
]
WITH_LOG: list[tuple[Callable[[Path], None], str]] = [
    (text, "is damaged: it does not begin like a database"),
    (bad_header, "is damaged: it does not begin like a database"),
    (empty, "is empty, although an object was stored in it"),
    (future_format, "was written by a newer SQLite"),
    (missing, "is missing, although its write-ahead log is there"),
]


@pytest.fixture
async def gateway(gateway: Gateway) -> Gateway:
    await gateway.start(PROGRAM)
    return gateway


def path_of(gateway: Gateway, name: str) -> Path:
    return StateLayout(gateway.folder / "state").object_file(KEY, gateway.key(name).id)


async def fall_asleep(gateway: Gateway, name: str, *, keep_log: bool = False) -> Path:
    """Leave nothing of the object but its files: with everything in the log, or all of it in the main file."""
    registry, actor_id = gateway.host.registry, gateway.key(name).id
    await gateway.step_until(lambda: registry.evict(actor_id))
    if not keep_log:
        assert registry.store(gateway.key(name)).checkpoint()
    registry.forget(actor_id)
    path = path_of(gateway, name)
    if not keep_log:
        os.unlink(f"{path}-wal")
    return path


def contents(path: Path) -> dict[str, bytes | str]:
    """Everything beside the object that could have been changed, without its times and history."""
    found: dict[str, bytes | str] = {}
    for each in sorted(path.parent.iterdir()):
        # SQLite makes a log when there is none; it says nothing.
        if "times" not in each.name and "history" not in each.name and (each.is_dir() or each.lstat().st_size):
            is_file = stat.S_ISREG(each.lstat().st_mode)
            found[each.name] = each.read_bytes() if is_file else str(each.lstat().st_ino)
    return found


@pytest.mark.parametrize(("damage", "complaint"), WITHOUT_LOG, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_damaged_file_is_named_and_left_alone(
    gateway: Gateway, damage: Callable[[Path], None], complaint: str
) -> None:
    await gateway.call("fill", name="bad")
    await gateway.call("fill", name="good")
    path = await fall_asleep(gateway, "bad")
    damage(path)
    before = contents(path)

    for _ in range(2):
        reply = await gateway.send_call("read", name="bad")

        assert isinstance(reply, wire.Failed)
        assert reply.status == 500
        assert reply.error.type in ("StorageCorruptError", "ActorResetError")
        assert f"{path} " in reply.error.message
        assert complaint in reply.error.message
        assert await gateway.call("read", name="good") == 300
    gateway.host.registry.sweep()

    assert contents(path) == before


@pytest.mark.parametrize(("damage", "complaint"), WITH_LOG, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_log_that_has_every_page_does_not_hide_the_damage(
    gateway: Gateway, damage: Callable[[Path], None], complaint: str
) -> None:
    await gateway.call("fill", name="bad")
    path = await fall_asleep(gateway, "bad", keep_log=True)
    damage(path)
    before = contents(path)

    with pytest.raises(StorageCorruptError) as refusal:
        await gateway.call("read", name="bad")

    assert refusal.value.file == str(path)
    assert complaint in str(refusal.value)
    assert contents(path) == before


async def test_an_object_that_only_looks_for_a_key_finds_the_loss_too(gateway: Gateway) -> None:
    await gateway.call("fill", name="lost")
    path = await fall_asleep(gateway, "lost")
    path.unlink()

    with pytest.raises(StorageCorruptError, match="is missing"):
        await gateway.call("keys", name="lost")

    assert not path.exists()


async def test_a_tool_is_told_of_the_loss_too(gateway: Gateway) -> None:
    await gateway.call("fill", name="lost")
    path = await fall_asleep(gateway, "lost")
    path.unlink()

    reply = await gateway.ask(lambda number: wire.Inspect(number, gateway.key("lost"), "SELECT 1", False, 10, 1.0))

    assert f"{path} is missing" in reply.error


async def test_a_file_that_was_put_back_is_used_again(gateway: Gateway) -> None:
    await gateway.call("fill", name="lost")
    path = await fall_asleep(gateway, "lost")
    path.rename(path.with_name("away"))
    with pytest.raises(StorageCorruptError):
        await gateway.call("read", name="lost")

    path.with_name("away").rename(path)

    assert await gateway.call("read", name="lost") == 300


async def test_an_object_that_the_index_does_not_know_begins_empty(gateway: Gateway) -> None:
    await gateway.call("fill", name="lost")
    path = await fall_asleep(gateway, "lost")
    path.unlink()
    gateway.index.clear()

    assert await gateway.call("keys", name="lost") is None


async def test_a_host_that_dies_between_index_and_first_commit_leaves_an_empty_object(gateway: Gateway) -> None:
    gateway.answers_index = False
    gateway.send_call("fill", name="young").cancel()
    await gateway.until(lambda: gateway.index_asked)
    assert gateway.index_asked[0].new_file
    path = path_of(gateway, "young")
    # What a dead process leaves: the row in the index, and the file with nothing in it.
    image = path.read_bytes()
    gateway.answers_index = True
    gateway.answer_index()
    await gateway.until(lambda: gateway.durable)
    await fall_asleep(gateway, "young")
    path.write_bytes(image)

    assert await gateway.call("keys", name="young") is None


async def test_an_unfinished_checkpoint_is_no_damage(gateway: Gateway) -> None:
    await gateway.call("fill", name="a")
    path = await fall_asleep(gateway, "a", keep_log=True)
    log = Path(f"{path}-wal").read_bytes()
    await gateway.call("read", name="a")
    await fall_asleep(gateway, "a")
    # The first page is written and says how many there are; the power went before the others were.
    os.truncate(path, 2 * PAGE)
    Path(f"{path}-wal").write_bytes(log)

    assert await gateway.call("read", name="a") == 300
