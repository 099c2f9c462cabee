"""The n-th access to one object's files fails, for every n: nothing acknowledged is lost, and nobody else notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.errors import DurableError, StorageError
from durable.storage.sync_pool import SystemDisk
from durable.storage.transaction import Transaction
from durable.storage.vfs import VFS_VARIABLE
from tests.faults.in_process import InProcess, in_process, key_of
from tests.faults.io_faults import VFS_NAME, Faults, FaultyVfs, install_faulty_calls
from tests.faults.ledger import Operation, State, answered, read_state, states_after

CHECKPOINT_FRAMES = 8
SCENARIO: tuple[Operation | str, ...] = (
    ("put", 1), ("rows", 2), "close", ("large", 3), "checkpoint", ("alarm", 4), ("sync", 5), ("transaction", 6),
    "close", ("put", 7), ("clear", 8), ("rows", 9),
)  # fmt: skip


class Worlds:
    """What one object may hold, by what its callers were told."""

    def __init__(self) -> None:
        self.possible = [State()]
        self.errors: list[BaseException] = []

    async def perform(self, running: InProcess, name: str, operation: Operation) -> None:
        after = [(state, states_after(state, operation)) for state in self.possible]
        try:
            state = answered(await running.call(name, "perform", *operation))
        except DurableError as error:
            self.errors.append(error)
            # Only an object whose file could not be opened may survive: its turn had not begun to write.
            is_open = running.host.registry.store(key_of(name)).is_open
            if is_open and not getattr(error, "durable_object_reset", False):
                raise AssertionError(f"{operation} failed, and the object goes on") from error
            self.possible = [*self.possible, *(each for _, states in after for each in states)]
            return
        ends = [states[-1] for _, states in after]
        assert state in ends, f"{operation} was acknowledged with {state}, which follows from none of {self.possible}"
        self.possible = [state]


class Loop:
    """One scenario after another, each on a new object of one host."""

    def __init__(self, running: InProcess, faults: Faults) -> None:
        self._running = running
        self._faults = faults
        self._bystander = Worlds()
        self._runs = 0

    async def run(self, fail_at: int, *, forever: bool, full: bool) -> int:
        """Accesses that were met; fewer than `fail_at` means that the scenario ended before it."""
        self._runs += 1
        name, identity, worlds = f"x{self._runs}", key_of(f"x{self._runs}").id, Worlds()
        self._faults.arm(lambda path: identity in path, fail_at, forever=forever, full=full)
        for step in SCENARIO:
            if step == "close":
                self._running.close_idle_files()
            elif step == "checkpoint":
                await self._checkpointed()
            else:
                assert isinstance(step, tuple)
                await worlds.perform(self._running, name, step)
                await self._bystander.perform(self._running, "bystander", ("put", step[1]))
        await self._checkpointed()
        met, failed = self._faults.count, list(self._faults.failed)
        self._faults.disarm()

        context = f"access {fail_at} ({failed[:1]}), forever={forever}, full={full}"
        assert not self._bystander.errors, context
        if not failed:
            assert not worlds.errors
        # Usable again at once, and what it then says and what the file holds is one of the possible worlds.
        errors = len(worlds.errors)
        await worlds.perform(self._running, name, ("put", 10))
        assert worlds.errors[errors:] == [], context
        await self._checkpointed()
        self._running.close_idle_files()
        found = read_state(self._running.object_file(name))
        assert found == worlds.possible[0], f"{context}: the file holds {found}, which is none of {worlds.possible}"
        return met

    async def _checkpointed(self) -> None:
        await self._running.settled()


async def run_loop(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    forever: bool = False,
    full: bool = False,
    stride: int = 1,
    pitr_days: int = 0,
) -> int:
    """Until a scenario ends before the access that is to fail; returns the number of accesses it has."""
    faults = Faults()
    vfs = FaultyVfs(faults)
    try:
        with monkeypatch.context() as replaced:
            replaced.setenv(VFS_VARIABLE, VFS_NAME)
            for module in ("durable.limits", "durable.storage.actor_store"):
                replaced.setattr(f"{module}.CHECKPOINT_LOG_FRAMES", CHECKPOINT_FRAMES)
            install_faulty_calls(faults, replaced)
            async with in_process(folder, disk=SystemDisk(), pitr_days=pitr_days) as running:
                loop = Loop(running, faults)
                fail_at = 1
                while await loop.run(fail_at, forever=forever, full=full) >= fail_at:
                    fail_at += stride
    finally:
        vfs.unregister()
    return fail_at


@pytest.mark.parametrize(
    ("forever", "full", "stride", "pitr_days", "accesses_min"),
    [
        (False, False, 1, 0, 100),
        (True, False, 3, 0, 100),
        (False, True, 1, 0, 30),
        (True, True, 3, 0, 30),
        (False, False, 2, 30, 150),
        (True, False, 7, 30, 150),
        (False, True, 2, 30, 30),
    ],
    ids=[
        "EIO once",
        "EIO for ever",
        "ENOSPC once",
        "ENOSPC for ever",
        "EIO once, with history",
        "EIO for ever, with history",
        "ENOSPC once, with history",
    ],
)
async def test_whatever_access_fails_nothing_acknowledged_is_lost_and_others_go_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forever: bool,
    full: bool,
    stride: int,
    pitr_days: int,
    accesses_min: int,
) -> None:
    accesses = await run_loop(
        tmp_path / "run", monkeypatch, forever=forever, full=full, stride=stride, pitr_days=pitr_days
    )

    assert accesses > accesses_min


async def test_a_commit_that_failed_and_is_acknowledged_all_the_same_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(transaction: Transaction) -> bool:
        try:
            return Transaction._commit(transaction)
        except StorageError:
            transaction.rollback()
            return False

    monkeypatch.setattr(Transaction, "commit", commit)
    with pytest.raises(AssertionError, match="acknowledged with|which is none of"):
        await run_loop(tmp_path / "run", monkeypatch)
