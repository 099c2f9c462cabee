"""The live actors of one host by id, and their open files. At most one activation of an id, at most one open file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from durable.actor.actor import Actor
from durable.actor.events import Event
from durable.errors import DurableError, StorageError
from durable.sdk.object import DurableObject
from durable.storage.actor_store import ActorStore
from durable.storage.database import Database
from durable.storage.layout import StateLayout
from durable.wire.messages import ActorKey

if TYPE_CHECKING:
    from durable.host.host import Host

_LOAN_POLL_SECONDS = 0.001
"""How often a file that is wanted is looked at again."""

_SWEEP_SECONDS_MAX = 1.0
"""How late an eviction may be."""
_SWEEP_SECONDS_MIN = 0.05
"""How often the sweep may run, however short the idle time."""


class Registry:
    """Activates on the first event, evicts after idle time. Files outlive their activation until they are durable."""

    def __init__(self, host: Host, layout: StateLayout, idle_seconds: float) -> None:
        self._host = host
        self._layout = layout
        self._idle_seconds = idle_seconds
        self._actors: dict[str, Actor] = {}
        self._stores: dict[str, ActorStore] = {}
        self._keys: dict[str, ActorKey] = {}
        """Of the open files."""
        self._lent: dict[str, list[tuple[ActorKey, Event]]] = {}
        """Objects whose file another thread is using, with the events that came for those that have no activation."""
        self._classes: dict[str, type] = {}
        self._closed = False

    def start(self, classes: dict[str, type]) -> None:
        """`classes` maps a namespace key to the class that serves it."""
        self._classes = classes
        self._sweep_later()

    def deliver(self, key: ActorKey, event: Event) -> None:
        actor = self._actors.get(key.id)
        if actor is None:
            if self._closed:
                # Whoever waits for it is answered by the gateway, when this process is gone.
                event.settled = True
                return
            if key.id in self._lent:
                self._lent[key.id].append((key, event))
                return
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
            self._keys[key.id] = key
        return store

    @property
    def stores(self) -> list[ActorStore]:
        """The open files, those of sleeping objects included."""
        return list(self._stores.values())

    def keys_of(self, databases: Iterable[Database]) -> list[ActorKey]:
        """The objects whose files these are."""
        return [self._keys[actor_id] for actor_id, store in self._stores.items() if store.is_open_on(databases)]

    # --- files in the hands of another thread -----------------------------------------------------------------
    async def lend(self, actor_id: str) -> Actor | None:
        """Keep every turn of the object out, so that another thread may use its file; `give_back` must follow.

        Waits until the file is free: an open transaction belongs to the actor. Returns the live actor, if there is one.
        """
        # Polled: tools and checkpoints are rare, and no turn then pays for telling that it was the last one.
        while actor_id in self._lent or (  # noqa: ASYNC110
            (actor := self.live(actor_id)) is not None and not actor.is_between_turns
        ):
            await asyncio.sleep(_LOAN_POLL_SECONDS)
        self._lent[actor_id] = []
        if actor is not None:
            actor.hold()
        return actor

    def give_back(self, actor_id: str, actor: Actor | None, epoch: int = 0) -> None:
        """The thread is done; `actor` was live when the file was lent, `epoch` is that of what was written."""
        waiting = self._lent.pop(actor_id)
        if actor is not None:
            actor.release(epoch)
        for key, event in waiting:
            self.deliver(key, event)

    @property
    def is_lending(self) -> bool:
        """Whether any thread is using a file."""
        return bool(self._lent)

    def gone(self, actor: Actor) -> None:
        """The activation ended; its file stays for the next one."""
        if self._actors.get(actor.key.id) is actor:
            del self._actors[actor.key.id]
            actor.store.on_first_write = _nobody

    def _activate(self, key: ActorKey) -> Actor:
        cls = self._classes.get(key.namespace) or _unserved(key.namespace)
        store = self.store(key)
        # Not in the context of whoever sent the event: what is set there is none of the actor's business.
        actor = self._host.context.copy().run(Actor, key, cls, self._host.env, self._host, store)
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
        """End every activation and close every file, for good; the caller has waited until everything is durable."""
        self._closed = True
        for actor in self.actors:
            # None of its code may run any more: it would open the file again under the next host's feet.
            actor.shut()
        self._actors.clear()
        for store in self._stores.values():
            store.close()
        self._stores.clear()
        self._keys.clear()

    def _sweep_later(self) -> None:
        seconds = max(_SWEEP_SECONDS_MIN, min(_SWEEP_SECONDS_MAX, self._idle_seconds / 2))
        self._host.loop.call_later(seconds, self._sweep_again)

    def _sweep_again(self) -> None:
        self._sweep_later()
        self.sweep()

    def sweep(self) -> None:
        """Evict what has been idle for long enough, and close the files that nobody needs."""
        limit = self._host.clock.monotonic() - self._idle_seconds
        for actor in self.actors:
            if actor.last_used < limit and not actor.pins():
                actor.evict()
        for actor_id in [actor_id for actor_id in self._stores if actor_id not in self._actors]:
            if actor_id not in self._lent and self._stores[actor_id].undurable_epoch <= self._host.durable_epoch:
                store = self._stores.pop(actor_id)
                del self._keys[actor_id]
                with contextlib.suppress(StorageError):
                    store.close()


def _nobody() -> None:
    """The first write of a file that no actor holds: a tool's, which commits by itself."""


def _unserved(namespace: str) -> type:
    """Stands in for the class that a namespace has lost: its objects cannot be constructed, and say why."""

    class Unserved(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            raise DurableError(f"no class serves namespace {namespace}")

    return Unserved
