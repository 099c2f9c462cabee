"""Time, handed in: everything that waits or stamps takes a `Clock`, so a test can own the time.

Two readings, never mixed: *wall* time names moments that users see (alarms, `created`), *monotonic* time measures
how long something took. Alarms are due on wall time; timeouts run on monotonic time, so a jump of the wall clock
moves no timeout.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """The two readings of time that the product uses."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch, as user code sees them."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean anything."""
        ...


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How wall time differs from the machine's: by `offset_ms`, or by standing still at `frozen_ms`."""

    offset_ms: int = 0
    frozen_ms: int | None = None

    @property
    def is_machine_time(self) -> bool:
        return self.offset_ms == 0 and self.frozen_ms is None


class SystemClock:
    """The machine's clocks; an offset (in milliseconds) moves wall time only, and wall time can stand still."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.setting = ClockSetting(offset_ms)
        self._ahead = 0.0

    @property
    def offset_ms(self) -> int:
        """How far wall time is ahead of the machine's now; below 0 when it is behind."""
        frozen_ms = self.setting.frozen_ms
        return self.setting.offset_ms if frozen_ms is None else frozen_ms - _machine_ms()

    @property
    def is_frozen(self) -> bool:
        return self.setting.frozen_ms is not None

    def wall_ms(self) -> int:
        setting = self.setting
        return _machine_ms() + setting.offset_ms if setting.frozen_ms is None else setting.frozen_ms

    # The builtin itself: it is read for every event and every statement, and a method around it costs half as much.
    monotonic = staticmethod(time.monotonic)

    def elapsed(self) -> float:
        """Seconds of wall time that have gone by: stands still with it and is moved on with it, never back."""
        return self._ahead if self.is_frozen else time.monotonic() + self._ahead

    def set(self, setting: ClockSetting) -> None:
        """From now on wall time is as `setting` says."""
        elapsed, before_ms = self.elapsed(), self.wall_ms()
        self.setting = setting
        elapsed += max(0, self.wall_ms() - before_ms) / 1000
        self._ahead = elapsed if self.is_frozen else elapsed - time.monotonic()

    def stand_at(self, wall_ms: int) -> None:
        self.set(ClockSetting(0, wall_ms))

    def run_on(self) -> None:
        """Go on from where the clock stands."""
        self.set(self.running())

    def running(self) -> ClockSetting:
        """The setting with which time goes on from now."""
        return self.setting if not self.is_frozen else ClockSetting(self.offset_ms)


class AlarmClock:
    """Wall time for first runs, elapsed wall time for retries: they wait for seconds of the clock that users move."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock

    def wall_ms(self) -> int:
        return self._clock.wall_ms()

    def monotonic(self) -> float:
        return self._clock.elapsed()


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000


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
