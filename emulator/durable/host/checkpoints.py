"""Keeping write-ahead logs short: a checkpoint runs in a thread, between turns, while its actor's gate is shut.

SQLite's own checkpoint would run inside a COMMIT, on the loop's thread, and every actor of the host would wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.limits import CHECKPOINT_LOG_FRAMES
from durable.storage.actor_store import ActorStore

if TYPE_CHECKING:
    from durable.host.host import Host


class Checkpoints:
    """At most one per file at a time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._running: set[ActorStore] = set()

    def consider(self, store: ActorStore) -> None:
        """Call after a commit."""
        if store.database.log_frames >= CHECKPOINT_LOG_FRAMES and store not in self._running:
            self._running.add(store)
            self._host.background(self._run(store))

    async def _run(self, store: ActorStore) -> None:
        try:
            registry, actor_id = self._host.registry, store.path.stem
            actor = await registry.lend(actor_id)
            try:
                if actor is not None:
                    await self._host.loop.run_in_executor(None, store.checkpoint)
            finally:
                registry.give_back(actor_id, actor)
        finally:
            self._running.discard(store)
