"""Time, handed in: everything that waits or stamps takes a `Clock`, so a test can own the time.

Two readings, never mixed: *wall* time names moments that users see (alarms, `created`), *monotonic* time measures
how long something took. Alarms are due on wall time; timeouts run on monotonic time, so a jump of the wall clock
moves no timeout.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two readings of time that the product uses."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch, as user code sees them."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks, with an offset (in milliseconds) that moves wall time only."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic = 0.0

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward together."""
        self._wall_ms += round(seconds * 1000)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Move wall time alone, as an administrator or NTP would."""
        self._wall_ms += round(seconds * 1000)
