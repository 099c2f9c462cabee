"""Group commit: turns of many objects become durable together, in numbered epochs.

    commit ──► filling ──kick──► in flight ──synced──► durable
                  ▲ while one epoch is in flight, the next one fills; it starts when the first is over

A commit that comes while its own file is being synced belongs to the next epoch, because nobody knows whether that sync
still saw it. A sync that failed is never repeated: the kernel may have marked the pages clean, and a second try would
succeed without having written them (PostgreSQL's "fsyncgate"). The files it was for are failed for good, all others of
the epoch are durable. An actor's gate, and what waits at it, is not this module's business.

With `relaxed` durability nothing waits: commits report epoch 0, which reveals nothing, and the files are synced at most
a second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from durable.errors import StorageError
from durable.limits import COMMIT_SECONDS_MAX, RELAXED_SYNC_SECONDS
from durable.storage.database import Database
from durable.storage.kernel_sync import Syncs, open_syncs
from durable.storage.sync_pool import Disk, Group, SyncPool, Target

_TOO_LONG = "Durable Object storage operation exceeded timeout which caused object to be reset."


class Epoch:
    """Files with a commit in this epoch; while it is in flight, what is synced for which of them."""

    __slots__ = ("databases", "emptied", "failures", "group", "number", "owners", "started")

    def __init__(self, number: int) -> None:
        self.number = number
        self.databases: dict[Database, None] = {}
        self.owners: dict[Target, list[Database]] = {}
        self.failures: dict[Database, Exception] = {}
        self.group: Group | None = None
        self.emptied = False
        """Whether the last of its files failed in the epoch before, so that nothing is left to wait for."""
        self.started = 0.0
        """When it went in flight, on the loop's clock."""


class EpochStatistics(Struct, frozen=True):
    """`waiting` counts files with commits that are neither durable nor in flight."""

    durable: int
    in_flight: int
    waiting: int
    files_synced: int
    files_failed: int


