"""The input gate: who may run in an actor now. FIFO, with nested critical sections (workerd `io/io-gate.h`).

Shut means: a critical section is open, or a commit waits for the index. New events and resumed tasks then wait, each in
the room of the section they belong to. Tasks born inside the innermost section pass; nobody passes a pending commit.

Those who wait are let in one by one, each when the one before has taken its step: it may shut the gate again, and a
crowd that is woken for nothing, once for every critical section, costs the square of its size.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

Start = Callable[[], object]
"""Begins what waited. Returns whose step ends the beginning, None when it has ended already."""


class Room:
    """Those who wait in one section, or outside of all: sections go before events and tasks."""

    __slots__ = ("begun", "children", "waiting")

    def __init__(self) -> None:
        self.children: deque[Start] = deque()
        self.begun: deque[Start] = deque()
        """Events that an open gate let in, and that found it shut at their first step: all others came later."""
        self.waiting: deque[Start] = deque()

    def take(self) -> Start | None:
        """Who is next; None when nobody waits."""
        if self.children:
            return self.children.popleft()
        if self.begun:
            return self.begun.popleft()
        return self.waiting.popleft() if self.waiting else None

    def admit_first(self, room: Room) -> None:
        """Those of a section inside that has closed go before everyone here."""
        self.children.extendleft(reversed(room.children))
        self.begun.extendleft(reversed(room.begun))
        self.waiting.extendleft(reversed(room.waiting))


class CriticalSection(Room):
    """One `block_concurrency_while` or `transaction` that is open."""

    __slots__ = ("depth", "open", "parent")

    def __init__(self, parent: CriticalSection | None) -> None:
        super().__init__()
        self.parent = parent
        self.open = True
        self.depth: int = 1 if parent is None else parent.depth + 1


class InputGate:
    """`top` is the innermost open section, None when there is none; `committing` counts commits that wait.

    `busy` says that even code of `top` has to ask: a commit is pending, or others have waited for longer.
    """

    __slots__ = (
        "_admitted", "_admitting", "_loop", "_opened_for_good", "_outside", "busy", "committing", "top", "waiting",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._outside = Room()
        self._admitted: object = None
        """Who was let in and has not taken its step yet."""
        self._admitting = False
        self._opened_for_good = False
        self.top: CriticalSection | None = None
        self.committing = 0
        self.busy = False
        self.waiting = 0
        """How many wait, those included who have given up since."""

    def admits(self, section: CriticalSection | None) -> bool:
        """Whether the gate is open for code that runs in `section` (None: in none)."""
        if self._opened_for_good:
            return True
        return not self.committing and _nearest_open(section) is self.top

    # --- waiting ----------------------------------------------------------------------------------------------
    def wait_admission(self, section: CriticalSection | None, who: object, begins: bool = False) -> Any:
        """None when `who` may step now in `section`; otherwise a future for its task to yield, marked as awaited.

        `begins` says that it is the first step of an event.
        """
        first = who is self._admitted
        if first:
            self._admitted = None
            if self.waiting:
                # After this step, which may shut the gate.
                self._loop.call_soon(self._admit)
            self._look()
        if self._opened_for_good or (self.admits(section) and (first or not self.busy)):
            return None
        future: Any = self._loop.create_future()
        future._asyncio_future_blocking = True

        def start() -> object:
            if future.done():
                return None
            future.set_result(None)
            return who

        room = self._room(section)
        if first:
            (room.begun or room.waiting).appendleft(start)
        elif begins:
            room.begun.append(start)
        else:
            room.waiting.append(start)
        self.waiting += 1
        self._look()
        return future

    def when_admitted(self, section: CriticalSection | None, start: Start) -> None:
        """Run `start` as soon as `section` may run: now, or in its turn of the queue."""
        if self._opened_for_good or (not self.busy and self.admits(section)):
            start()
        else:
            # Whatever is in the way calls `_admit` when it goes.
            self._room(section).waiting.append(start)
            self.waiting += 1
            self._look()

    def when_alone(self, section: CriticalSection | None, enter: Start) -> None:
        """Run `enter`, which opens a critical section inside `section`: before all events and tasks that wait."""
        if self.admits(section):
            enter()
        else:
            self._room(section).children.append(enter)
            self.waiting += 1
            self._look()

    def _room(self, section: CriticalSection | None) -> Room:
        # A section that has closed leaves its late tasks behind: they belong to the nearest one still open.
        return _nearest_open(section) or self._outside

    # --- opening and shutting ---------------------------------------------------------------------------------
    def enter(self, parent: CriticalSection | None) -> CriticalSection:
        """Shut the gate for everyone outside the new section."""
        section = CriticalSection(parent)
        self.top = section
        self._look()
        return section

    def leave(self, section: CriticalSection) -> None:
        """Open again, as far as the nearest section that is still open."""
        section.open = False
        self._room(section).admit_first(section)
        self.top = _nearest_open(self.top)
        self._admit()

    def begin_commit(self) -> None:
        self.committing += 1
        self._look()

    def end_commit(self) -> None:
        self.committing -= 1
        self._admit()

    def open_for_good(self) -> None:
        """The actor is broken: everyone who waits goes on, and is told so at once."""
        rooms: list[Room] = [self._outside]
        section = self.top
        while section is not None:
            rooms.insert(0, section)
            section = section.parent
        self._opened_for_good = True
        self.top = None
        self.committing = 0
        for room in rooms:
            while (start := room.take()) is not None:
                self.waiting -= 1
                start()
        self._look()

    def _admit(self) -> None:
        """Let in who waits, for as long as the gate is open, up to the first who has a step to take."""
        if self._admitting:
            return
        self._admitting = True
        try:
            while not self.committing and self._admitted is None:
                start = (self.top or self._outside).take()
                if start is None:
                    break
                self.waiting -= 1
                self._look()
                self._admitted = start()
        finally:
            self._admitting = False
            self._look()

    def _look(self) -> None:
        room = self.top or self._outside
        self.busy = bool(
            self.committing
            or self._admitting
            or self._admitted is not None
            or room.waiting
            or room.children
            or room.begun
        )


def _nearest_open(section: CriticalSection | None) -> CriticalSection | None:
    while section is not None and not section.open:
        section = section.parent
    return section
