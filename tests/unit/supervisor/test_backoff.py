"""Delays between the restarts of a host that keeps dying."""

from __future__ import annotations

from durable.supervisor.backoff import Backoff


def test_the_first_death_is_replaced_at_once_and_later_ones_wait_twice_as_long_each_up_to_five_seconds():
    backoff = Backoff()

    delays = [backoff.died(lived_seconds=0.0) for _ in range(9)]

    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_host_that_lived_for_ten_seconds_is_forgiven():
    backoff = Backoff()
    for _ in range(5):
        backoff.died(lived_seconds=9.9)

    assert backoff.died(lived_seconds=10.0) == 0.0
    assert backoff.died(lived_seconds=0.0) == 0.1


def test_a_day_of_crashes_does_not_overflow():
    backoff = Backoff()
    backoff.deaths = 100_000

    assert backoff.died(lived_seconds=0.0) == 5.0


def test_new_code_starts_with_a_clean_record():
    backoff = Backoff()
    backoff.died(lived_seconds=0.0)
    backoff.died(lived_seconds=0.0)

    backoff.forget()

    assert backoff.died(lived_seconds=0.0) == 0.0