class Epochs:
    """One per process; every method is called on the loop's thread, and so are `on_durable` and `on_failed`.

    `on_failed(epoch, databases)` comes before `on_durable(epoch)` of the same epoch, so that nothing of a failed object
    is let out by it. Neither is called for an epoch of `relaxed` that went well.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        durability: str,
        on_durable: Callable[[int], None],
        on_failed: Callable[[int, list[Database]], None],
        disk: Disk | None = None,
    ) -> None:
        if durability not in ("full", "relaxed"):
            raise ValueError(f'durability is "full" or "relaxed", got {durability!r}')
        self.durable = 0
        """The last epoch of which everything is on disk, or has been reported as failed."""
        self._relaxed = durability == "relaxed"
        self._loop = loop
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._pool: Syncs = (
            open_syncs(loop, self._group_done) if disk is None else SyncPool(loop, disk, self._group_done)
        )
        self._filling = Epoch(1)
        self._in_flight: Epoch | None = None
        self._hurry = 0
        self._kick_planned = False
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._waiting: dict[int, list[Callable[[], None]]] = {}
        self._synced = 0
        self._failed = 0

    # --- committing -----------------------------------------------------------------------------------------------
    def commit(self, database: Database) -> int:
        """Call after a COMMIT of `database`; returns the epoch that what it reveals has to wait for."""
        if database.sync_error is not None:
            raise database.sync_error
        filling = self._filling
        number = filling.number
        filling.databases[database] = None
        database.undurable_epoch = number
        if self._relaxed:
            if self._timer is None and self._in_flight is None:
                self._timer = self._loop.call_later(RELAXED_SYNC_SECONDS, self._kick)
            return 0
        if self._in_flight is None:
            self._plan_kick()
        return number

    @property
    def filling_or_last(self) -> int:
        """The number of the last epoch that has a commit in it."""
        return self._filling.number if self._filling.databases else self._filling.number - 1

    # --- waiting --------------------------------------------------------------------------------------------------
    def when_durable(self, epoch: int, callback: Callable[[], None]) -> None:
        """Call `callback` once `epoch` is over, at once when it is. Callbacks run in the order of their epochs."""
        if epoch <= self.durable:
            callback()
        else:
            self._waiting.setdefault(epoch, []).append(callback)

    async def wait(self, epoch: int) -> None:
        """Wait until `epoch` is over. A file that failed in it has its `sync_error` set by then."""
        if epoch > self.durable:
            over: asyncio.Future[None] = self._loop.create_future()
            self.when_durable(epoch, lambda: None if over.done() else over.set_result(None))
            await over

    async def force(self, epoch: int) -> None:
        """Make every commit up to `epoch` durable now, whatever the durability, and wait for it."""
        epoch = min(epoch, self.filling_or_last)
        if epoch > self.durable and self._relaxed:
            self._hurry = max(self._hurry, epoch)
            if self._in_flight is None:
                self._kick()
        await self.wait(epoch)

    async def sync(self, database: Database) -> None:
        """Make every commit of `database` durable; raises StorageError when the disk refused."""
        await self.force(database.undurable_epoch)
        if database.sync_error is not None:
            raise database.sync_error

    # --- flushing -------------------------------------------------------------------------------------------------
    def _kick(self) -> None:
        """Put what has been committed so far in flight, and begin the next epoch."""
        self._kick_planned = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        epoch = self._filling
        if not epoch.databases or self._in_flight is not None:
            return
        self._filling = Epoch(epoch.number + 1)
        self._in_flight = epoch
        if not self._relaxed:
            epoch.started = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(COMMIT_SECONDS_MAX, self._look)
        epoch.group = group = self._group(epoch)
        self._pool.start(group)

    def _group(self, epoch: Epoch) -> Group:
        owners = epoch.owners
        for database in epoch.databases:
            try:
                descriptor, folder = database.take_sync_targets()
            except StorageError as error:
                epoch.failures[database] = error
                continue
            owners[descriptor] = [database]
            if folder is not None:
                owners.setdefault(folder, []).append(database)
        return Group(list(owners))

    def _group_done(self, group: Group) -> None:
        epoch = self._in_flight
        # `close` may have finished the epoch before the loop came to say so.
        if epoch is not None and epoch.group is group:
            self._in_flight = None
            try:
                self._finish(epoch, group)
            finally:
                self._go_on()

    def _finish(self, epoch: Epoch, group: Group) -> None:
        number, failed = epoch.number, epoch.failures
        for target, error in group.errors.items():
            failed |= dict.fromkeys(epoch.owners[target], error)
        for database, error in failed.items():
            self._fail(database, number, error)
        for database in epoch.databases:
            database.became_durable(number)
        self._synced += len(epoch.databases) - len(failed)
        self._failed += len(failed)
        if failed:
            self._on_failed(number, list(failed))
        self.durable = number
        if not self._relaxed:
            self._on_durable(number)
        self._tell_waiting(number)

    def _tell_waiting(self, number: int) -> None:
        for waited in sorted(self._waiting):
            if waited > number:
                break
            for callback in self._waiting.pop(waited):
                callback()

    def _fail(self, database: Database, epoch: int, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        failure = StorageError(f"the disk refused to make {database.path} durable: {reason}")
        failure.__cause__ = error
        self._lose(database, epoch, failure)

    def _lose(self, database: Database, epoch: int, failure: StorageError) -> None:
        failure.critical = True
        database.sync_error = failure
        # What it committed meanwhile stands on what was lost.
        if database in self._filling.databases:
            del self._filling.databases[database]
            self._filling.emptied = not self._filling.databases
            database.undurable_epoch = epoch

    def _go_on(self) -> None:
        if self._in_flight is not None:
            return
        filling = self._filling
        if not filling.databases:
            if filling.emptied:
                # Who waits for it would wait for the next commit of anybody to hear that theirs is lost.
                self._filling = Epoch(filling.number + 1)
                self._finish(filling, Group([]))
            return
        if not self._relaxed:
            self._plan_kick()
        elif self._hurry >= self._filling.number:
            self._kick()
        elif self._timer is None:
            self._timer = self._loop.call_later(RELAXED_SYNC_SECONDS, self._kick)

    def _look(self) -> None:
        """One timer watches all epochs, so that none of them pays for its own."""
        self._watch = None
        epoch = self._in_flight
        if epoch is None:
            return
        seconds = epoch.started + COMMIT_SECONDS_MAX - self._loop.time()
        if seconds <= 0:
            self._give_up(epoch)
            seconds = COMMIT_SECONDS_MAX
        self._watch = self._loop.call_later(seconds, self._look)

    def _give_up(self, epoch: Epoch) -> None:
        """The disk does not answer: everyone who waits is told. What it does with the writes after all is unknown."""
        behind = self._filling.databases
        lost = [database for database in {**epoch.databases, **behind} if database.sync_error is None]
        for database in lost:
            self._lose(database, epoch.number if database in epoch.databases else 0, StorageError(_TOO_LONG))
        self._failed += len(lost)
        if lost:
            self._on_failed(epoch.number, lost)
        self._tell_waiting(self._filling.number)

    def _plan_kick(self) -> None:
        """Kick after the turns that are ready to run now: they share this sync instead of waiting for the next one."""
        if not self._kick_planned:
            self._kick_planned = True
            self._loop.call_soon(self._kick)

    # --- the end --------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Sync what is left, here and now, and end the threads. Blocks for as long as the disk takes."""
        for timer in (self._timer, self._watch):
            if timer is not None:
                timer.cancel()
        self._timer = self._watch = None
        self._pool.close()
        epoch, self._in_flight = self._in_flight, None
        if epoch is not None and epoch.group is not None:
            self._finish(epoch, epoch.group)
        if self._filling.databases:
            epoch, self._filling = self._filling, Epoch(self._filling.number + 1)
            group = self._group(epoch)
            self._pool.run(group)
            self._finish(epoch, group)

    def statistics(self) -> EpochStatistics:
        in_flight = self._in_flight
        return EpochStatistics(
            self.durable,
            len(in_flight.databases) if in_flight is not None else 0,
            len(self._filling.databases),
            self._synced,
            self._failed,
        )
