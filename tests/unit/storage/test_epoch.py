"""Group commit: what is synced when, who is told, and what a refusing disk does."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from durable.clock import ManualClock
from durable.errors import StorageError
from durable.storage.actor_store import ActorStore
from durable.storage.database import Database
from durable.storage.epoch import Epochs

PATIENCE_SECONDS = 10.0
"""How long a test waits for a thread before it calls it stuck."""


class FakeDisk:
    """Records what is synced; can hold every sync, and refuse some."""

    def __init__(self) -> None:
        self.files: list[int] = []
        self.folders: list[str] = []
        self.refused_inodes: set[int] = set()
        self.refused_folders: set[str] = set()
        self.entered = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def sync_file(self, descriptor: int) -> None:
        self.entered.release()
        assert self.may_go_on.wait(PATIENCE_SECONDS)
        inode = os.fstat(descriptor).st_ino
        self.files.append(inode)
        if inode in self.refused_inodes:
            raise OSError(5, "Input/output error")

    def sync_folder(self, path: str) -> None:
        self.folders.append(path)
        if path in self.refused_folders:
            raise OSError(5, "Input/output error")

    async def wait_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=PATIENCE_SECONDS)

    def hold(self) -> None:
        self.may_go_on.clear()

    def let_go(self) -> None:
        self.may_go_on.set()


class Bench:
    """Epochs over real files, with everything that they report."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.disk = FakeDisk()
        self.folder = folder
        self.told: list[tuple[Any, ...]] = []
        self.stores: dict[str, ActorStore] = {}
        self.epochs = Epochs(
            asyncio.get_running_loop(),
            durability=durability,
            on_durable=lambda epoch: self.told.append(("durable", epoch)),
            on_failed=lambda epoch, databases: self.told.append(("failed", epoch, [self.name(db) for db in databases])),
            disk=self.disk,
        )

    def name(self, database: Database) -> str:
        return database.path.stem

    def store(self, name: str) -> ActorStore:
        if name not in self.stores:
            path = self.folder / name[:1] / f"{name}.sqlite"
            self.stores[name] = ActorStore(path, clock=ManualClock(), on_first_write=lambda: None)
        return self.stores[name]

    def write(self, name: str) -> int:
        """One turn of the object: write, commit, join the epoch."""
        store = self.store(name)
        store.kv.put("n", store.kv.get("n", 0) + 1)
        assert store.commit()
        return self.epochs.commit(store.database)

    def log_inode(self, name: str) -> int:
        return os.stat(f"{self.store(name).path}-wal").st_ino

    def folder_of(self, name: str) -> str:
        return str(self.store(name).path.parent)

    def close(self) -> None:
        self.disk.let_go()
        self.epochs.close()
        for store in self.stores.values():
            store.close()


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[Callable[[str], Bench]]:
    made: list[Bench] = []

    def make(durability: str) -> Bench:
        made.append(Bench(tmp_path, durability))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
async def bench(make_bench: Callable[[str], Bench]) -> Bench:
    return make_bench("full")


# --- full -----------------------------------------------------------------------------------------------------------
async def test_a_commit_is_durable_when_its_log_and_the_folder_of_a_new_file_are_synced(bench: Bench) -> None:
    bench.disk.hold()
    epoch = bench.write("a")
    await bench.disk.wait_entered()
    assert (epoch, bench.epochs.durable, bench.told) == (1, 0, [])
    assert bench.store("a").undurable_epoch == 1

    bench.disk.let_go()
    await bench.epochs.wait(epoch)

    assert bench.told == [("durable", 1)]
    assert bench.disk.files == [bench.log_inode("a")]
    assert bench.disk.folders == [bench.folder_of("a")]
    assert (bench.epochs.durable, bench.store("a").undurable_epoch) == (1, 0)


async def test_the_folder_is_synced_once_for_each_opening(bench: Bench) -> None:
    for _ in range(3):
        await bench.epochs.wait(bench.write("a"))
    assert bench.disk.folders == [bench.folder_of("a")]

    bench.store("a").close()
    await bench.epochs.wait(bench.write("a"))
    assert bench.disk.folders == [bench.folder_of("a")] * 2


async def test_two_new_files_in_one_folder_need_one_sync_of_it(bench: Bench) -> None:
    bench.disk.hold()
    bench.write("b")
    await bench.disk.wait_entered()
    bench.write("a1")
    bench.write("a2")
    bench.disk.let_go()
    await bench.epochs.wait(2)

    assert bench.disk.folders == [bench.folder_of("b"), bench.folder_of("a1")]


