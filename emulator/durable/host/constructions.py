"""Actors whose construction failed: how long they are left alone, and who answers their events meanwhile.

    __init__ or its block_concurrency_while raised ──► 0.1 s ──► next event constructs again ──► raised ──► 0.2 s … 5 s
                                                        │
                                                        └─ events get the same error, from the activation that failed

A new event is what tries again, so nothing happens for an actor that nobody asks. Another program is another process,
which remembers nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from durable.actor.actor import Actor
from durable.actor.failure import is_the_disks
from durable.limits import (
    CONSTRUCTION_FORGIVEN_SECONDS,
    CONSTRUCTION_SECONDS_FIRST,
    CONSTRUCTION_SECONDS_MAX,
    CONSTRUCTIONS_FAILED_MAX,
)
from durable.storage.actor_store import ActorStore


class FailedConstruction(Struct, frozen=True):
    """The last of `times` failures in a row; not tried again before `until`, in the clock's monotonic seconds."""

    actor: Actor
    error: BaseException
    times: int
    seconds: float
    until: float


class Constructions:
    """Told of the end of every activation; remembers those that did not come to their first event."""

    def __init__(self, clock: Callable[[], float], seconds_first: float = CONSTRUCTION_SECONDS_FIRST) -> None:
        self._clock = clock
        self._seconds_first = seconds_first
        self._failed: dict[str, FailedConstruction] = {}

    def ended(self, actor: Actor) -> None:
        error = actor.activation.reset_by
        last = self._failed.pop(actor.key.id, None)
        # Who makes room or puts the file back must not have to wait.
        if error is None or not actor.constructing or is_the_disks(error, is_open=actor.store.is_open):
            return
        now = self._clock()
        if last is None or now >= last.until + CONSTRUCTION_FORGIVEN_SECONDS:
            times, seconds = 1, self._seconds_first
        else:
            times, seconds = last.times + 1, min(last.seconds * 2, CONSTRUCTION_SECONDS_MAX)
        self._failed[actor.key.id] = FailedConstruction(actor, error, times, seconds, now + seconds)
        if len(self._failed) > CONSTRUCTIONS_FAILED_MAX:
            del self._failed[next(iter(self._failed))]

    def pausing(self, actor_id: str, store: ActorStore) -> Actor | None:
        """Who answers events of an actor that must not be constructed yet; `store` is its file as it is now."""
        failed = self._failed.get(actor_id)
        if failed is None or self._clock() >= failed.until:
            return None
        failed.actor.store = store
        return failed.actor

    def failure(self, actor_id: str) -> FailedConstruction | None:
        return self._failed.get(actor_id)

    def sweep(self) -> None:
        """Forget those that nobody has asked for a while: they hold on to their errors and what those refer to."""
        forgiven = self._clock() - CONSTRUCTION_FORGIVEN_SECONDS
        # In the order of their failures, so the pauses that end first are at the front, give or take one.
        for actor_id in [actor_id for actor_id, failed in self._failed.items() if failed.until < forgiven]:
            del self._failed[actor_id]
