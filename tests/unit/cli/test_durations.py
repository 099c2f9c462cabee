"""How long, as people type it and as they are shown it."""

from __future__ import annotations

import pytest

from durable.errors import UserInputError
from durable_cli.durations import parse_duration_ms, shown_duration, shown_offset


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2h30m", 9_000_000), ("14d", 14 * 86_400_000), ("1w", 7 * 86_400_000), ("90s", 90_000), ("250ms", 250),
        ("1.5h", 5_400_000), (" +1H ", 3_600_000), ("1d1h1m1s1ms", 90_061_001),
    ],
)  # fmt: skip
def test_a_duration_is_read(text: str, ms: int) -> None:
    assert parse_duration_ms(text, "x DURATION") == ms


@pytest.mark.parametrize("text", ["", "h", "2 hours", "2h30", "1y", "0x5s", "1e3s", "٣h", "2h-1m", "nan", "1..5h"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserInputError, match="is not a duration|has no unit") as caught:
        parse_duration_ms(text, "x DURATION")
    assert caught.value.fix.startswith("x DURATION, such as 2h30m, 14d")


def test_a_number_alone_has_no_unit_and_a_long_word_is_cut() -> None:
    with pytest.raises(UserInputError, match='^"90" has no unit$'):
        parse_duration_ms("90", "x")
    with pytest.raises(UserInputError, match='^"y{60}…" is not a duration$'):
        parse_duration_ms("y" * 5000, "x")


def test_a_clock_is_not_set_back_by_a_duration() -> None:
    with pytest.raises(UserInputError, match="not set back") as caught:
        parse_duration_ms("-2h", "x")
    assert "durable alarms reset" in caught.value.fix


@pytest.mark.parametrize("text", ["0s", "0.1ms", "999999999999w", "9" * 400 + "d"])
def test_too_little_and_too_much_is_refused(text: str) -> None:
    with pytest.raises(UserInputError, match="at least 1ms"):
        parse_duration_ms(text, "x")


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0, "0ms"), (999, "999ms"), (1500, "1.5s"), (61_000, "1m1s"), (9_000_000, "2h30m"), (14 * 86_400_000, "14d")],
)
def test_a_duration_is_shown_by_its_two_largest_units(ms: int, shown: str) -> None:
    assert shown_duration(ms) == shown


def test_an_offset_says_its_direction_and_whether_time_stands() -> None:
    assert shown_offset(0, is_frozen=False) == ""
    assert shown_offset(-3_600_000, is_frozen=False) == "-1h"
    assert shown_offset(-5, is_frozen=False) == "-5ms"
    assert shown_offset(14 * 86_400_000, is_frozen=True) == "frozen +14d"
    assert shown_offset(-5, is_frozen=True) == "frozen"
