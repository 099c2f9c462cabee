"""What a host says and does when user code wants more memory than it may have. The kernel's part is played."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable

import pytest

from durable.host.memory_limit import MemoryLimit, data_bytes
from durable.limits import MEMORY_SPARE_BYTES, MIB


class Bench:
    def __init__(self) -> None:
        self.limits: list[int] = []
        self.later: list[Callable[[], None]] = []
        self.in_use = 10 * MIB
        self.given_up = 0
        self.limit = MemoryLimit(
            lambda _seconds, callback: self.later.append(callback), give_up=self.give_up, in_use=lambda: self.in_use
        )

    def give_up(self) -> None:
        self.given_up += 1


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: bench.limits.append(limits[0]))
    return bench


def test_a_failure_for_want_of_memory_says_how_much_there_is_and_makes_room_for_saying_so(bench: Bench) -> None:
    bench.limit.set(256)
    error = MemoryError()

    bench.limit.met(error)
    bench.limit.met(MemoryError())

    assert str(error) == (
        "the process of this object may take 256 MB, and this would be more. "
        "Take less at a time, or raise memory_mb in [dev]"
    )
    assert bench.limits == [256 * MIB, 256 * MIB + MEMORY_SPARE_BYTES]
    (tighten,) = bench.later
    tighten()
    assert bench.limits[2:] == [256 * MIB]
    assert bench.given_up == 0


def test_a_process_that_keeps_what_is_too_much_gives_up(bench: Bench) -> None:
    bench.limit.set(256)
    bench.limit.met(MemoryError())
    bench.in_use = 257 * MIB

    bench.later[0]()

    assert bench.given_up == 1


def test_without_a_limit_and_for_other_errors_nothing_happens(bench: Bench) -> None:
    bench.limit.set(0)
    error = MemoryError()
    bench.limit.met(error)
    assert str(error) == ""

    bench.limit.set(256)
    bench.limit.met(ValueError())
    assert bench.limits == [256 * MIB]
    assert bench.later == []


def test_an_error_that_says_something_goes_on_saying_it(bench: Bench) -> None:
    bench.limit.set(256)
    error = MemoryError("mine")

    bench.limit.met(error)

    assert str(error) == "mine"


def test_where_the_kernel_does_not_count_so_no_limit_is_set(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    bench.limit.set(256)

    assert bench.limits == []


def test_a_hard_limit_of_the_systems_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, 200 * MIB))

    bench.limit.set(256)

    assert bench.limits == [200 * MIB]


@pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")
def test_what_a_process_holds_is_known() -> None:
    before = data_bytes()
    held = bytearray(64 * MIB)

    assert data_bytes() - before >= len(held) - MIB
