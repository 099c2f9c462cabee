"""One entry of a schedule as a value: when it is due, what it calls, and when it is due again. Knows no storage."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from durable.cron import Cron
from durable.limits import ALARM_MS_MAX, ALARM_RETRIES_MAX, ALARM_RETRY_SECONDS

_INTERVAL = re.compile(r"every (\d+) ms")


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """`ScheduleEntry("reminder", 1763740800000, "remind", ("ada", 3))`

    `due_ms` is in milliseconds since the epoch, as alarms are, and stays while a failed call is tried again. `rule` is
    a cron expression or `every 60000 ms`, and empty when there is only one time.
    """

    name: str
    due_ms: int
    method: str
    args: tuple[Any, ...] = ()
    rule: str = ""
    time_zone: str = "UTC"
    failures: int = 0
    """Calls of this due time that raised."""
    retry_ms: int | None = None
    """When it is called again after a failure; None before one."""
    number: int = 0
    """Counts what was ever put into the schedule: of two entries of one name it tells which is the later."""

    @property
    def due(self) -> datetime:
        """The due time in UTC."""
        return datetime.fromtimestamp(self.due_ms / 1000, UTC)

    @property
    def wake_ms(self) -> int:
        """When the alarm has to come for it."""
        return self.due_ms if self.retry_ms is None else self.retry_ms

    @property
    def order(self) -> tuple[int, int]:
        return self.due_ms, self.number

    def same_rule(self, other: ScheduleEntry) -> bool:
        """Whether this repeats the other in every respect: then its due time is as good."""
        mine = (self.name, self.method, self.args, self.rule, self.time_zone)
        return mine == (other.name, other.method, other.args, other.rule, other.time_zone)

    def done(self, now_ms: int) -> ScheduleEntry | None:
        """What is left of the entry after its call; due times up to now that nobody called for are left out."""
        following = next_ms(self.rule, self.time_zone, self.due_ms, now_ms) if self.rule else None
        return None if following is None else replace(self, due_ms=following, failures=0, retry_ms=None)

    def failed(self, now_ms: int) -> ScheduleEntry | None:
        """The same after a call that raised: it waits 2 s, 4 s, … as an alarm does, and after the last goes on."""
        if self.failures >= ALARM_RETRIES_MAX:
            return self.done(now_ms)
        wait_ms = round(ALARM_RETRY_SECONDS * 1000) << self.failures
        return replace(self, failures=self.failures + 1, retry_ms=now_ms + wait_ms)


# --- as it is stored --------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Entries:
    """All that is stored of a schedule. `count` is how many there ever were: numbers are not used twice."""

    count: int = 0
    entries: tuple[ScheduleEntry, ...] = ()

    def named(self, name: str) -> ScheduleEntry | None:
        return next((entry for entry in self.entries if entry.name == name), None)

    def numbered(self, number: int) -> ScheduleEntry | None:
        return next((entry for entry in self.entries if entry.number == number), None)

    def without(self, old: ScheduleEntry | None, new: ScheduleEntry | None = None) -> Entries:
        """These with `new` in the place of `old`, in the order in which they are due."""
        kept = [entry for entry in self.entries if entry is not old] + ([] if new is None else [new])
        return Entries(self.count, tuple(sorted(kept, key=lambda entry: entry.order)))

    def numbering(self, entry: ScheduleEntry) -> tuple[Entries, ScheduleEntry]:
        """The same with one more counted, and `entry` with its number."""
        return replace(self, count=self.count + 1), replace(entry, number=self.count + 1)

    def to_text(self) -> str:
        """JSON, the same text on every side: `{"count": 1, "entries": [{"name": "reminder", "due_ms": …}]}`"""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Entries:
        stored: dict[str, Any] = json.loads(text)
        known = {each.name for each in fields(ScheduleEntry)}
        # A later version may have written more than this one knows.
        rows: list[dict[str, Any]] = stored["entries"]
        kept = [{key: value for key, value in row.items() if key in known} for row in rows]
        return cls(stored["count"], tuple(replace(ScheduleEntry(**row), args=tuple(row["args"])) for row in kept))


def check_args(method: str, args: tuple[Any, ...]) -> None:
    """Raises TypeError for arguments that would come back as something else."""
    try:
        same = json.loads(json.dumps(args, allow_nan=False)) == list(args)
    except (TypeError, ValueError):
        same = False
    if not same:
        raise TypeError(
            f"arguments of a scheduled call are stored as JSON: {method}{args!r} would not come back as it is; "
            "store the value and pass its key"
        )


# --- time -------------------------------------------------------------------------------------------------------------
def moment_ms(when: float | datetime) -> int:
    """Raises TypeError for what is no moment and ValueError for one that no alarm can have."""
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ValueError(f"{when!r} has no time zone: write datetime(…, tzinfo=timezone.utc), or use after()")
        when = when.timestamp() * 1000
    elif isinstance(when, bool) or not isinstance(when, (int, float)):
        raise TypeError(f"a due time is a datetime or milliseconds since the epoch, got {type(when).__name__}")
    if not 0 < when <= ALARM_MS_MAX:
        raise ValueError(f"a due time lies between 1970 and 2189, got {when:.17g} ms")
    return round(when)


def span_ms(span: float | timedelta) -> int:
    """Milliseconds of a timedelta or of a number of seconds."""
    seconds: object = span.total_seconds() if isinstance(span, timedelta) else span
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"a time span is a timedelta or a number of seconds, got {type(span).__name__}")
    if not 0 <= seconds * 1000 <= ALARM_MS_MAX:
        raise ValueError(f"a time span lies between 0 and {ALARM_MS_MAX // 1000} seconds, got {seconds:g}")
    return round(seconds * 1000)


def rule_of(rule: str | float | timedelta) -> str:
    """What is stored of a cron expression or an interval."""
    if isinstance(rule, str):
        return " ".join(rule.split())
    interval_ms = span_ms(rule)
    if interval_ms < 1000:
        raise ValueError(f"an interval is at least one second, got {interval_ms} ms")
    return f"every {interval_ms} ms"


def next_ms(rule: str, time_zone: str, due_ms: int, now_ms: int) -> int | None:
    """The first due time after now; intervals are counted from the last one. Raises ValueError for a bad rule."""
    interval = _INTERVAL.fullmatch(rule)
    if interval is None:
        return Cron(rule, _zone(time_zone)).next_ms(now_ms)
    length_ms = int(interval[1])
    return due_ms + length_ms * ((now_ms - due_ms) // length_ms + 1) if now_ms >= due_ms else due_ms + length_ms


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    # Only here: it reads the machine's files, which not every platform has.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f'there is no time zone "{name}" here; "Europe/Berlin" is one, where tzdata is') from None
