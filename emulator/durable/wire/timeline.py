"""What both processes remember of objects: the last things that happened to each, in bounded rings, and how it is told.

Recording is on the way of every event and every SQL statement, so an entry is a list that nobody looks at before
somebody asks. Times in it are seconds of `Clock.monotonic`, which on one machine are the same in every process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from durable.limits import TIMELINE_ENTRIES_MAX, TIMELINE_OBJECTS_MAX
from durable.wire.messages import ActorKey


class Remembered(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One entry as it is told: when it ended and how long it took, in microseconds of the monotonic clock.

    `count` is rows for SQL and storage operations of an event for what is one; None where there is nothing to count.
    """

    ended_us: int
    duration_us: int
    kind: str
    what: str
    outcome: str
    count: int | None = None
    actor: ActorKey | None = None


Entry = Any
"""What one side keeps; its first item is when it ended."""


class Ring:
    """The last entries of one object, in the order of their ends."""

    __slots__ = ("append", "entries", "is_forgotten", "is_used", "key")

    def __init__(self, key: Any, entries_max: int) -> None:
        self.key = key
        self.entries: deque[Entry] = deque(maxlen=entries_max)
        self.append: Callable[[Entry], None] = self.entries.append
        """A field, because a call of a method that calls another costs twice as much."""
        self.is_used = True
        """Whether anything was recorded since somebody looked for a ring to forget."""
        self.is_forgotten = False
        """Whoever records an event opens another then."""

    def forget(self) -> None:
        """Free the memory, whoever still holds the ring; what is recorded from now on is lost."""
        self.entries.clear()
        self.append = _lost
        self.is_forgotten = True


class Rings:
    """Rings by object. With too many objects the one that was quiet for longest is forgotten, give or take a few."""

    def __init__(self, entries_max: int = TIMELINE_ENTRIES_MAX, objects_max: int = TIMELINE_OBJECTS_MAX) -> None:
        self._entries_max = entries_max
        self._objects_max = objects_max
        self._rings: dict[Any, Ring] = {}

    def open(self, identity: Any, key: Any) -> Ring:
        """The ring of this object, an empty one if there is none; `key` is what it remembers of who that is."""
        ring = self._rings.get(identity)
        if ring is None:
            if len(self._rings) >= self._objects_max:
                self._forget_one()
            ring = self._rings[identity] = Ring(key, self._entries_max)
        return ring

    def get(self, identity: Any) -> Ring | None:
        return self._rings.get(identity)

    @property
    def all(self) -> list[Ring]:
        return list(self._rings.values())

    def _forget_one(self) -> None:
        # Second chance: moving a ring to the end at every event would cost more than recording the event.
        while True:
            identity = next(iter(self._rings))
            ring = self._rings.pop(identity)
            if not ring.is_used:
                ring.forget()
                return
            ring.is_used = False
            self._rings[identity] = ring


def _lost(_entry: Entry) -> None:
    """Nobody would find it."""


def sayable(text: str) -> str:
    """The text as something that UTF-8 has: code and clients may say half a character."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def between(ring: Ring, since_us: int, until_us: int, entries_max: int) -> list[Entry]:
    """The last entries that ended after `since_us` and by `until_us`, the newest first."""
    found: list[Entry] = []
    for entry in reversed(ring.entries):
        ended_us = int(entry[0] * 1_000_000)
        if ended_us <= since_us or len(found) >= entries_max:
            break
        if ended_us <= until_us:
            found.append(entry)
    return found
