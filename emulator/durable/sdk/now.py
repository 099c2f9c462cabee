"""`now()`: the time that alarms go by, which the developer can move. Who keeps it tells us how to read it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000


_readings: list[Callable[[], int]] = [_machine_ms]
"""How to read the time, in one element. Of the process and not of an event: threads and imports ask as well."""


def now() -> datetime:
    """The emulator's time, in UTC, to the millisecond: what alarms are due by, moved by `durable alarms advance`.

        await ctx.storage.set_alarm(durable.now() + timedelta(days=14))

    Outside of an emulator it is the machine's time. `time.time()` and `datetime.now()` are always the machine's.
    """
    # Not fromtimestamp: a float of seconds does not hold every millisecond.
    return _EPOCH + timedelta(milliseconds=_readings[0]())


def keep_time(wall_ms: Callable[[], int]) -> None:
    """Have `now()` read this clock: milliseconds since the epoch."""
    _readings[0] = wall_ms
