"""Names that match a pattern, as SQLite's GLOB has it."""

from __future__ import annotations

import pytest

from durable.storage.index import IndexRow
from durable.storage.name_glob import NameGlob


def row(name: str | None) -> IndexRow:
    return IndexRow("0" * 64, name, 0, 0, None)


NAMES = ["room-1", "room-22", "Room-3", "a%b_c'\"\\", "", "é😀\x00\x1b", None]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["room-1", "room-22", "Room-3", "a%b_c'\"\\", "", "é😀\x00\x1b"]),
        ("room-?", ["room-1"]),
        ("[Rr]oom-*", ["room-1", "room-22", "Room-3"]),
        ("[^r]*-*", ["Room-3"]),
        ("a%b*", ["a%b_c'\"\\"]),
        ("a%", []),
        ("é😀*", ["é😀\x00\x1b"]),
        ("'; DROP TABLE objects --", []),
        ("[", []),
    ],
)
def test_a_pattern_picks_names(pattern: str, expected: list[str]) -> None:
    assert [each.name for each in NameGlob(pattern).of([row(name) for name in NAMES])] == expected
