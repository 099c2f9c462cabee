"""Stacks once, then counts."""

from __future__ import annotations

from typing import Any

from durable import limits
from durable.gateway.events import Event, RequestServed, UserCodeFailed
from durable.supervisor.events import ConstructionFailing, Reloaded
from durable.supervisor.repeated_failures import RepeatedFailures
from durable.wire.messages import ErrorReport, Frame


def failed(line: int = 3, message: str = "boom", *, method: str = "__init__", name: str = "a") -> UserCodeFailed:
    frames = [Frame("/app/main.py", line, "__init__", "raise", True), Frame("/lib/x.py", 1, "f", "", False)]
    report = ErrorReport("ValueError", message, frames=frames, label=f'Room "{name}"', method=method)
    return UserCodeFailed(report, "GET", "/")


class Bench:
    def __init__(self) -> None:
        self.told: list[Event] = []
        self.timers: list[tuple[float, Any, tuple[Any, ...]]] = []
        self.failures = RepeatedFailures(self.told.append, self.call_later)

    def call_later(self, seconds: float, callback: Any, *args: Any) -> Any:
        timer = (seconds, callback, args)
        self.timers.append(timer)
        return self

    def cancel(self) -> None:
        """As the timer of a handle that was given."""

    def tick(self) -> float:
        """The oldest timer fires; what it waited for in seconds."""
        seconds, callback, args = self.timers.pop(0)
        callback(*args)
        return seconds


def test_a_stack_is_shown_once_and_then_counted_at_growing_distances() -> None:
    bench = Bench()
    for _ in range(4):
        bench.failures(failed())
    assert bench.told == [failed()]
    assert bench.tick() == 1.0
    bench.failures(failed(message="another", name="b"))
    assert bench.tick() == 2.0
    assert bench.told[1:] == [
        ConstructionFailing('Room "a"', "ValueError", "boom", 3, 1.0),
        ConstructionFailing('Room "b"', "ValueError", "another", 1, 2.0),
    ]


def test_a_minute_of_silence_makes_the_next_one_news() -> None:
    bench = Bench()
    bench.failures(failed())
    silence = 0.0
    while bench.timers:
        silence += bench.tick()
    assert silence == 60.0
    bench.failures(failed())
    assert bench.told == [failed(), failed()]


def test_another_line_and_another_generation_are_news() -> None:
    bench = Bench()
    for event in (failed(3), failed(4), failed(3), Reloaded(2, 1.0), failed(3)):
        bench.failures(event)
    count = ConstructionFailing('Room "a"', "ValueError", "boom", 1, 1.0)
    assert bench.told == [failed(3), failed(4), count, Reloaded(2, 1.0), failed(3)]


def test_everything_else_passes_however_often() -> None:
    bench = Bench()
    events = [failed(method="fetch"), failed(method="fetch"), RequestServed("GET", "/", 500, 1.0)]
    for event in events:
        bench.failures(event)
    assert bench.told == events


def test_what_is_remembered_has_a_bound() -> None:
    bench = Bench()
    for line in range(limits.FAILURES_TOLD_MAX + 1):
        bench.failures(failed(line))
    bench.failures(failed(0))
    assert len(bench.told) == limits.FAILURES_TOLD_MAX + 2


def test_what_was_counted_is_told_at_the_end() -> None:
    bench = Bench()
    bench.failures(failed())
    bench.failures(failed())
    bench.failures.close()
    assert bench.told == [failed(), ConstructionFailing('Room "a"', "ValueError", "boom", 1, 1.0)]
