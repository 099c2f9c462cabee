"""Files that the program writes while it is loaded are not saves."""

from __future__ import annotations

import pytest

from durable.clock import ManualClock
from durable.limits import OWN_WRITES_MIN, OWN_WRITES_SECONDS
from durable.supervisor.own_writes import OwnWrites


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def own_writes(clock: ManualClock) -> OwnWrites:
    return OwnWrites(clock)


def load(own_writes: OwnWrites, *writes: str) -> list[bool]:
    own_writes.load_begins()
    own_writes.load_ends()
    return [own_writes.saved(path) for path in writes]


def test_a_file_that_every_load_writes_is_found_once(own_writes: OwnWrites):
    for _ in range(OWN_WRITES_MIN - 1):
        assert load(own_writes, "data.json", "data.json") == [False, False]

    assert load(own_writes, "data.json", "data.json") == [True, False]
    assert own_writes.found == {"data.json"}


def test_a_file_that_one_load_leaves_alone_is_not_the_programs(own_writes: OwnWrites):
    for _ in range(OWN_WRITES_MIN - 1):
        load(own_writes, "page.html")
    load(own_writes)

    assert load(own_writes, "page.html") == [False]


def test_a_save_at_rest_is_a_persons(own_writes: OwnWrites, clock: ManualClock):
    for _ in range(2 * OWN_WRITES_MIN):
        load(own_writes)
        clock.advance(OWN_WRITES_SECONDS + 0.01)
        assert not own_writes.saved("page.html")

    assert own_writes.found == set()
