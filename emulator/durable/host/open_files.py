"""The object files that one host keeps open: a bounded number, those closed first that were not used for longest.

A file that is *busy* (a transaction, an unfinished cursor, a commit that is not durable, a tool's thread) is never
closed; any other may be, also under a living actor, which opens it again by its next use. When all of them are busy,
whoever has no open file waits: activations are put off, and the gates of actors are shut. What runs is not refused.

The order of use is kept where it costs nothing: an actor notes when it last had an event, and a file that was used
since it was last looked at gets a second chance.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING

from msgspec import Struct

from durable.actor.actor import Actor
from durable.errors import StorageError
from durable.limits import OPEN_FILE_WAIT_SECONDS, OPEN_FILES_SPARE
from durable.storage.actor_store import ActorStore

if TYPE_CHECKING:
    from durable.host.registry import Registry

_POLL_SECONDS = 0.001
"""How often it is looked again whether files can be closed, while events wait for that."""
_STUCK_POLL_SECONDS = 0.01
"""The same while nothing changes."""


class OpenFilesStatistics(Struct, frozen=True):
    """`closed` counts files that were closed to make room for others, ever; `waiting` those who need one now."""

    open: int
    open_max: int
    waiting: int
    closed: int


class OpenFiles:
    """`registry` knows who is alive and which files are lent."""

    def __init__(self, registry: Registry, files_max: int, *, clock: Callable[[], float]) -> None:
        self.files_max = files_max
        self.crowded = False
        """Whether every open file is busy, and events wait for one."""
        self._registry = registry
        self._clock = clock
        self._thread = get_ident()
        self._open: OrderedDict[str, tuple[ActorStore, float]] = OrderedDict()
        """By object; with the moment up to which the file's uses are accounted for."""
        self._queue: deque[Actor | str] = deque()
        """Who waits for a file: an actor whose gate is shut, or the id of one that is not activated."""
        self._held: dict[str, Actor] = {}
        self._stuck_since: float | None = None
        self._closed = 0

    def statistics(self) -> OpenFilesStatistics:
        return OpenFilesStatistics(len(self._open), self.files_max, len(self._queue), self._closed)

    # --- opening and closing ------------------------------------------------------------------------------------
    def opening(self, actor_id: str, store: ActorStore) -> None:
        """The file is about to be opened: make room. Raises StorageError when all are busy, the spare ones too."""
        self._open.pop(actor_id, None)
        # A tool's thread must not close what the loop's thread may be using; it has opened its file before, usually.
        if get_ident() == self._thread and len(self._open) >= self.files_max and not self._close_one():
            if len(self._open) >= self.files_max + OPEN_FILES_SPARE:
                raise StorageError(
                    f"{store.path} cannot be opened now: {len(self._open)} object files are open and all are in use, by"
                    f" transactions that wait or cursors that were not read to their end; the limit is {self.files_max}"
                )
            self._crowd()
        self._open[actor_id] = store, self._clock()

    def closed(self, actor_id: str) -> None:
        """The file was closed for another reason, or its object is forgotten."""
        self._open.pop(actor_id, None)

    def _close_one(self) -> bool:
        """Close the file that was not used for longest; False when all of them are busy."""
        files, registry = self._open, self._registry
        # Twice round: the first may find that all were used since, which gives each its second chance.
        for _ in range(2 * len(files)):
            actor_id, (store, seen) = files.popitem(last=False)
            if not store.is_open:
                # Its opening failed, or a reset closed it.
                return True
            actor = registry.live(actor_id)
            used = actor.last_used if actor is not None else 0.0
            if used <= seen and not self._is_busy(actor_id, store):
                store.suspend()
                self._closed += 1
                return True
            files[actor_id] = store, max(used, seen)
        return False

    def _is_busy(self, actor_id: str, store: ActorStore) -> bool:
        return self._registry.is_lent(actor_id) or store.is_busy

    # --- when all are busy --------------------------------------------------------------------------------------
    def hold(self, actor: Actor) -> None:
        """Shut the gate of an actor that may need a file and has none open; only while the files are crowded."""
        if actor.key.id not in self._held and not actor.store.is_open and actor.is_between_turns:
            actor.gate.begin_commit()
            self._held[actor.key.id] = actor
            self._queue.append(actor)

    def put_off(self, actor_id: str) -> None:
        """Have the registry resume the object when there is room for its file."""
        self._queue.append(actor_id)

    def gone(self, actor: Actor) -> None:
        """The activation ended; nobody has to let it in."""
        if self._held.get(actor.key.id) is actor:
            del self._held[actor.key.id]

    def _crowd(self) -> None:
        if not self.crowded:
            self.crowded = True
            self._registry.in_background(self._make_room())
            for actor in self._registry.actors:
                # Those without work are held when work arrives.
                if actor.has_work:
                    self.hold(actor)

    async def _make_room(self) -> None:
        # Polled: what makes a file closable is the end of a turn, and no turn should pay for telling.
        try:
            room = 0
            # Until there is room again: whoever came when nobody waits and nothing can be closed would be refused.
            while self._queue or room <= 0:
                await self._registry.make_durable()
                room = self.files_max - sum(self._is_busy(*each) for each in self._files())
                self._let_in(room)
                await asyncio.sleep(_POLL_SECONDS if self._stuck_since is None else _STUCK_POLL_SECONDS)
            while len(self._open) > self.files_max and self._close_one():
                pass
        finally:
            self.crowded = False
            while self._queue:
                self._release(self._queue.popleft())

    def _files(self) -> list[tuple[str, ActorStore]]:
        return [(actor_id, store) for actor_id, (store, _) in self._open.items() if store.is_open]

    def _let_in(self, room: int) -> None:
        if room <= 0:
            now = self._clock()
            self._stuck_since = self._stuck_since or now
            # They may wait for someone in the queue: let one in at a time, until the spare files are gone too.
            room = int(now - self._stuck_since > OPEN_FILE_WAIT_SECONDS)
        else:
            self._stuck_since = None
        for _ in range(min(room, len(self._queue))):
            self._release(self._queue.popleft())

    def _release(self, waiting: Actor | str) -> None:
        if isinstance(waiting, str):
            self._registry.resume(waiting)
        elif self._held.pop(waiting.key.id, None) is not None and waiting.broken is None:
            waiting.gate.end_commit()
            waiting.end_turn()
