"""When saves become reloads."""

from __future__ import annotations

import pytest

from durable.clock import ManualClock
from durable.supervisor import debounce as module
from durable.supervisor.debounce import Debounce


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_nothing_is_due_before_a_save(clock: ManualClock):
    assert Debounce(clock).due_in() is None


def test_a_save_after_quiet_is_due_at_once(clock: ManualClock):
    debounce = Debounce(clock)

    debounce.saved()

    assert debounce.due_in() == 0.0


def test_a_second_save_within_a_second_waits_for_a_quarter_of_a_second_of_quiet(clock: ManualClock):
    debounce = Debounce(clock)
    debounce.saved()
    debounce.fired()

    clock.advance(0.5)
    debounce.saved()

    assert debounce.due_in() == pytest.approx(0.25)


def test_each_save_prolongs_the_wait_but_never_beyond_a_second(clock: ManualClock):
    debounce = Debounce(clock)
    debounce.saved()
    debounce.fired()
    clock.advance(0.5)
    debounce.saved()
    waited = 0.0
    while (due := debounce.due_in()) is not None and due > 0:
        clock.advance(0.125)
        waited += 0.125
        debounce.saved()

    assert waited == 1.0


def test_a_save_after_a_second_of_quiet_is_due_at_once_again(clock: ManualClock):
    debounce = Debounce(clock)
    debounce.saved()
    debounce.fired()

    clock.advance(1.0)
    debounce.saved()

    assert debounce.due_in() == 0.0


def test_nothing_is_due_after_the_reload_began(clock: ManualClock):
    debounce = Debounce(clock)
    debounce.saved()

    debounce.fired()

    assert debounce.due_in() is None


def reloads_of_a_hundred_saves_in_two_seconds(clock: ManualClock) -> int:
    debounce = Debounce(clock)
    reloads = 0

    def reload_if_due() -> int:
        if debounce.due_in() == 0.0:
            debounce.fired()
            return 1
        return 0

    for _ in range(100):
        debounce.saved()
        reloads += reload_if_due()
        clock.advance(0.02)
        reloads += reload_if_due()
    clock.advance(1.0)
    return reloads + reload_if_due()


def test_a_hundred_saves_in_two_seconds_make_three_reloads(clock: ManualClock):
    assert reloads_of_a_hundred_saves_in_two_seconds(clock) == 3


@pytest.mark.parametrize("bound", ["RELOAD_SETTLE_SECONDS", "RELOAD_WAIT_SECONDS_MAX"])
def test_a_debounce_that_waits_for_nothing_is_noticed(clock: ManualClock, monkeypatch: pytest.MonkeyPatch, bound: str):
    monkeypatch.setattr(module, bound, 0.0)

    assert reloads_of_a_hundred_saves_in_two_seconds(clock) > 3
