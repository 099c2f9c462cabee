"""More objects than the host may have files open: nobody notices, whatever they are doing."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

import pytest

from durable import values
from durable.errors import StorageError
from durable.host import open_files
from durable.storage.sql import turn_watch
from durable.storage.sync_pool import SystemDisk
from durable.wire import messages as wire

PROGRAM = """
import asyncio
from durable import DurableObject

LET_GO = asyncio.Event()

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.calls = 0
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, n INTEGER)")

    def add(self, n):
        self.calls += 1
        self.sql.exec("INSERT INTO t(n) VALUES (?)", n)
        return self.calls, [row["n"] for row in self.sql.exec("SELECT n FROM t")]

    async def add_later(self, n):
        await asyncio.sleep(0)
        return self.add(n)

    async def fan_out(self, count):
        stubs = [self.env.THINGS.get_by_name(str(number)) for number in range(count)]
        found = await asyncio.gather(*(stub.add_later(number) for number, stub in enumerate(stubs)))
        return [rows for _, rows in found]

    def switch(self):
        self.sql.exec("PRAGMA case_sensitive_like = ON")
        self.sql.exec("PRAGMA recursive_triggers = ON")

    def switches(self):
        like = self.sql.exec("SELECT 'a' LIKE 'A' AS same").one()["same"]
        return like, self.sql.exec("PRAGMA recursive_triggers").one()["recursive_triggers"]

    def last_row(self):
        return self.sql.exec("SELECT last_insert_rowid() AS id").one()["id"]

    def begin_reading(self):
        self.cursor = iter(self.sql.exec("SELECT n FROM t ORDER BY n"))
        return next(self.cursor)["n"]

    def go_on_reading(self):
        return next(self.cursor)["n"]

    def begin_keys(self):
        for number in range(9):
            self.ctx.storage.kv.put(str(number), number)
        self.keys = iter(self.ctx.storage.kv.list())
        return next(self.keys)[1]

    def go_on_keys(self):
        return next(self.keys)[1]

    def run_for_ever(self):
        self.sql.exec("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r")

    async def hold(self):
        async def work(txn):
            await self.ctx.storage.put("held", 1)
            await LET_GO.wait()
        await self.ctx.storage.transaction(work)
        return "held"

    async def call_while_holding(self, name):
        async def work(txn):
            await self.ctx.storage.put("held", 1)
            return await self.env.THINGS.get_by_name(name).add(1)
        return await self.ctx.storage.transaction(work)
