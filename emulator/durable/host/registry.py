"""The live actors of one host by id, and their open files. At most one activation of an id, at most one open file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.actor.actor import Actor
from durable.actor.events import Event
from durable.errors import DurableError
from durable.storage.actor_store import ActorStore
from durable.storage.layout import StateLayout
from durable.wire.messages import ActorKey

if TYPE_CHECKING:
    from durable.host.host import Host

_SWEEP_SECONDS_MAX = 1.0
"""How late an eviction may be."""


class Registry:
    """Activates on the first event, evicts after idle time. Files outlive their activation until they are durable."""

    def __init__(self, host: Host, layout: StateLayout, idle_seconds: float) -> None:
        self._host = host
        self._layout = layout
        self._idle_seconds = idle_seconds
        self._actors: dict[str, Actor] = {}
        self._stores: dict[str, ActorStore] = {}
        self._classes: dict[str, type] = {}

    def start(self, classes: dict[str, type]) -> None:
        """`classes` maps a namespace key to the class that serves it."""
        self._classes = classes
        self._sweep_later()

    def deliver(self, key: ActorKey, event: Event) -> None:
        actor = self._actors.get(key.id)
        if actor is None:
            actor = self._activate(key)
        actor.deliver(event)

    def live(self, actor_id: str) -> Actor | None:
        return self._actors.get(actor_id)

    @property
    def actors(self) -> list[Actor]:
        return list(self._actors.values())

    def store(self, key: ActorKey) -> ActorStore:
        """The object's file; opened by its first use, kept open between activations for a while."""
        store = self._stores.get(key.id)
        if store is None:
            path = self._layout.object_file(key.namespace, key.id)
            store = ActorStore(path, clock=self._host.clock, on_first_write=_nobody)
            self._stores[key.id] = store
        return store

    def gone(self, actor: Actor) -> None:
        """The activation ended; its file stays for the next one."""
        if self._actors.get(actor.key.id) is actor:
            del self._actors[actor.key.id]
            actor.store.on_first_write = _nobody

    def _activate(self, key: ActorKey) -> Actor:
        cls = self._classes.get(key.namespace)
        if cls is None:
            raise DurableError(f"no class serves namespace {key.namespace}")
        store = self.store(key)
        actor = Actor(key, cls, self._host.env, self._host, store)
        store.on_first_write = actor.first_write
        self._actors[key.id] = actor
        return actor

    def evict(self, actor_id: str) -> bool:
        """Drop an activation now, if nothing pins it."""
        actor = self._actors.get(actor_id)
        if actor is None or actor.pins():
            return False
        actor.evict()
        return True

    def close_all(self) -> None:
        """Close every file; the caller has waited until everything is durable."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()

    def _sweep_later(self) -> None:
        self._host.loop.call_later(min(_SWEEP_SECONDS_MAX, self._idle_seconds / 2), self._sweep)

    def _sweep(self) -> None:
        limit = self._host.clock.monotonic() - self._idle_seconds
        for actor in self.actors:
            if actor.last_used < limit and not actor.pins():
                actor.evict()
        for actor_id in [actor_id for actor_id in self._stores if actor_id not in self._actors]:
            if self._stores[actor_id].undurable_epoch <= self._host.durable_epoch:
                self._stores.pop(actor_id).close()
        self._sweep_later()


def _nobody() -> None:
    """The first write of a file that no actor holds: a tool's, which commits by itself."""
