"""The alarm row of one object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable.clock import ManualClock
from durable.storage.actor_store import ActorStore

SOON = 1_700_000_010_000


def test_get_returns_what_was_set_and_the_last_one_wins(store: ActorStore) -> None:
    assert store.alarm.get() is None
    store.alarm.set(SOON + 5)
    store.alarm.set(SOON)

    assert store.alarm.get() == SOON


def test_it_survives_in_the_file_as_nanoseconds(open_store: Callable[[], ActorStore], object_file: Path) -> None:
    first = open_store()
    first.alarm.set(SOON)
    first.commit()
    row = first.database.run("SELECT typeof(value), value FROM _cf_METADATA WHERE key = 1").fetchall()

    assert row == [("integer", SOON * 1_000_000)]
    assert open_store().alarm.get() == SOON


def test_without_a_file_there_is_no_alarm_and_asking_makes_none(store: ActorStore, object_file: Path) -> None:
    assert (store.alarm.get(), store.alarm_before, store.alarm_now) == (None, None, None)
    store.alarm.delete()

    assert not object_file.exists()


def test_a_time_in_the_past_means_now(store: ActorStore, clock: ManualClock) -> None:
    store.alarm.set(1)

    assert store.alarm.get() == clock.wall_ms()


@pytest.mark.parametrize(
    ("ms", "message"),
    [
        (0, "set_alarm() cannot be called with an alarm time <= 0, got 0"),
        (-5, "set_alarm() cannot be called with an alarm time <= 0, got -5"),
        (2**63, "set_alarm() doesn't support dates after 2189, got 9223372036854775808 milliseconds since the epoch"),
        (1.5, "an alarm takes milliseconds since the epoch as an int, got float"),
        (True, "an alarm takes milliseconds since the epoch as an int, got bool"),
    ],
)
def test_what_is_no_time_is_refused(store: ActorStore, ms: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        store.alarm.set(ms)

    assert str(caught.value) == message


def test_before_and_now_tell_whether_the_open_transaction_moved_it(store: ActorStore) -> None:
    store.alarm.set(SOON)
    assert (store.alarm_before, store.alarm_now) == (None, SOON)
    store.commit()
    assert (store.alarm_before, store.alarm_now) == (SOON, SOON)

    store.alarm.delete()
    assert (store.alarm_before, store.alarm_now) == (SOON, None)
    store.commit()
    assert (store.alarm_before, store.alarm_now) == (None, None)


def test_a_rollback_brings_the_last_committed_one_back(store: ActorStore) -> None:
    store.alarm.set(SOON)
    store.commit()
    store.alarm.set(SOON + 5)
    store.rollback()

    assert (store.alarm_before, store.alarm_now, store.alarm.get()) == (SOON, SOON, SOON)


def test_a_rollback_to_a_savepoint_brings_the_one_before_it_back(store: ActorStore) -> None:
    store.alarm.set(SOON)
    store.commit()
    store.alarm.set(SOON + 5)
    name = store.savepoint()
    store.alarm.delete()
    store.rollback_to(name)

    assert (store.alarm_before, store.alarm_now) == (SOON, SOON + 5)
    store.commit()
    assert (store.alarm_before, store.alarm_now) == (SOON + 5, SOON + 5)


def test_rolling_back_the_set_that_made_the_table_leaves_alarms_usable(store: ActorStore) -> None:
    name = store.savepoint()
    store.alarm.set(SOON)
    store.rollback_to(name)
    assert store.alarm.get() is None

    store.alarm.set(SOON)
    assert store.commit()
    assert store.alarm.get() == SOON
