"""The input gate: who may run in an actor now. FIFO, with nested critical sections (workerd `io/io-gate.h`).

Shut means: a critical section is open, or a commit waits for the index. New events and resumed tasks then wait in one
queue. Tasks born inside the innermost section pass; nobody passes a pending commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class CriticalSection:
    """One `block_concurrency_while` or `transaction` that is open."""

    __slots__ = ("depth", "open", "parent")

    def __init__(self, parent: CriticalSection | None) -> None:
        self.parent = parent
        self.open = True
        self.depth: int = 1 if parent is None else parent.depth + 1


class InputGate:
    """`top` is the innermost open section, None when there is none; `committing` counts commits that wait."""

    __slots__ = ("_admitting", "_loop", "_waiting", "committing", "top")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[CriticalSection | None, Callable[[], None]]] = deque()
        self._admitting = False
        self.top: CriticalSection | None = None
        self.committing = 0

    def admits(self, section: CriticalSection | None) -> bool:
        """Whether code that runs in `section` (None: in none) may run now."""
        if self.committing:
            return False
        if self.top is None:
            return True
        # A section that has closed leaves its late tasks behind: they belong to the nearest one still open.
        while section is not None and not section.open:
            section = section.parent
        return section is self.top

    def wait_admission(self, section: CriticalSection | None) -> Any:
        """None when `section` may run; otherwise a future for a task to yield, already marked as awaited."""
        if self.admits(section):
            return None
        future: Any = self._loop.create_future()
        future._asyncio_future_blocking = True
        self._waiting.append((section, lambda: None if future.done() else future.set_result(None)))
        return future

    def when_admitted(self, section: CriticalSection | None, start: Callable[[], None]) -> None:
        """Run `start` as soon as `section` may run: now, or in its turn of the queue."""
        if self.admits(section) and not self._waiting and not self._admitting:
            start()
        else:
            self._waiting.append((section, start))
            self._admit()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def enter(self, parent: CriticalSection | None) -> CriticalSection:
        """Shut the gate for everyone outside the new section."""
        section = CriticalSection(parent)
        self.top = section
        return section

    def leave(self, section: CriticalSection) -> None:
        """Open again, as far as the nearest section that is still open."""
        section.open = False
        while self.top is not None and not self.top.open:
            self.top = self.top.parent
        self._admit()

    def begin_commit(self) -> None:
        self.committing += 1

    def end_commit(self) -> None:
        self.committing -= 1
        self._admit()

    def open_for_good(self) -> None:
        """The actor is broken: everyone who waits goes on, and is told so at once."""
        self.top = None
        self.committing = 0
        self._admit()

    def _admit(self) -> None:
        # What a start admits or adds while this runs is looked at in the next pass, so the queue keeps its order.
        if self._admitting:
            return
        self._admitting = True
        try:
            admitted = True
            while admitted and self._waiting:
                admitted = False
                pass_over, self._waiting = self._waiting, deque()
                kept: deque[tuple[CriticalSection | None, Callable[[], None]]] = deque()
                for section, start in pass_over:
                    if self.admits(section):
                        admitted = True
                        start()
                    else:
                        kept.append((section, start))
                kept.extend(self._waiting)
                self._waiting = kept
        finally:
            self._admitting = False
