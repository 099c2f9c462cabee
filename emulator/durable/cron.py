"""Cron expressions and the moments they name. What a field means is cronsim's; which dialect is spoken is ours.

Must not know who waits for these moments. cronsim is loaded with the first expression.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cronsim import CronSim

_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
"""As cronsim calls them in its errors; also the order in an expression."""
_EXPECTED = (
    "minutes are 0-59",
    "hours are 0-23",
    "days of the month are 1-31, L (the last one) or LW (the last weekday)",
    "months are 1-12 or JAN-DEC",
    "days of the week are 0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, MON#1 for the first Monday",
)
_TRIGGER_WEEKDAYS = (
    "days of the week are 1-7 (1 is Sunday) or SUN-SAT, friL for the last Friday, MON#1 for the first Monday"
)
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class MalformedCron(ValueError):
    """An expression that names no moment; `offset` is where in it the wrong field begins."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class Cron:
    """One expression of five fields, `30 8 * * MON-FRI`, in one time zone."""

    __slots__ = ("_read", "_zone", "expression")

    def __init__(self, expression: str, zone: tzinfo = UTC) -> None:
        """Raises `MalformedCron`. In a zone with summer time, what falls into the skipped hour runs right after it."""
        self.expression = expression
        self._read = expression
        self._zone = zone
        self._check(_EXPECTED[4])

    @classmethod
    def trigger(cls, expression: str) -> Cron:
        """In the dialect of the platform's triggers: UTC, and weekdays are 1 (Sunday) to 7 (Saturday).

        platform: developers.cloudflare.com/workers/configuration/cron-triggers. Raises `MalformedCron`.
        """
        cron = cls.__new__(cls)
        cron.expression = expression
        cron._zone = UTC
        cron._read = _from_trigger(expression)
        cron._check(_TRIGGER_WEEKDAYS)
        return cron

    def next_ms(self, after_ms: int) -> int | None:
        """The first moment after this one, in milliseconds since the epoch; None when there is none in fifty years."""
        after = _EPOCH + timedelta(milliseconds=after_ms)
        found = next(self._simulation(after.astimezone(self._zone)), None)
        return None if found is None else (found - _EPOCH) // _MILLISECOND

    def _simulation(self, start: datetime) -> CronSim:
        from cronsim import CronSim

        return CronSim(self._read, start)

    def _check(self, weekdays: str) -> None:
        from cronsim import CronSimError

        fields = _fields(self.expression)
        try:
            self._simulation(_EPOCH)
        except CronSimError as problem:
            name = str(problem).removeprefix("Bad ")
            index = _FIELDS.index(name) if name in _FIELDS else 0
            expected = (*_EXPECTED[:4], weekdays)[index]
            field = fields[index]
            raise MalformedCron(f'"{field[0]}" is no {name.replace("-", " ")}: {expected}', field.start()) from None
        if self.next_ms(0) is None:
            raise MalformedCron("there is no such day", fields[2].start())


def _fields(expression: str) -> list[re.Match[str]]:
    found = list(re.finditer(r"\S+", expression))
    if len(found) != len(_FIELDS):
        raise MalformedCron(
            f"a cron expression has five fields, "
            f"minute, hour, day of month, month and day of week; this has {len(found)}",
            found[len(_FIELDS)].start() if len(found) > len(_FIELDS) else 0,
        )
    return found


# --- the platform's weekdays ------------------------------------------------------------------------------------------
def _from_trigger(expression: str) -> str:
    fields = _fields(expression)
    day, weekday = fields[2], fields[4]
    if re.search(r"\dW", day[0], re.IGNORECASE):
        # platform: "15W", the weekday nearest to the 15th. cronsim has LW only.
        raise MalformedCron(f'"{day[0]}": the nearest weekday is not understood here; LW is', day.start())
    items = ",".join(_weekday_item(item, weekday) for item in weekday[0].upper().split(","))
    return " ".join([*(field[0] for field in fields[:4]), items])


def _weekday_item(item: str, field: re.Match[str]) -> str:
    days, slash, step = item.partition("/")
    if days == "*":
        return item
    first, dash, last = days.partition("-")
    start = _weekday(first, field)
    if dash:
        return f"{start}-{_weekday(last, field)}{slash}{step}"
    # "2/2" is every second day from Monday on to Saturday; cronsim's week would go on to a Sunday of number 7.
    return f"{start}-6/{step}" if slash else start


def _weekday(text: str, field: re.Match[str]) -> str:
    """`6L` → `5L`, `FRI` → `5`, `SUN#2` → `0#2`"""
    match = re.fullmatch(r"([1-7]|[A-Z]{3})(L?|#[1-5])", text)
    if match is None or (match[1].isalpha() and match[1] not in _WEEKDAYS):
        raise MalformedCron(f'"{field[0]}" is no day of week: {_TRIGGER_WEEKDAYS}', field.start())
    return f"{int(match[1]) - 1 if match[1].isdigit() else _WEEKDAYS.index(match[1])}{match[2]}"
