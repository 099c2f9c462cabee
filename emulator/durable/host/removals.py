"""Removing objects that store nothing any more: they end with their activation, as on the platform.

The order is that of the index: its row goes first, durably, and then the file. A crash in between leaves a file that
says by itself that nothing is stored, and the object's next write puts it into the index again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.errors import StorageError
from durable.storage.actor_store import ActorStore
from durable.wire.messages import ActorKey

if TYPE_CHECKING:
    from durable.host.host import Host
    from durable.host.registry import Registry


class Removals:
    """Looks only at objects that sleep and whose commits are all on disk."""

    def __init__(self, registry: Registry, host: Host) -> None:
        self._registry = registry
        self._host = host
        self._running: set[str] = set()

    def consider(self, key: ActorKey, store: ActorStore) -> bool:
        """Whether the object is being removed now; nobody else may close its store then."""
        if key.id in self._running:
            return True
        try:
            if not store.may_be_empty:
                return False
        except StorageError:
            # Then it stays: the sweep goes on with the others.
            return False
        self._running.add(key.id)
        self._host.background(self._remove(key, store))
        return True

    async def _remove(self, key: ActorKey, store: ActorStore) -> None:
        registry = self._registry
        actor = await registry.lend(key.id)
        try:
            # Somebody may have come first.
            if actor is None and store.is_empty and await self._settled(store):
                store.close()
                error = await self._host.index.remove(key)
                if error:
                    self._host.log("warning", f"{store.path} is empty but stays: the index said {error}", "host")
                else:
                    store.remove_files()
        finally:
            if actor is None:
                registry.forget(key.id)
            self._running.discard(key.id)
            registry.give_back(key.id, actor)

    async def _settled(self, store: ActorStore) -> bool:
        """Move what the log says into the file: whichever of the two a crash leaves must say that nothing is stored."""
        if not store.is_open:
            return store.is_new
        return await self._host.loop.run_in_executor(None, store.checkpoint)
