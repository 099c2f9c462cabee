"""A sync that fails: whose answers go, whose stay, and what may be acknowledged afterwards.

The kernel may mark pages clean that it could not write, so a second sync of them succeeds and means nothing. What is
acknowledged after a failure must not stand on such pages: crash images show whether it does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import tempfile
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import ActorResetError
from durable.gateway.link import HostLink
from durable.storage.actor_store import ActorStore
from durable.storage.layout import StateLayout, sync_folder
from durable.storage.log_sync import sync_log
from durable.storage.sync_pool import SystemDisk
from durable.storage.vfs import VFS_VARIABLE
from tests.faults.crash_image import CrashImages
from tests.faults.disk_log import VFS_NAME, DiskLog, LoggedCalls, LoggedVfs
from tests.faults.in_process import NAMESPACE, InProcess, in_process, key_of
from tests.faults.ledger import Operation, State, answered, read_state, states_after

IMAGES = 200
SEED = 20_261_121


class RefusingDisk(SystemDisk):
    """Syncs of the logs of `refused` files fail, each file as often as it says; failures are told to `log`."""

    def __init__(self, log: DiskLog | None = None) -> None:
        self.refused: dict[int, int] = {}
        """Inode of a log → failures to come."""
        self.failures = 0
        self._log = log

    def refuse(self, file: Path, times: int) -> None:
        self.refused[os.stat(f"{file}-wal").st_ino] = times

    def sync_file(self, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        if self.refused.get(inode, 0) > 0:
            self.refused[inode] -= 1
            self.failures += 1
            if self._log is not None and (file := self._log.file_of(descriptor)) is not None:
                self._log.synced(file, failed=True)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync_file(descriptor)


# --- whose answers ----------------------------------------------------------------------------------------------------
async def answers_around_a_failure(running: InProcess, disk: RefusingDisk, times: int) -> dict[str, object]:
    """Three objects write at the same moment while the disk refuses one of their logs."""
    names = ("a", "b", "c")
    for name in names:
        await running.call(name, "perform", "put", 1)
    disk.refuse(running.object_file("b"), times)
    outcomes = await asyncio.gather(
        *(running.call(name, "perform", "put", 2) for name in names), return_exceptions=True
    )
    return dict(zip(names, outcomes, strict=True))


async def test_a_failed_sync_drops_the_answers_of_its_own_object_and_of_no_other(tmp_path: Path) -> None:
    disk = RefusingDisk()
    async with in_process(tmp_path / "run", disk=disk) as running:
        outcomes = await answers_around_a_failure(running, disk, times=1)
        after = {name: answered(await running.call(name, "perform", "put", 3)) for name in outcomes}

    assert isinstance(refused := outcomes.pop("b"), ActorResetError)
    assert refused.durable_object_reset
    assert "storage operation failed" in str(refused)
    assert [answered(each).keys["last"] for each in outcomes.values()] == [2, 2]
    assert disk.failures == 1
    assert {state.keys["last"] for state in after.values()} == {3}


async def test_an_object_whose_log_is_always_refused_acknowledges_nothing_until_the_disk_is_well(
    tmp_path: Path,
) -> None:
    disk = RefusingDisk()
    async with in_process(tmp_path / "run", disk=disk) as running:
        await answers_around_a_failure(running, disk, times=1_000)
        for number in (3, 4):
            with pytest.raises(ActorResetError):
                await running.call("b", "perform", "put", number)
            assert answered(await running.call("a", "perform", "put", number)).keys["last"] == number
        disk.refused.clear()
        state = answered(await running.call("b", "perform", "put", 5))

    assert disk.failures == 3
    assert {state.keys["key 1"], state.keys["last"]} == {1, 5}


async def test_answers_let_out_in_spite_of_a_failed_sync_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostLink, "_epoch_failed", lambda link, message: None)
    disk = RefusingDisk()
    async with in_process(tmp_path / "run", disk=disk) as running:
        outcomes = await answers_around_a_failure(running, disk, times=1)

    assert disk.failures == 1
    assert not isinstance(outcomes["b"], ActorResetError)


# --- what may be acknowledged afterwards ------------------------------------------------------------------------------
class Sequel:
    """One object that goes on after a failed sync, on a logged disk: its states, and when each was promised."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log = DiskLog(folder)
        self.states = [State()]
        self.promised: list[tuple[int, State]] = []
        self._folder = folder

    async def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        vfs = LoggedVfs(self.log, lambda path: True)
        disk = RefusingDisk(self.log)
        try:
            with monkeypatch.context() as replaced:
                replaced.setenv(VFS_VARIABLE, VFS_NAME)
                LoggedCalls(self.log).install(replaced)
                async with in_process(self._folder, disk=disk) as running:
                    running.link.on_answer = lambda reply: self.lengths.append(len(self.log.entries))
                    self.lengths: list[int] = []
                    for number in range(1, 5):
                        await self._perform(running, ("put", number))
                    disk.refuse(running.object_file("a"), 1)
                    for number in range(5, 12):
                        await self._perform(running, ("put", number))
            assert disk.failures == 1
        finally:
            vfs.unregister()

    async def _perform(self, running: InProcess, operation: Operation) -> None:
        try:
            state = answered(await running.call("a", "perform", *operation))
        except ActorResetError:
            # Nobody knows: it may be there or not, and what follows says which.
            self.states += states_after(self.states[-1], operation)
            return
        self.states.append(state)
        self.promised.append((self.lengths[-1], state))

    async def run_on_what_a_killed_host_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Commits that no sync followed, then another host that is only asked what there is."""
        vfs = LoggedVfs(self.log, lambda path: True)
        try:
            with monkeypatch.context() as replaced:
                replaced.setenv(VFS_VARIABLE, VFS_NAME)
                LoggedCalls(self.log).install(replaced)
                file = StateLayout(self._folder / "state").object_file(NAMESPACE, key_of("a").id)
                store = ActorStore(file, clock=ManualClock(), on_first_write=lambda: None)
                for number in (1, 2, 3):
                    store.kv.put("last", number)
                    store.commit()
                    self.states.append(State({"last": number}))
                store.close()
                sync_folder(file.parent)
                async with in_process(self._folder, disk=SystemDisk()) as running:
                    state = answered(await running.call("a", "state"))
                    self.promised.append((len(self.log.entries), state))
        finally:
            vfs.unregister()

    def losses(self) -> list[str]:
        """Images that lack what was promised."""
        choice = random.Random(SEED)
        built = CrashImages(self.log)
        wrong: list[str] = []
        anywhere = [choice.randrange(len(self.log.entries) + 1) for _ in range(IMAGES // 2)]
        promises = choice.choices([length for length, _ in self.promised], k=IMAGES // 2)
        for cut in sorted(anywhere + promises):
            with tempfile.TemporaryDirectory() as image:
                built.build(cut, choice, Path(image))
                file = StateLayout(Path(image) / "state").object_file(NAMESPACE, key_of("a").id)
                last = [state for length, state in self.promised if length <= cut][-1:]
                try:
                    found = read_state(file)
                except Exception as error:
                    wrong.append(f"seed {SEED}, cut {cut}: {error!r}")
                    continue
                first = self.states.index(last[0]) if last else 0
                if found not in self.states[first:]:
                    wrong.append(f"seed {SEED}, cut {cut}: {found} instead of {last}")
        return wrong


async def test_what_is_acknowledged_after_a_failed_sync_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequel = Sequel(tmp_path / "run")
    await sequel.run(monkeypatch)

    assert sequel.promised[-1][1].keys["last"] == 11
    assert sequel.losses() == []


async def test_going_on_behind_pages_that_only_pass_for_clean_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable.storage.transaction.sync_log", lambda file, rewrite: sync_log(file, rewrite=False))
    sequel = Sequel(tmp_path / "run")
    await sequel.run(monkeypatch)

    assert any("instead of" in text for text in sequel.losses())


# --- what another process left ----------------------------------------------------------------------------------------
async def test_what_a_killed_host_left_unsynced_is_told_to_nobody_before_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequel = Sequel(tmp_path / "run")
    await sequel.run_on_what_a_killed_host_left(monkeypatch)

    assert [state.keys for _, state in sequel.promised] == [{"last": 3}]
    assert sequel.losses() == []


async def test_telling_what_only_the_kernel_knows_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.storage.transaction.sync_log", lambda file, rewrite: None)
    sequel = Sequel(tmp_path / "run")
    await sequel.run_on_what_a_killed_host_left(monkeypatch)

    assert any("instead of" in text for text in sequel.losses())