"""


@pytest.fixture
async def crowded(gateway: Any) -> Any:
    """A host that keeps four files open."""
    await gateway.start(PROGRAM)
    gateway.host.registry.files.files_max = 4
    return gateway


def open_objects(gateway: Any) -> int:
    """Object files of this test that the process has open, whatever our own count says."""
    count, mine = 0, str(gateway.folder)
    for entry in os.scandir("/proc/self/fd"):
        try:
            path = os.readlink(entry.path)
            count += path.endswith(".sqlite") and path.startswith(mine)
        except OSError:
            continue
    return count


async def test_actors_go_on_living_when_their_files_are_closed(crowded: Any) -> None:
    for turn in (1, 2, 3):
        for number in range(12):
            calls, rows = await crowded.call("add", turn, name=str(number))
            assert (calls, rows) == (turn, list(range(1, turn + 1)))
            assert open_objects(crowded) <= 4

    assert len(crowded.host.registry.actors) == 12
    assert crowded.host.registry.files.statistics().closed >= 20


async def test_as_many_files_are_open_as_objects_when_there_is_no_bound(gateway: Any) -> None:
    await gateway.start(PROGRAM)

    for number in range(12):
        await gateway.call("add", 1, name=str(number))

    assert open_objects(gateway) == 12
    assert gateway.host.registry.files.statistics().closed == 0


@pytest.mark.parametrize("method", ["add", "add_later"])
async def test_a_crowd_of_new_objects_waits_for_files_and_none_is_refused(crowded: Any, method: str) -> None:
    most = 0

    async def one(number: int) -> Any:
        nonlocal most
        result = await crowded.call(method, number, name=str(number))
        most = max(most, open_objects(crowded))
        return result

    found = await asyncio.gather(*(one(number) for number in range(200)))

    assert found == [(1, [number]) for number in range(200)]
    assert most <= 4 + 16


async def test_one_actor_that_creates_many_at_once_gets_all_of_them(crowded: Any) -> None:
    found = await crowded.call("fan_out", 150, name="origin")

    assert found == [[number] for number in range(150)]


async def test_what_a_statement_set_on_the_connection_outlives_the_closing_of_its_file(crowded: Any) -> None:
    await crowded.call("add", 5, name="a")
    await crowded.call("add", 6, name="a")
    await crowded.call("switch", name="a")

    await use_up_files(crowded)

    assert not store_of(crowded, "a").is_open
    assert await crowded.call("switches", name="a") == (0, 1)
    assert await crowded.call("last_row", name="a") == 2


async def test_an_unfinished_cursor_keeps_its_file_open(crowded: Any) -> None:
    for n in (1, 2, 3):
        await crowded.call("add", n, name="a")
    assert await crowded.call("begin_reading", name="a") == 1

    await use_up_files(crowded)

    assert store_of(crowded, "a").is_open
    assert await crowded.call("go_on_reading", name="a") == 2


async def test_a_listing_of_keys_keeps_its_file_open(crowded: Any) -> None:
    assert await crowded.call("begin_keys", name="a") == 0

    await use_up_files(crowded)

    assert store_of(crowded, "a").is_open
    assert await crowded.call("go_on_keys", name="a") == 1


async def test_a_runaway_query_is_stopped_in_a_file_that_was_opened_again(
    crowded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_watch, "SQL_TURN_SECONDS_MAX", 0.05)
    await crowded.call("add", 1, name="a")
    await use_up_files(crowded)
    assert not store_of(crowded, "a").is_open

    with pytest.raises(Exception, match="the SQL of one turn may take"):
        await crowded.call("run_for_ever", name="a")


async def test_a_cursor_whose_file_was_closed_all_the_same_has_lost_its_rows(
    crowded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_never_busy(*_: object) -> bool:
        return False

    monkeypatch.setattr(open_files.OpenFiles, "_is_busy", is_never_busy)
    for n in (1, 2, 3):
        await crowded.call("add", n, name="a")
    await crowded.call("begin_reading", name="a")

    await use_up_files(crowded)

    with pytest.raises(Exception, match=r"(?i)closed|cancel"):
        await crowded.call("go_on_reading", name="a")


async def test_a_commit_that_is_not_durable_keeps_its_file_open(gateway: Any) -> None:
    disk = HeldDisk()
    await gateway.start(PROGRAM, disk=disk)
    gateway.host.registry.files.files_max = 4
    sent = [gateway.send_call("add", 1, name=str(number)) for number in range(4)]
    await gateway.step_until(lambda: disk.waiting)
    opened = [store_of(gateway, str(number)) for number in range(4)]

    late = gateway.send_call("add", 1, name="late")
    await gateway.step_until(lambda: gateway.host.registry.files.crowded)

    assert all(store.is_open for store in opened)
    disk.let_go()
    for reply in await asyncio.gather(*sent, late):
        assert isinstance(reply, wire.CallReply)


async def test_events_wait_while_transactions_hold_every_file(crowded: Any) -> None:
    holders = [crowded.send_call("hold", name=f"holder {number}") for number in range(4)]
    await crowded.step_until(lambda: sum(actor.transactions for actor in crowded.host.registry.actors) == 4)
    late = [crowded.send_call("add", 1, name=f"late {number}") for number in range(40)]
    await crowded.step_until(lambda: crowded.host.registry.files.statistics().waiting >= 39)

    sys.modules["main"].LET_GO.set()

    assert [values.decode((await reply).payload) for reply in holders] == ["held"] * 4
    assert [values.decode((await reply).payload) for reply in late] == [(1, [1])] * 40


async def test_whoever_holds_the_files_may_wait_for_one_that_needs_another(crowded: Any) -> None:
    calls = [
        crowded.send_call("call_while_holding", f"callee {number}", name=f"caller {number}") for number in range(8)
    ]

    assert [values.decode((await reply).payload) for reply in calls] == [(1, [1])] * 8


async def test_beyond_the_spare_files_the_error_says_what_holds_them(crowded: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(open_files, "OPEN_FILES_SPARE", 1)
    monkeypatch.setattr(open_files, "OPEN_FILE_WAIT_SECONDS", 0.0)
    holders = [crowded.send_call("hold", name=f"holder {number}") for number in range(4)]
    await crowded.step_until(lambda: sum(actor.transactions for actor in crowded.host.registry.actors) == 4)
    holders.append(crowded.send_call("hold", name="holder 4"))
    await crowded.step_until(lambda: sum(actor.transactions for actor in crowded.host.registry.actors) == 5)

    with pytest.raises(StorageError, match=r"5 object files are open and all are in use.*the limit is 4"):
        await crowded.call("add", 1, name="late")

    sys.modules["main"].LET_GO.set()
    await asyncio.gather(*holders)
    assert await crowded.call("add", 1, name="late") == (1, [1])


def store_of(gateway: Any, name: str) -> Any:
    return gateway.host.registry.store(gateway.key(name))


async def use_up_files(gateway: Any) -> None:
    """Have other objects need more files than may be open."""
    for number in range(12):
        await gateway.call("add", 1, name=f"other {number}")


class HeldDisk(SystemDisk):
    """Syncs nothing until it is let go."""

    def __init__(self) -> None:
        self._gate = threading.Event()
        self.waiting = False

    def let_go(self) -> None:
        self._gate.set()

    def sync_file(self, descriptor: int) -> None:
        self.waiting = True
        self._gate.wait(20)
        super().sync_file(descriptor)
