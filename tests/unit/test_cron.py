"""Cron expressions: which moments they name, in whose dialect, and what is said of one that is wrong."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from durable.cron import Cron, MalformedCron

START = round(datetime(2026, 11, 21, 12, 0, 30, 500_000, tzinfo=UTC).timestamp() * 1000)  # a Saturday


def moments(cron: Cron, count: int, start_ms: int = START, zone: ZoneInfo | None = None) -> list[str]:
    found = []
    for _ in range(count):
        following = cron.next_ms(start_ms)
        assert following is not None
        start_ms = following
        found.append(f"{datetime.fromtimestamp(start_ms / 1000, zone or UTC):%a %Y-%m-%d %H:%M:%S}")
    return found


def test_the_next_moment_is_after_the_one_that_is_given() -> None:
    cron = Cron("*/15 * * * *")

    first = cron.next_ms(START)

    assert first is not None
    assert moments(cron, 2) == ["Sat 2026-11-21 12:15:00", "Sat 2026-11-21 12:30:00"]
    assert cron.next_ms(first) == first + 15 * 60_000
    assert cron.next_ms(first - 1) == first


# The table of developers.cloudflare.com/workers/configuration/cron-triggers, "Examples", and what it leaves to guess.
@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("* * * * *", "Sat 2026-11-21 12:01:00"),
        ("45 * * * *", "Sat 2026-11-21 12:45:00"),
        ("0 17 * * sun", "Sun 2026-11-22 17:00:00"),
        ("0 17 * * 1", "Sun 2026-11-22 17:00:00"),
        ("10 7 * * mon-fri", "Mon 2026-11-23 07:10:00"),
        ("10 7 * * 2-6", "Mon 2026-11-23 07:10:00"),
        ("0 15 1 * *", "Tue 2026-12-01 15:00:00"),
        ("0 18 * * 6L", "Fri 2026-11-27 18:00:00"),
        ("0 18 * * friL", "Fri 2026-11-27 18:00:00"),
        ("59 23 LW * *", "Mon 2026-11-30 23:59:00"),
        ("0 0 * * 7", "Sat 2026-11-28 00:00:00"),
        ("0 0 * * mon#1", "Mon 2026-12-07 00:00:00"),
        ("0 0 * * 2/2", "Mon 2026-11-23 00:00:00"),
        ("0 0 1 JAN,jul *", "Fri 2027-01-01 00:00:00"),
    ],
)
def test_a_trigger_speaks_the_platforms_dialect(expression: str, following: str) -> None:
    assert moments(Cron.trigger(expression), 1) == [following]


def test_a_step_of_weekdays_ends_with_the_week() -> None:
    days = [moment[:3] for moment in moments(Cron.trigger("0 0 * * 2/2"), 4)]

    assert days == ["Mon", "Wed", "Fri", "Mon"]


def test_weekdays_of_other_expressions_are_those_of_crontab() -> None:
    assert moments(Cron("0 17 * * 1"), 1) == ["Mon 2026-11-23 17:00:00"]


def test_an_hour_that_summer_time_skips_runs_right_after_it_and_a_doubled_one_once() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    cron = Cron("30 2 * * *", berlin)
    spring = round(datetime(2027, 3, 27, 12, tzinfo=UTC).timestamp() * 1000)
    autumn = round(datetime(2027, 10, 30, 12, tzinfo=UTC).timestamp() * 1000)

    assert moments(cron, 2, spring, berlin) == ["Sun 2027-03-28 03:00:00", "Mon 2027-03-29 02:30:00"]
    assert moments(cron, 2, autumn, berlin) == ["Sun 2027-10-31 02:30:00", "Mon 2027-11-01 02:30:00"]


@pytest.mark.parametrize(
    ("expression", "offset", "text"),
    [
        ("60 * * * *", 0, '"60" is no minute: minutes are 0-59'),
        ("* 24 * * *", 2, '"24" is no hour: hours are 0-23'),
        ("*  *   32 * *", 7, '"32" is no day of month: days of the month are 1-31'),
        ("* * * 13 *", 6, '"13" is no month: months are 1-12 or JAN-DEC'),
        ("* * * * 0", 8, '"0" is no day of week: days of the week are 1-7 (1 is Sunday) or SUN-SAT'),
        ("* * * * fri-mon", 8, '"fri-mon" is no day of week'),
        ("* * * * mon,abc", 8, '"mon,abc" is no day of week'),
        ("0 0 15W * *", 4, "the nearest weekday is not understood here"),
        ("0 0 30 2 *", 4, '"30" is no day of month'),
        ("*/0 * * * *", 0, '"*/0" is no minute'),
        ("* * * *", 0, "five fields, minute, hour, day of month, month and day of week; this has 4"),
        ("* * * * * 2026", 10, "this has 6"),
        ("", 0, "this has 0"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(expression: str, offset: int, text: str) -> None:
    with pytest.raises(MalformedCron) as caught:
        Cron.trigger(expression)

    assert text in str(caught.value)
    assert caught.value.offset == offset


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(MalformedCron, match="there is no such day"):
        Cron("0 0 */20 * 1L")


def test_the_parser_is_loaded_with_the_first_expression() -> None:
    program = "import sys, durable.cron as cron; assert 'cronsim' not in sys.modules; cron.Cron('* * * * *')"
    subprocess.run([sys.executable, "-c", program], check=True)