async def test_the_turns_that_were_ready_to_run_share_one_sync(bench: Bench) -> None:
    assert [bench.write(name) for name in ("a", "a", "b")] == [1, 1, 1]
    await bench.epochs.wait(1)
    assert bench.told == [("durable", 1)]
    assert sorted(bench.disk.files) == sorted([bench.log_inode("a"), bench.log_inode("b")])


async def test_a_commit_during_its_files_own_sync_belongs_to_the_next_epoch(bench: Bench) -> None:
    bench.disk.hold()
    first = bench.write("a")
    await bench.disk.wait_entered()
    second = bench.write("a")
    assert (first, second) == (1, 2)

    bench.disk.let_go()
    await bench.epochs.wait(first)
    assert bench.store("a").undurable_epoch == 2
    await bench.epochs.wait(second)

    assert bench.told == [("durable", 1), ("durable", 2)]
    assert bench.disk.files == [bench.log_inode("a")] * 2
    assert bench.store("a").undurable_epoch == 0


async def test_everything_that_is_committed_while_one_epoch_is_in_flight_is_the_next_one(bench: Bench) -> None:
    bench.disk.hold()
    bench.write("a")
    await bench.disk.wait_entered()
    epochs = {bench.write(name) for name in ("b", "c", "b", "a", "b")}
    assert epochs == {2}
    assert bench.epochs.filling_or_last == 2
    statistics = bench.epochs.statistics()
    assert (statistics.in_flight, statistics.waiting) == (1, 3)

    bench.disk.let_go()
    await bench.epochs.wait(2)

    synced = [bench.log_inode(name) for name in "abca"]
    assert sorted(bench.disk.files) == sorted(synced)
    assert bench.told == [("durable", 1), ("durable", 2)]


async def test_many_files_are_synced_in_several_threads_at_once(bench: Bench) -> None:
    names = [f"{number:02}" for number in range(8)]
    bench.disk.hold()
    bench.write("a")
    await bench.disk.wait_entered()
    for name in names:
        bench.write(name)
    meeting = threading.Barrier(2)
    threads: set[str] = set()
    plain = bench.disk.sync_file

    def sync_file(descriptor: int) -> None:
        if threading.current_thread().name not in threads:
            threads.add(threading.current_thread().name)
            meeting.wait(PATIENCE_SECONDS)
        plain(descriptor)

    bench.disk.sync_file = sync_file  # type: ignore[method-assign]
    bench.disk.let_go()
    await bench.epochs.wait(2)

    assert len(threads) == 2
    assert len(bench.disk.files) == 9


async def test_callbacks_run_in_the_order_of_their_epochs(bench: Bench) -> None:
    bench.disk.hold()
    first = bench.write("a")
    await bench.disk.wait_entered()
    second = bench.write("b")
    order: list[str] = []
    bench.epochs.when_durable(second, lambda: order.append("second"))
    bench.epochs.when_durable(first, lambda: order.append("first"))
    bench.epochs.when_durable(first, lambda: order.append("first again"))
    bench.epochs.when_durable(0, lambda: order.append("nothing to wait for"))
    bench.disk.let_go()
    await bench.epochs.wait(second)

    assert order == ["nothing to wait for", "first", "first again", "second"]
    bench.epochs.when_durable(first, lambda: order.append("late"))
    assert order[-1] == "late"


async def test_waiting_can_be_given_up(bench: Bench) -> None:
    bench.disk.hold()
    epoch = bench.write("a")
    waiter = asyncio.ensure_future(bench.epochs.wait(epoch))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    bench.disk.let_go()
    await bench.epochs.wait(epoch)

    assert bench.told == [("durable", 1)]


async def test_forcing_an_epoch_that_nobody_committed_to_returns(bench: Bench) -> None:
    await bench.epochs.force(99)
    await bench.epochs.force(bench.write("a"))
    await bench.epochs.sync(bench.store("a").database)

    assert bench.epochs.durable == 1


