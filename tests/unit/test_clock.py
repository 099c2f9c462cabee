"""The machine's clock as it is moved: wall time jumps and stands, elapsed time goes with it but never back."""

from __future__ import annotations

import time

import pytest

from durable.clock import AlarmClock, ClockSetting, SystemClock


class Machine:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_ms = 1_700_000_000_000
        self.seconds = 50.0
        monkeypatch.setattr(time, "time_ns", lambda: self.wall_ms * 1_000_000)
        monkeypatch.setattr(time, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(SystemClock, "monotonic", staticmethod(lambda: self.seconds))

    def go_on(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.seconds += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_an_offset_moves_wall_time_and_leaves_timeouts_alone(machine: Machine) -> None:
    clock = SystemClock(5000)

    assert clock.wall_ms() == machine.wall_ms + 5000
    assert clock.monotonic() == 50.0


def test_a_frozen_clock_stands_still_and_goes_on_from_where_it_stood(machine: Machine) -> None:
    clock = SystemClock()
    stood, elapsed = clock.wall_ms(), clock.elapsed()

    clock.stand_at(stood)
    machine.go_on(60)
    assert (clock.wall_ms(), clock.elapsed(), clock.offset_ms) == (stood, elapsed, -60_000)
    assert clock.monotonic() == 110.0

    clock.run_on()
    machine.go_on(1)
    assert (clock.wall_ms(), clock.elapsed()) == (stood + 1000, elapsed + 1)
    assert clock.setting == ClockSetting(-60_000)


def test_elapsed_time_is_moved_on_with_wall_time_and_never_back(machine: Machine) -> None:
    clock = SystemClock()
    alarms = AlarmClock(clock)

    clock.stand_at(machine.wall_ms + 7_200_000)
    assert alarms.monotonic() == 50.0 + 7200
    clock.set(ClockSetting())
    assert alarms.monotonic() == 50.0 + 7200
    assert alarms.wall_ms() == machine.wall_ms


def test_a_jump_of_the_machines_clock_is_no_elapsed_time(machine: Machine) -> None:
    clock = SystemClock(1000)

    machine.wall_ms += 86_400_000
    assert clock.elapsed() == 50.0
    assert clock.wall_ms() == machine.wall_ms + 1000


def test_only_an_untouched_setting_is_the_machines_time() -> None:
    assert ClockSetting().is_machine_time
    assert not ClockSetting(1).is_machine_time
    assert not ClockSetting(0, 5).is_machine_time
