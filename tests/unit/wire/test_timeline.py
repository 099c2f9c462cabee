"""The rings of the timeline: what is kept, what is forgotten, and that it stays within its bound."""

from __future__ import annotations

import tracemalloc
from itertools import count

import pytest

from durable.limits import KIB, MIB, TIMELINE_ENTRIES_MAX, TIMELINE_OBJECTS_MAX, TIMELINE_TEXT_CHARACTERS_MAX
from durable.wire.timeline import Ring, Rings, between

MEMORY_BYTES_MAX = 24 * MIB
"""Of every entry with a text of its own, as long as texts get. Ordinary ones share theirs and take a third of it."""


def ring_with(*ends: float) -> Ring:
    ring = Ring("a", 250)
    for end in ends:
        ring.append([end, end, "sql", "", "ok", None])
    return ring


def test_the_oldest_entries_of_an_object_go() -> None:
    ring = Rings(entries_max=2).open("a", "a")
    for number in range(5):
        ring.append([float(number)])
    assert list(ring.entries) == [[3.0], [4.0]]


def test_the_object_that_was_quiet_goes_and_the_busy_one_stays() -> None:
    rings = Rings(objects_max=2)
    busy, quiet = rings.open("busy", "busy"), rings.open("quiet", "quiet")
    rings.open("third", "third")  # everybody gets a second chance first, so the oldest goes
    assert busy.is_forgotten
    quiet.is_used = False
    rings.open("busy", "busy").is_used = True
    assert quiet.is_forgotten
    assert {ring.key for ring in rings.all} == {"third", "busy"}


def test_a_forgotten_ring_keeps_nothing_whoever_still_holds_it() -> None:
    rings = Rings(objects_max=1)
    first = rings.open("first", "first")
    first.append([1.0])
    rings.open("second", "second")
    first.append([2.0])
    assert not first.entries
    assert rings.get("first") is None


def test_only_what_ended_since_the_last_question_is_told_newest_first() -> None:
    ring = ring_with(1.0, 2.0, 3.0, 4.0)
    assert [entry[0] for entry in between(ring, 1_000_000, 3_000_000, 10)] == [3.0, 2.0]
    assert [entry[0] for entry in between(ring, 0, 9_000_000, 2)] == [4.0, 3.0]


def bytes_after(objects: int, objects_max: int) -> int:
    """What is held when so many objects have recorded more than is kept of each."""
    numbers = count()
    tracemalloc.start()
    try:
        rings = Rings(objects_max=objects_max)
        for each in range(objects):
            ring = rings.open(each, each)
            for _ in range(TIMELINE_ENTRIES_MAX + 10):
                number = next(numbers)
                text = f"{number:0{TIMELINE_TEXT_CHARACTERS_MAX}}"
                ring.append([number + 0.5, number + 0.25, "sql", text, "ok", number])
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("objects_max", "is_bounded"), [(20, True), (100, False)])
def test_memory_has_a_bound_however_many_objects_there_are(objects_max: int, is_bounded: bool) -> None:
    # A tenth of everything, for the time that the test takes; its twin forgets nobody, and is noticed.
    held = bytes_after(100, objects_max)
    assert (held <= MEMORY_BYTES_MAX * 20 / TIMELINE_OBJECTS_MAX + 100 * KIB) == is_bounded