async def test_a_listener_that_raises_does_not_stop_the_next_epoch(bench: Bench) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
    bench.disk.hold()
    first = bench.write("a")
    bench.epochs.when_durable(first, lambda: print(1 // 0))
    await bench.disk.wait_entered()
    second = bench.write("b")
    bench.disk.let_go()
    await bench.epochs.wait(second)

    assert [type(error) for error in reported] == [ZeroDivisionError]
    assert bench.told == [("durable", 1), ("durable", 2)]


# --- a file that is closed while it is synced -----------------------------------------------------------------------
async def test_a_log_in_flight_stays_open_until_its_epoch_is_over(bench: Bench) -> None:
    bench.disk.hold()
    epoch = bench.write("a")
    await bench.disk.wait_entered()
    database = bench.store("a").database
    descriptor, _ = database.take_sync_targets()
    inode = bench.log_inode("a")
    bench.store("a").close()
    os.fstat(descriptor)

    bench.disk.let_go()
    await bench.epochs.wait(epoch)

    assert bench.disk.files == [inode]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


# --- a disk that refuses --------------------------------------------------------------------------------------------
async def test_a_refused_sync_fails_exactly_the_file_it_was_for(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        await bench.epochs.wait(bench.write(name))
    bench.told.clear()
    bench.disk.refused_inodes = {bench.log_inode("b")}
    bench.disk.hold()
    bench.write("d")
    await bench.disk.wait_entered()
    epoch = max(bench.write(name) for name in ("a", "b", "c"))
    bench.disk.let_go()
    await bench.epochs.wait(epoch)

    assert bench.told == [("durable", 4), ("failed", 5, ["b"]), ("durable", 5)]
    assert bench.store("a").database.sync_error is None
    error = bench.store("b").database.sync_error
    assert str(error) == (f"the disk refused to make {bench.store('b').path} durable: Input/output error")
    assert error is not None
    assert error.critical
    statistics = bench.epochs.statistics()
    assert (statistics.files_synced, statistics.files_failed) == (6, 1)


async def test_a_refused_sync_is_never_repeated_and_later_commits_fall_with_it(bench: Bench) -> None:
    await bench.epochs.wait(bench.write("a"))
    bench.disk.refused_inodes = {bench.log_inode("a")}
    bench.disk.hold()
    bench.write("a")
    await bench.disk.wait_entered()
    later = bench.write("a")
    other = bench.write("b")
    bench.disk.let_go()
    await bench.epochs.wait(other)

    assert later == other
    assert bench.told == [("durable", 1), ("failed", 2, ["a"]), ("durable", 2), ("durable", 3)]
    assert bench.disk.files.count(bench.log_inode("a")) == 2
    assert bench.store("a").undurable_epoch == 0


async def test_an_object_whose_sync_failed_takes_no_more_writes_until_it_is_read_from_disk_again(bench: Bench) -> None:
    await bench.epochs.wait(bench.write("a"))
    bench.disk.refused_inodes = {bench.log_inode("a")}
    await bench.epochs.wait(bench.write("a"))
    store = bench.store("a")
    failed = store.database

    with pytest.raises(StorageError, match="the disk refused to make"):
        await bench.epochs.sync(failed)
    with pytest.raises(StorageError, match="the disk refused to make"):
        bench.epochs.commit(failed)
    with pytest.raises(StorageError, match="the disk refused to make"):
        store.kv.put("n", 9)

    bench.disk.refused_inodes.clear()
    store.rollback()
    assert store.database is not failed
    await bench.epochs.wait(bench.write("a"))
    assert store.database.sync_error is None


async def test_a_folder_that_cannot_be_synced_fails_every_new_file_in_it(bench: Bench) -> None:
    bench.disk.hold()
    bench.write("x")
    await bench.disk.wait_entered()
    bench.disk.refused_folders = {bench.folder_of("a1")}
    epoch = max(bench.write(name) for name in ("a1", "b1", "a2"))
    bench.disk.let_go()
    await bench.epochs.wait(epoch)

    assert ("failed", 2, ["a1", "a2"]) in bench.told


async def test_a_log_that_vanished_fails_its_file(bench: Bench) -> None:
    bench.disk.hold()
    bench.write("x")
    await bench.disk.wait_entered()
    epoch = bench.write("a")
    os.unlink(f"{bench.store('a').path}-wal")
    bench.disk.let_go()
    await bench.epochs.wait(epoch)

    assert bench.told == [("durable", 1), ("failed", 2, ["a"]), ("durable", 2)]


# --- relaxed --------------------------------------------------------------------------------------------------------
@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, Callable[[], None]]]:
    """Timers of the loop, which never run by themselves."""
    started: list[tuple[float, Callable[[], None]]] = []

    class Handle:
        def cancel(self) -> None:
            started.clear()

    def call_later(delay: float, callback: Callable[[], None]) -> Handle:
        started.append((delay, callback))
        return Handle()

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
    return started


async def test_relaxed_commits_wait_for_nothing_and_are_synced_a_second_later(
    make_bench: Callable[[str], Bench], timers: list[tuple[float, Callable[[], None]]]
) -> None:
    bench = make_bench("relaxed")
    assert [bench.write(name) for name in ("a", "b", "a")] == [0, 0, 0]
    assert (bench.disk.files, bench.told, len(timers), timers[0][0]) == ([], [], 1, 1.0)
    assert bench.store("a").undurable_epoch == 1

    timers[0][1]()
    done = asyncio.Event()
    bench.epochs.when_durable(1, done.set)
    await done.wait()

    assert sorted(bench.disk.files) == sorted([bench.log_inode("a"), bench.log_inode("b")])
    assert (bench.told, bench.epochs.durable, bench.store("a").undurable_epoch) == ([], 1, 0)


async def test_relaxed_commits_during_a_sync_start_the_next_second(
    make_bench: Callable[[str], Bench], timers: list[tuple[float, Callable[[], None]]]
) -> None:
    bench = make_bench("relaxed")
    bench.disk.hold()
    bench.write("a")
    timers[0][1]()
    bench.write("b")
    assert timers == []
    bench.disk.let_go()
    done = asyncio.Event()
    bench.epochs.when_durable(1, done.set)
    await done.wait()

    assert [delay for delay, _ in timers] == [1.0]


async def test_relaxed_commits_can_be_forced(
    make_bench: Callable[[str], Bench], timers: list[tuple[float, Callable[[], None]]]
) -> None:
    bench = make_bench("relaxed")
    bench.disk.hold()
    bench.write("a")
    first = asyncio.ensure_future(bench.epochs.sync(bench.store("a").database))
    await bench.disk.wait_entered()
    bench.write("a")
    second = asyncio.ensure_future(bench.epochs.sync(bench.store("a").database))
    await asyncio.sleep(0)
    bench.disk.let_go()
    await first
    await second

    assert bench.disk.files == [bench.log_inode("a")] * 2
    assert bench.store("a").undurable_epoch == 0


async def test_a_relaxed_sync_that_is_refused_is_reported(
    make_bench: Callable[[str], Bench], timers: list[tuple[float, Callable[[], None]]]
) -> None:
    bench = make_bench("relaxed")
    bench.write("a")
    bench.disk.refused_inodes = {bench.log_inode("a")}

    with pytest.raises(StorageError, match="the disk refused to make"):
        await bench.epochs.sync(bench.store("a").database)

    assert bench.told == [("failed", 1, ["a"])]


def test_other_durabilities_are_refused() -> None:
    with pytest.raises(ValueError, match='durability is "full" or "relaxed", got \'off\''):
        Epochs(None, durability="off", on_durable=print, on_failed=print)  # type: ignore[arg-type]


# --- the end --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("durability", ["full", "relaxed"])
async def test_closing_syncs_what_is_left_and_ends_the_threads(
    make_bench: Callable[[str], Bench], durability: str
) -> None:
    before = threading.active_count()
    bench = make_bench(durability)
    for name in ("a", "b", "c"):
        bench.write(name)
    bench.epochs.close()

    assert set(bench.disk.files) == {bench.log_inode(name) for name in "abc"}
    assert all(store.undurable_epoch == 0 for store in bench.stores.values())
    assert threading.active_count() == before
    await asyncio.sleep(0)
    assert [entry for entry in bench.told if entry[0] == "durable"] == bench.told


# --- who waits for what will never come -----------------------------------------------------------------------------
async def test_an_epoch_of_nothing_but_lost_commits_is_over_with_the_one_that_lost_them(bench: Bench) -> None:
    await bench.epochs.wait(bench.write("a"))
    bench.disk.refused_inodes = {bench.log_inode("a")}
    bench.disk.hold()
    bench.write("a")
    await bench.disk.wait_entered()
    on_top = bench.write("a")
    bench.disk.let_go()
    await asyncio.wait_for(bench.epochs.wait(on_top), PATIENCE_SECONDS)

    assert bench.told == [("durable", 1), ("failed", 2, ["a"]), ("durable", 2), ("durable", 3)]


async def test_a_disk_that_does_not_answer_fails_what_waits_for_it_and_what_waits_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable.storage.epoch.COMMIT_SECONDS_MAX", 0.05)
    bench.disk.hold()
    in_flight = bench.write("a")
    await bench.disk.wait_entered()
    behind = bench.write("b")
    await asyncio.wait_for(bench.epochs.wait(behind), PATIENCE_SECONDS)

    assert bench.told == [("failed", in_flight, ["a", "b"])]
    for name in ("a", "b"):
        assert str(bench.store(name).database.sync_error) == (
            "Durable Object storage operation exceeded timeout which caused object to be reset."
        )
        bench.store(name).rollback()

    bench.disk.let_go()
    again = bench.write("a")
    await asyncio.wait_for(bench.epochs.wait(again), PATIENCE_SECONDS)
    assert bench.told[-1] == ("durable", again)
    assert bench.store("a").database.sync_error is None


async def test_relaxed_durability_waits_for_no_disk_and_gives_nothing_up(
    make_bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable.storage.epoch.COMMIT_SECONDS_MAX", 0.0)
    monkeypatch.setattr("durable.storage.epoch.RELAXED_SYNC_SECONDS", 0.0)
    bench = make_bench("relaxed")
    bench.disk.hold()
    bench.write("a")
    await bench.disk.wait_entered()
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.told == []
