"""Errors after which SQLite has thrown a turn's writes away: code that catches one cannot go on as if nothing was.

The reply is replaced by the error, every later use of storage in the turn raises it too, the object is reset, and only
what was confirmed before is there (platform: workerd, actor-sqlite-test.c++ and sql-test.js, critical errors).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.errors import ActorResetError
from durable.storage.sync_pool import SystemDisk
from durable.storage.vfs import VFS_VARIABLE
from tests.faults.in_process import InProcess, in_process, key_of
from tests.faults.io_faults import VFS_NAME, Faults, FaultyVfs

PROGRAM = """
from durable import DurableObject
from durable.errors import StorageError

CONSTRUCTIONS = []
CAUGHT = []

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTIONS.append(ctx.id.name)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, pad BLOB)")

    def insert(self, n, size=0):
        self.ctx.storage.sql.exec("INSERT INTO t VALUES (?, zeroblob(?))", n, size)
        return n

    def rows(self):
        return [row["n"] for row in self.ctx.storage.sql.exec("SELECT n FROM t ORDER BY n")]

    def sizes(self):
        return [len(row["pad"]) for row in self.ctx.storage.sql.exec("SELECT pad FROM t")]

    def insert_twice(self):
        self.insert(5)
        self.catch(lambda: self.insert(5))
        return self.rows()

    async def overfill(self, confirm):
        self.insert(2)
        if confirm:
            await self.ctx.storage.sync()
        self.catch(lambda: self.insert(3, 1_000_000))
        await self.use_everything()
        return "as if nothing was"

    async def swallow_a_failed_read(self):
        self.catch(self.sizes)
        await self.use_everything()
        return "as if nothing was"

    async def use_everything(self):
        storage = self.ctx.storage
        uses = [
            lambda: storage.sql.exec("SELECT 1"),
            lambda: storage.sql.exec("INSERT INTO t VALUES (4, NULL)"),
            lambda: storage.sql.database_size,
            lambda: storage.kv.get("k"),
            lambda: storage.kv.put("k", 1),
            lambda: storage.kv.delete("k"),
            lambda: list(storage.kv.list()),
            lambda: storage.transaction_sync(lambda: None),
        ]
        for use in uses:
            self.catch(use)
        awaited = [
            lambda: storage.get("k"),
            lambda: storage.put("k", 1),
            lambda: storage.delete("k"),
            lambda: storage.list(),
            lambda: storage.delete_all(),
            lambda: storage.get_alarm(),
            lambda: storage.delete_alarm(),
        ]
        for use in awaited:
            try:
                await use()
                CAUGHT.append(None)
            except StorageError as error:
                CAUGHT.append(str(error))

    def catch(self, use):
        try:
            use()
            CAUGHT.append(None)
        except StorageError as error:
            CAUGHT.append(str(error))
"""
USES = 16
"""The first error, and every other use of storage after it."""


def main_of() -> Any:
    return sys.modules["main"]


def limit_size(running: InProcess, pages_more: int) -> None:
    """Let the file grow by so many pages; the disk is full for everything beyond."""
    database = running.host.registry.store(key_of("a")).database
    pages = int(database.run("PRAGMA page_count").get)
    assert database.run(f"PRAGMA max_page_count = {pages + pages_more}").get == pages + pages_more


@pytest.mark.parametrize(("confirm", "kept"), [(False, [1]), (True, [1, 2])])
async def test_a_full_disk_that_user_code_swallows_ends_the_object_and_keeps_what_was_confirmed(
    tmp_path: Path, confirm: bool, kept: list[int]
) -> None:
    async with in_process(tmp_path / "run", disk=SystemDisk(), program=PROGRAM) as running:
        await running.call("a", "insert", 1)
        limit_size(running, 2)

        with pytest.raises(ActorResetError, match="SQLITE_FULL") as refused:
            await running.call("a", "overfill", confirm)

        program = main_of()
        assert refused.value.durable_object_reset
        assert len(program.CAUGHT) == USES
        assert set(program.CAUGHT) == {program.CAUGHT[0]}
        assert "SQLITE_FULL" in program.CAUGHT[0]
        assert await running.call("a", "rows") == kept
        assert program.CONSTRUCTIONS == ["a", "a"]

        # Space is there again: the same object goes on.
        limit_size(running, 10_000)
        assert await running.call("a", "insert", 3, 1_000_000) == 3
        assert await running.call("a", "rows") == [*kept, 3]
        assert program.CONSTRUCTIONS == ["a", "a"]
        assert running.faults == []


async def swallow_a_failed_read(running: InProcess, faults: Faults, *, tell: bool = True) -> Any:
    """A value that is not in the cache cannot be read, once, and the code that reads it does not mind."""
    await running.call("a", "insert", 1, 500_000)
    running.close_idle_files()
    assert await running.call("a", "rows") == [1]
    identity = key_of("a").id
    if not tell:
        running.host.registry.store(key_of("a")).on_critical = lambda: None
    faults.arm(lambda path: identity in path, 1)
    return await running.call("a", "swallow_a_failed_read")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    faults = Faults()
    vfs = FaultyVfs(faults)
    monkeypatch.setenv(VFS_VARIABLE, VFS_NAME)
    yield faults
    vfs.unregister()


async def test_a_failed_read_that_user_code_swallows_resets_the_object_at_the_end_of_that_turn(
    tmp_path: Path, faults: Faults
) -> None:
    async with in_process(tmp_path / "run", disk=SystemDisk(), program=PROGRAM) as running:
        with pytest.raises(ActorResetError, match="SQLITE_IOERR"):
            await swallow_a_failed_read(running, faults)

        program = main_of()
        assert faults.failed == ["xRead"]
        assert len(program.CAUGHT) == USES
        assert set(program.CAUGHT) == {program.CAUGHT[0]}
        # At the end of that turn, not with the next event.
        assert running.host.registry.live(key_of("a").id) is None
        assert await running.call("a", "sizes") == [500_000]
        assert program.CONSTRUCTIONS == ["a", "a", "a"]


async def test_an_actor_that_is_not_told_of_a_critical_error_is_found_out(tmp_path: Path, faults: Faults) -> None:
    async with in_process(tmp_path / "run", disk=SystemDisk(), program=PROGRAM) as running:
        assert await swallow_a_failed_read(running, faults, tell=False) == "as if nothing was"


async def test_a_swallowed_error_that_lost_nothing_changes_nothing(tmp_path: Path) -> None:
    async with in_process(tmp_path / "run", disk=SystemDisk(), program=PROGRAM) as running:
        await running.call("a", "insert", 1)
        assert await running.call("a", "insert_twice") == [1, 5]
        assert len(main_of().CAUGHT) == 1
        assert "UNIQUE constraint failed" in main_of().CAUGHT[0]
        assert await running.call("a", "rows") == [1, 5]
        assert main_of().CONSTRUCTIONS == ["a"]
