from __future__ import annotations

from datetime import datetime

import pytest

from durable.errors import UserInputError
from durable_cli.moments import At, parse_at, shown_bytes, shown_moment

BOOKMARK = f"00000007-0000002a-00000000-{'0c3e87bb' * 4}"


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("-10m", 600_000),
        ("-90s", 90_000),
        ("-1h30m", 5_400_000),
        ("-0.5d", 43_200_000),
        ("10 minutes ago", 600_000),
        ("1 week ago", 604_800_000),
        ("2 hours 5 minutes ago", 7_500_000),
        ("-0s", 1),
    ],
)
def test_some_time_ago(text: str, milliseconds: int) -> None:
    assert parse_at(text) == At(moment_ms=-milliseconds)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-01-31T12:00:00Z", 1_769_860_800_000),
        ("2026-01-31T12:00:00.120+01:00", 1_769_857_200_120),
        ("1769860800000", 1_769_860_800_000),
        ("2026-01-31 12:00", int(datetime(2026, 1, 31, 12).timestamp() * 1000)),
        ("2026-01-31", int(datetime(2026, 1, 31).timestamp() * 1000)),
    ],
)
def test_a_moment(text: str, milliseconds: int) -> None:
    assert parse_at(text) == At(moment_ms=milliseconds)


def test_a_bookmark_is_handed_on() -> None:
    assert parse_at(f" {BOOKMARK.upper()} ") == At(bookmark=BOOKMARK)


@pytest.mark.parametrize("text", ["", "yesterday", "10m", "-10x", "-", "ago", "2026-13-01", "-10m5", "5 min ago later"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserInputError) as caught:
        parse_at(text)
    assert str(caught.value) == f'--at "{text}": not a moment and not a bookmark'
    assert caught.value.fix.startswith("--at -10m, ")


def test_seconds_since_1970_are_not_taken_for_milliseconds() -> None:
    with pytest.raises(UserInputError, match="--at 1769860800: that is 1769860800 milliseconds since 1970"):
        parse_at("1769860800")


def test_what_is_shown() -> None:
    assert [shown_bytes(size) for size in (0, 1023, 1024, 28672, 3 * 2**20, 5 * 2**40)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "28 KiB", "3.0 MiB", "5120 GiB"
    ]  # fmt: skip
    assert shown_moment(None) == "an unknown moment"
    assert shown_moment(0) == datetime.fromtimestamp(0).isoformat(sep=" ", timespec="milliseconds")
