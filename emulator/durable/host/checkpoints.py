"""Keeping write-ahead logs short, and their history: in threads, between turns, while the actor's gate is shut.

SQLite's own checkpoint would run inside a COMMIT, on the loop's thread, and every actor of the host would wait for it.
With point-in-time recovery the log is put aside instead of being written over, and when each commit was is noted here
and written down about once a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

from durable.limits import HISTORY_SWEEP_SECONDS, TIMES_FLUSH_SECONDS, TIMES_FLUSH_SLICE_SECONDS
from durable.storage.actor_store import ActorStore
from durable.storage.history.retention import prune_folder

if TYPE_CHECKING:
    from durable.host.host import Host

_FOLDERS = 256
"""Of a namespace: the first two digits of ids."""


class Checkpoints:
    """At most one per file at a time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._running: set[ActorStore] = set()
        self._noted: dict[ActorStore, None] = {}
        """Stores with times that are in memory only."""
        self._folder = 0

    def consider(self, store: ActorStore) -> None:
        """Call after a commit."""
        if store.history is not None:
            self._note(store)
        database = store.database
        if database.log_frames >= database.checkpoint_frames and store not in self._running:
            self._running.add(store)
            self._host.background(self._run(store))

    @contextlib.contextmanager
    def held_back(self, store: ActorStore) -> Generator[None]:
        """None begins meanwhile: somebody reads the file between turns."""
        is_ours = store not in self._running
        self._running.add(store)
        try:
            yield
        finally:
            if is_ours:
                self._running.discard(store)

    async def _run(self, store: ActorStore) -> None:
        registry, actor_id, in_thread = self._host.registry, store.path.stem, self._host.loop.run_in_executor
        history = store.history
        try:
            if history is not None:
                # As much as possible while the actor goes on.
                await in_thread(None, history.prepare)
                await self._host.commits.make_durable(store)
            actor = await registry.lend(actor_id)
            try:
                if history is not None:
                    await self._host.commits.make_durable(store)
                    self.tell_break(store)
                done = await in_thread(None, lambda: store.checkpoint(settle=False))
            finally:
                registry.give_back(actor_id, actor)
            if done and history is not None:
                await in_thread(None, history.settle)
        finally:
            self._running.discard(store)

    def tell_break(self, store: ActorStore) -> None:
        """Say it to the developer when history that was kept ends and begins anew."""
        history = store.history
        if history is not None and history.broken and history.was_kept:
            self._host.log(
                "warning",
                f"{store.path}: the history of this object begins anew, because {history.broken}; what was kept before"
                " can still be restored",
                "",
            )

    # --- when each commit was -----------------------------------------------------------------------------------
    def _note(self, store: ActorStore) -> None:
        store.recovery.note_commit()
        if not self._noted:
            self._host.loop.call_later(TIMES_FLUSH_SECONDS, self.flush_times)
        self._noted[store] = None

    def flush_times(self) -> None:
        """Write down the times of commits, for as long as the loop can spare."""
        loop = self._host.loop
        end = loop.time() + TIMES_FLUSH_SLICE_SECONDS
        for store in list(self._noted):
            if loop.time() > end:
                loop.call_later(4 * TIMES_FLUSH_SLICE_SECONDS, self.flush_times)
                return
            del self._noted[store]
            # A thread that has the file now writes them itself, or moves them aside with the log.
            if store.history is not None and not self._host.registry.is_lent(store.path.stem):
                store.history.flush()

    # --- what is too old ------------------------------------------------------------------------------------------
    def sweep_later(self) -> None:
        """Look for history that has become too old, a folder at a time, as long as the host lives."""
        self._host.loop.call_later(HISTORY_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self.sweep_later()
        self._folder = (self._folder + 1) % _FOLDERS
        self._host.background(self.sweep_folder(self._folder))

    async def sweep_folder(self, number: int) -> None:
        """Objects that sleep, and those that are gone: whoever is awake does it at each checkpoint."""
        host = self._host
        for folder in host.registry.shard_folders(number):
            look = partial(prune_folder, folder, keep_days=host.pitr_days, now_ms=host.clock.wall_ms())
            await host.loop.run_in_executor(None, look)
