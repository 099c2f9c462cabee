"""When a burst of saves becomes one reload. Reads a clock, waits for nothing, knows no files.

The first save after a second of quiet is due at once: a person pressed save and looks at the browser. Saves that follow
closer than that come from a formatter, a branch switch or a code generator: they wait for a quarter of a second of
quiet, but never longer than a second. A hundred saves within two seconds make three reloads.
"""

from __future__ import annotations

from durable.clock import Clock
from durable.limits import RELOAD_QUIET_SECONDS, RELOAD_SETTLE_SECONDS, RELOAD_WAIT_SECONDS_MAX


class Debounce:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_save: float | None = None
        self._waiting_since: float | None = None
        self._due = 0.0

    def saved(self) -> None:
        """Something was saved just now."""
        now = self._clock.monotonic()
        quiet = self._last_save is None or now - self._last_save >= RELOAD_QUIET_SECONDS
        self._last_save = now
        if self._waiting_since is not None:
            self._due = min(now + RELOAD_SETTLE_SECONDS, self._waiting_since + RELOAD_WAIT_SECONDS_MAX)
            return
        self._waiting_since = now
        self._due = now if quiet else now + RELOAD_SETTLE_SECONDS

    def due_in(self) -> float | None:
        """Seconds until the reload is due, 0 when it is, None when nothing was saved since the last one."""
        if self._waiting_since is None:
            return None
        return max(0.0, self._due - self._clock.monotonic())

    def fired(self) -> None:
        """The reload begins; what is saved from now on belongs to the next one."""
        self._waiting_since = None
