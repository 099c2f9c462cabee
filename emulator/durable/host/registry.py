"""The live actors of one host by id, and the stores of their files. At most one activation of an id, at most one file.

An object is activated at its first event, unless something comes first: its file is lent to a thread, there is no room
for another open file, or it has no file and the index must say whether it ever had one. Events wait in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable.actor.actor import Actor
from durable.actor.events import Event
from durable.actor.pins import Pin, call_pins
from durable.actor.timeline import record_end
from durable.errors import DurableError, StorageError
from durable.host.constructions import Constructions
from durable.host.open_files import OpenFiles
from durable.host.removals import Removals
from durable.limits import SWEEP_SLICE_SECONDS, SYNCED_LOGS_MAX
from durable.sdk.object import DurableObject
from durable.storage.actor_store import ActorStore
from durable.storage.database import Database
from durable.storage.file_check import missing_file
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


class _Waiting:
    """Events of an object that cannot be activated yet; `known` is what the index says, None before it was asked."""

    __slots__ = ("asked", "events", "known", "queued")

    def __init__(self) -> None:
        self.events: list[tuple[ActorKey, Event]] = []
        self.asked = False
        self.known: bool | None = None
        self.queued = False


class Registry:
    """Activates on the first event, evicts after idle time. Files outlive their activation until they are durable."""

    def __init__(self, host: Host, layout: StateLayout, idle_seconds: float, files_max: int) -> None:
        self._host = host
        self._layout = layout
        self.idle_seconds = idle_seconds
        self._actors: dict[str, Actor] = {}
        self._stores: dict[str, ActorStore] = {}
        self._keys: dict[str, ActorKey] = {}
        """Of the stores."""
        self._synced: dict[str, int] = {}
        """Of objects without a store: frames of their logs that this process has left on the disk."""
        self._lent: set[str] = set()
        """Objects whose file another thread is using."""
        self._waiting: dict[str, _Waiting] = {}
        self.files = OpenFiles(self, files_max, clock=host.clock.monotonic)
        self._removals = Removals(self, host)
        self.constructions = Constructions(host.clock.monotonic)
        self._classes: dict[str, type] = {}
        self._unneeded: deque[str] = deque()
        """Objects whose files the sweep is closing."""
        self._closed = False

    def start(self, classes: dict[str, type]) -> None:
        """`classes` maps a namespace key to the class that serves it."""
        self._classes = classes
        self._sweep_later()

    def deliver(self, key: ActorKey, event: Event) -> None:
        actor = self._actors.get(key.id)
        if actor is None:
            self._wake(key, event)
            return
        if self.files.crowded:
            self.files.hold(actor)
        actor.deliver(event)

    def _wake(self, key: ActorKey, event: Event) -> None:
        if self._closed:
            # Whoever waits for it is answered by the gateway, when this process is gone.
            event.settled = True
            return
        waiting = self._waiting.get(key.id)
        if waiting is not None:
            waiting.events.append((key, event))
            return
        waiting = self._waiting[key.id] = _Waiting()
        waiting.events.append((key, event))
        self._try_to_activate(key.id, waiting)

    def _try_to_activate(self, actor_id: str, waiting: _Waiting, *, has_room: bool = False) -> None:
        if actor_id in self._lent or self._closed:
            return
        key = waiting.events[0][0]
        store = self.store(key)
        is_lost = False
        if not store.has_file:
            if waiting.known is None:
                if not waiting.asked:
                    waiting.asked = True
                    self._host.index.find(key, partial(self._found, actor_id, waiting))
                return
            is_lost = waiting.known
        if self.files.crowded and not has_room:
            if not waiting.queued:
                waiting.queued = True
                self.files.put_off(actor_id)
            return
        if self._host.restores.is_due(key, store):
            # Comes back here when it gives the file back.
            self._host.restores.begin(key, store)
            return
        del self._waiting[actor_id]
        failed = self.constructions.pausing(actor_id, store)
        if failed is not None:
            for _, event in waiting.events:
                failed.deliver(event)
            return
        if is_lost:
            store.lost = missing_file(store.path)
        # Not by `deliver`, which might shut the gate again that was opened for it.
        self._activate(key, store).deliver(waiting.events[0][1])
        for each, event in waiting.events[1:]:
            self.deliver(each, event)

    def _found(self, actor_id: str, waiting: _Waiting, known: bool, error: str) -> None:
        waiting.known = known
        if error:
            key = waiting.events[0][0]
            self.store(key).lost = StorageError(f"the index of objects could not be read: {error}")
        self._try_to_activate(actor_id, waiting)

    def resume(self, actor_id: str) -> None:
        """There is room for the object's file."""
        waiting = self._waiting.get(actor_id)
        if waiting is not None:
            waiting.queued = False
            self._try_to_activate(actor_id, waiting, has_room=True)

    def is_at_rest(self, actor_id: str) -> bool:
        """Whether nobody has the object's file: no activation, nobody who waits for one, no store, no thread."""
        return not any(actor_id in each for each in (self._actors, self._stores, self._lent, self._waiting))

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
            store = ActorStore(path, clock=self._host.clock, on_first_write=_nobody, keep_days=self._host.pitr_days)
            store.synced_frames = self._synced.pop(key.id, 0)
            store.before_open = partial(self.files.opening, key.id, store)
            self._stores[key.id] = store
            self._keys[key.id] = key
        return store

    def open_store(self, actor_id: str) -> ActorStore | None:
        """The object's file if it is open now; looking opens none."""
        store = self._stores.get(actor_id)
        return store if store is not None and store.is_open else None

    def file_of(self, key: ActorKey) -> Path:
        return self._layout.object_file(key.namespace, key.id)

    def shard_folders(self, number: int) -> list[Path]:
        """The folders, one of each namespace, of the objects whose ids begin with this byte."""
        spaces = [self._layout.namespace_folder(key) / f"{number:02x}" for key in self._classes]
        return [folder for folder in spaces if folder.is_dir()]

    def forget(self, actor_id: str) -> None:
        """Close the file of an object that has no activation; what its next one finds is what is on disk."""
        store = self._stores.pop(actor_id)
        del self._keys[actor_id]
        self.files.closed(actor_id)
        with contextlib.suppress(StorageError):
            store.end()
        if store.synced_frames:
            self._synced[actor_id] = store.synced_frames
            if len(self._synced) > SYNCED_LOGS_MAX:
                del self._synced[next(iter(self._synced))]

    @property
    def stores(self) -> list[ActorStore]:
        """Of live actors and of those that slept a moment ago; their files may be closed."""
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
        self._lent.add(actor_id)
        if actor is not None:
            actor.hold()
        return actor

    def lend_sleeping(self, actor_id: str) -> None:
        """The same at once, for an object without an activation whose file nobody has."""
        self._lent.add(actor_id)

    def give_back(self, actor_id: str, actor: Actor | None, epoch: int = 0) -> None:
        """The thread is done; `actor` was live when the file was lent, `epoch` is that of what was written."""
        self._lent.discard(actor_id)
        if actor is not None:
            actor.release(epoch)
        waiting = self._waiting.get(actor_id)
        if waiting is not None:
            self._try_to_activate(actor_id, waiting)

    def is_lent(self, actor_id: str) -> bool:
        return actor_id in self._lent

    @property
    def is_lending(self) -> bool:
        """Whether any thread is using a file."""
        return bool(self._lent)

    @property
    def is_closed(self) -> bool:
        """Whether no file may be opened any more: the next host has them."""
        return self._closed

    @property
    def is_waiting(self) -> bool:
        """Whether any event waits for the activation of its object."""
        return bool(self._waiting)

    # --- for whoever makes room for open files ----------------------------------------------------------------
    async def make_durable(self) -> None:
        """Wait until everything committed so far is on disk."""
        await self._host.commits.flush()

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self._host.background(work)

    def gone(self, actor: Actor) -> None:
        """The activation ended; its file stays for the next one."""
        if self._actors.get(actor.key.id) is actor:
            del self._actors[actor.key.id]
            actor.store.on_first_write = actor.store.on_critical = _nobody
            actor.store.lost = None
            self.constructions.ended(actor)
            record_end(actor)
            if self._host.life.is_told:
                self._host.life.left(actor)
        self.files.gone(actor)

    def _activate(self, key: ActorKey, store: ActorStore) -> Actor:
        cls = self._classes.get(key.namespace) or _unserved(key.namespace)
        # Not in the context of whoever sent the event: what is set there is none of the actor's business.
        actor = self._host.context.copy().run(Actor, key, cls, self._host.env, self._host, store)
        store.on_first_write = actor.first_write
        self._actors[key.id] = actor
        if self._host.life.is_told:
            self._host.life.woke(actor)
        return actor

    def evict(self, actor_id: str) -> bool:
        """Drop an activation now, if nothing pins it."""
        actor = self._actors.get(actor_id)
        if actor is None or actor.is_pinned or self.pins(actor):
            return False
        actor.evict()
        return True

    def pins(self, actor: Actor) -> list[Pin]:
        """What keeps a live actor in memory."""
        return [*actor.pins(), *call_pins(actor, self._host.transport.pending_calls().get(actor, []))]

    def disown(self) -> None:
        """Refuse every use of the files from now on, in a forked child; closing them is left to the child's end."""
        self._closed = True
        for store in self._stores.values():
            store.disown()

    def close_all(self) -> None:
        """End every activation and close every file, for good; the caller has waited until everything is durable."""
        self._closed = True
        for actor in self.actors:
            # None of its code may run any more: it would open the file again under the next host's feet.
            actor.shut()
        self._actors.clear()
        for store in self._stores.values():
            store.end()
        self._stores.clear()
        self._keys.clear()

    def _sweep_later(self) -> None:
        seconds = max(_SWEEP_SECONDS_MIN, min(_SWEEP_SECONDS_MAX, self.idle_seconds / 2))
        self._host.loop.call_later(seconds, self._sweep_again)

    def _sweep_again(self) -> None:
        self._sweep_later()
        self.sweep()

    def sweep(self) -> None:
        """Evict what has been idle for long enough, and close the files that nobody needs."""
        limit = self._host.clock.monotonic() - self.idle_seconds
        rested = [actor for actor in self.actors if actor.last_used < limit and not actor.is_pinned]
        calls = self._host.transport.pending_calls() if rested else {}
        for actor in rested:
            if actor not in calls or not call_pins(actor, calls[actor]):
                actor.evict()
        self.constructions.sweep()
        if not self._unneeded:
            self._unneeded.extend(actor_id for actor_id in self._stores if actor_id not in self._actors)
            self._close_unneeded()

    def _close_unneeded(self) -> None:
        """Close files for a few milliseconds, and go on when events had their turn."""
        clock = self._host.clock
        until = clock.monotonic() + SWEEP_SLICE_SECONDS
        while self._unneeded and not self._closed:
            if clock.monotonic() > until:
                self._host.loop.call_soon(self._close_unneeded)
                return
            actor_id = self._unneeded.popleft()
            store = self._stores.get(actor_id)
            if store is None or actor_id in self._actors or actor_id in self._lent or actor_id in self._waiting:
                continue
            is_durable = store.undurable_epoch <= self._host.durable_epoch
            if is_durable and not self._removals.consider(self._keys[actor_id], store):
                self.forget(actor_id)


def _nobody() -> None:
    """The first write of a file that no actor holds: a tool's, which commits by itself."""


def _unserved(namespace: str) -> type:
    """Stands in for the class that a namespace has lost: its objects cannot be constructed, and say why."""

    class Unserved(DurableObject):
        def __init__(self, ctx: Any, env: Any) -> None:
            raise DurableError(f"no class serves namespace {namespace}")

    return Unserved
