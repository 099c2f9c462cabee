"""What `durable dev` tells while it serves: collected, bounded, written in one go, by a thread of its own.

At 20 000 requests a second nobody reads lines and each would cost more than the request, so a tick shows its first
lines and counts the rest. The thread is there because a terminal may stand still (Ctrl+S, a full pipe), and a gateway
that waits for it would stand still too. Knows nothing of what the lines say.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Protocol

TICK_SECONDS: Final = 0.05
"""Lines wait this long to be written together; a human cannot see it."""
LINES_PER_TICK_MAX: Final = 50
"""Lines shown of one tick: 1 000 a second, far beyond reading. Four times as many took 8 % of a busy gateway."""
BOUNDED_LINES_MAX: Final = 10_000
"""Lines that wait for a terminal, of events whose source has a bound of its own; it is reached when the terminal stands
still."""
CLOSE_SECONDS: Final = 1.0
"""How long the end of the program waits for a terminal that stands still."""


class Formatter(Protocol):
    """Events as text."""

    def wanted(self, event: object) -> bool: ...

    def is_bounded(self, event: object) -> bool:
        """Whether whoever tells such events lets only so many of them through, and counts the rest."""
        ...

    def text(self, event: object) -> str:
        """One or more whole lines, without the newline at the end."""
        ...

    def left_out(self, counts: Counter[str]) -> str:
        """What stands for events that were not shown, by the name of their class."""
        ...


class Writer(Protocol):
    """Takes text without making the caller wait."""

    @property
    def idle(self) -> bool: ...

    def write(self, text: str) -> None: ...


class RequestLog:
    """The buffer between the gateway's events and the terminal. Used from the event loop's thread only."""

    def __init__(
        self, formatter: Formatter, writer: Writer, schedule: Callable[[float, Callable[[], None]], object]
    ) -> None:
        """`schedule(seconds, function)` is the event loop's `call_later`."""
        self._formatter = formatter
        self._writer = writer
        self._schedule = schedule
        self._scheduled = False
        self._texts: list[str] = []
        self._lines = 0
        self._bounded_lines = 0
        self._left_out: Counter[str] = Counter()

    def add(self, event: object) -> None:
        """Show the event at the next tick, or count it when the tick is full."""
        if not self._formatter.wanted(event):
            return
        is_bounded = self._formatter.is_bounded(event)
        if self._bounded_lines >= BOUNDED_LINES_MAX if is_bounded else self._lines >= LINES_PER_TICK_MAX:
            self._left_out[type(event).__name__] += 1
        elif is_bounded:
            # It takes no room from the others: who prints much still sees every error.
            self._bounded_lines += 1
            self._show(self._formatter.text(event))
        else:
            self.say(self._formatter.text(event))

    def say(self, text: str) -> None:
        """Show these lines in their place among the others; never left out."""
        self._lines += text.count("\n") + 1
        self._show(text)

    def _show(self, text: str) -> None:
        self._texts.append(text)
        if not self._scheduled:
            self._scheduled = True
            self._schedule(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._scheduled = False
        if self._writer.idle:
            self.flush()
        else:
            # The last tick is still being written: what comes meanwhile is counted, so the buffer keeps its bound.
            self._scheduled = True
            self._schedule(TICK_SECONDS, self._tick)

    def flush(self) -> None:
        """Hand over what is there, now."""
        if self._left_out:
            self._texts.append(self._formatter.left_out(self._left_out))
            self._left_out = Counter()
        if self._texts:
            self._writer.write("\n".join(self._texts) + "\n")
            self._texts = []
            self._lines = self._bounded_lines = 0


class OutputStream(Protocol):
    """As much of a text stream as the writer uses."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class BackgroundWriter:
    """Writes to `stream` in a daemon thread; when the stream fails (its reader is gone), the rest is dropped."""

    def __init__(self, stream: OutputStream) -> None:
        self._stream = stream
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        # Each number is changed by one thread only, so comparing them needs no lock.
        self._handed_over = 0
        self._held: list[str] | None = None
        """What came while it was held; `RequestLog` hands over next to nothing then."""
        self._written = 0
        self._thread = threading.Thread(target=self._run, name="durable-log", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        return self._held is None and self.is_written

    @property
    def is_written(self) -> bool:
        return self._written == self._handed_over

    def hold(self) -> None:
        """Write nothing more until `release`: the screen is somebody else's. `RequestLog` then counts and waits."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        held, self._held = self._held or [], None
        for text in held:
            self.write(text)

    def write(self, text: str) -> None:
        if self._held is not None:
            self._held.append(text)
            return
        self._handed_over += 1
        self._queue.put(text)

    def close(self) -> None:
        """Write what is left, for at most `CLOSE_SECONDS`."""
        self.release()
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        broken = False
        while (text := self._queue.get()) is not None:
            try:
                if not broken:
                    self._stream.write(text)
                    self._stream.flush()
            except (OSError, ValueError):
                broken = True
            self._written += 1
