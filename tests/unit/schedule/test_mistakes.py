"""What a schedule refuses when it is said, and the bounds of what it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.unit.schedule.trial import START, Trial


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("at", "x", datetime(2026, 1, 1), "say"), ValueError, "has no time zone: write datetime"),
        (
            ("at", "x", "tomorrow", "say"),
            TypeError,
            "a due time is a datetime or milliseconds since the epoch, got str",
        ),
        (("at", "x", float("nan"), "say"), ValueError, "a due time lies between 1970 and 2189, got nan ms"),
        (("at", "x", 0, "say"), ValueError, "got 0 ms"),
        (("after", "x", -1, "say"), ValueError, "a time span lies between 0 and 6917529027 seconds, got -1"),
        (("after", "x", "1h", "say"), TypeError, "a time span is a timedelta or a number of seconds, got str"),
        (("after", "x", 1, "shout"), TypeError, "a schedule calls methods of its object: Trial has no method 'shout'"),
        (("after", "x", 1, print), TypeError, "Trial has no method 'print'"),
        (("after", "x", 1, "say", (1, 2)), TypeError, "stored as JSON: say((1, 2),) would not come back as it is"),
        (("after", "x", 1, "say", object()), TypeError, "would not come back as it is"),
        (("every", "x", "* * * *", "say"), ValueError, "a cron expression has five fields"),
        (("every", "x", "61 * * * *", "say"), ValueError, '"61" is no minute'),
        (("every", "x", 0.5, "say"), ValueError, "an interval is at least one second, got 500 ms"),
    ],
)
async def test_what_cannot_be_meant_is_refused_when_it_is_said(
    trial: Trial, arguments: tuple[Any, ...], kind: type[Exception], text: str
) -> None:
    method, *rest = arguments
    with pytest.raises(kind) as caught:
        await getattr(trial.schedule, method)(*rest)

    assert text in str(caught.value)
    assert await trial.schedule.list() == []


async def test_an_unknown_time_zone_is_refused(trial: Trial) -> None:
    with pytest.raises(ValueError, match='there is no time zone "Europe/Atlantis" here'):
        await trial.schedule.every("x", "* * * * *", "say", time_zone="Europe/Atlantis")


async def test_a_schedule_has_a_bound(trial: Trial) -> None:
    from durable.schedule.entry import Entries, ScheduleEntry

    full = tuple(ScheduleEntry(str(number), START, "say", number=number) for number in range(1000))
    trial.ctx.storage.values["durable.schedule"] = Entries(1000, full).to_text()

    await trial.schedule.after("7", 1, trial.say, "in the place of another")
    with pytest.raises(ValueError, match='at most 1000 entries; cancel some before "one more"'):
        await trial.schedule.after("one more", 1, trial.say, "")


async def test_what_a_later_version_adds_to_an_entry_is_passed_over(trial: Trial) -> None:
    await trial.schedule.after("x", 1, trial.say, "x")
    text = trial.ctx.storage.values["durable.schedule"]
    trial.ctx.storage.values["durable.schedule"] = text.replace('"name"', '"colour": "red", "name"')

    assert [entry.name for entry in await trial.schedule.list()] == ["x"]


def test_a_moment_in_another_time_zone_is_the_same_moment() -> None:
    from durable.schedule.entry import moment_ms

    west = timezone(timedelta(hours=-8))
    assert moment_ms(datetime(2026, 1, 1, 0, 0, tzinfo=west)) == moment_ms(datetime(2026, 1, 1, 8, 0, tzinfo=UTC))
