"""The commits of one host's actors: the epoch that each joins, who waits for it, and what follows when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from durable.storage.actor_store import ActorStore
from durable.storage.database import Database
from durable.storage.epoch import Epochs
from durable.storage.sync_pool import Disk
from durable.wire import messages as wire

if TYPE_CHECKING:
    from durable.host.host import Host


class Commits:
    """Nothing is committed before `open`, and until then nobody waits."""

    epochs: Epochs | None = None

    def __init__(self, host: Host, disk: Disk | None) -> None:
        """`disk` is what makes commits durable."""
        self._host = host
        self.disk = disk

    def open(self, durability: str) -> None:
        self.epochs = Epochs(
            self._host.loop,
            durability=durability,
            on_durable=self._epoch_durable,
            on_failed=self._epoch_failed,
            disk=self.disk,
        )

    def commit(self, store: ActorStore) -> int:
        assert self.epochs is not None
        epoch = self.epochs.commit(store.database)
        self._host.checkpoints.consider(store)
        return epoch

    async def sync(self, store: ActorStore) -> None:
        if self.epochs is not None and store.exists:
            await self.epochs.sync(store.database)

    async def make_durable(self, store: ActorStore) -> None:
        """Wait until what the store committed is on disk, or is known to have failed."""
        if self.epochs is not None:
            await self.epochs.force(store.undurable_epoch)

    async def flush(self) -> None:
        """Make everything that was committed durable now, whatever the durability."""
        if self.epochs is not None:
            await self.epochs.force(self.epochs.filling_or_last)

    def when_durable(self, epoch: int, callback: Callable[[], None]) -> None:
        if epoch == 0 or self.epochs is None:
            callback()
        else:
            self.epochs.when_durable(epoch, callback)

    def _epoch_durable(self, epoch: int) -> None:
        self._host.send(wire.EpochDurable(epoch))
        # Now, not at the end of the turn: clients wait for this, and the turns that are ready may take a while.
        self._host.channel.flush()

    def _epoch_failed(self, epoch: int, databases: list[Database]) -> None:
        host = self._host
        failed = host.registry.keys_of(databases)
        host.send(wire.EpochFailed(epoch, failed, host.transport.questions_of(failed)))
        for key in failed:
            actor = host.registry.live(key.id)
            if actor is None:
                # Its activation is over; the next one finds what is on disk.
                host.registry.store(key).rollback()
            else:
                actor.commits_lost(str(actor.store.database.sync_error))
