"""Failures are told once and without secrets."""

from __future__ import annotations

from durable.gateway.events import Event, UserCodeFailed
from durable.limits import REPORTS_REMEMBERED, REPORTS_REMEMBERED_SECONDS
from durable.supervisor.events import ReloadFailed
from durable.supervisor.repeated_failures import RepeatedFailures
from durable.supervisor.shown_failures import ShownFailures
from durable.wire.messages import ErrorReport
from durable.wire.redaction import Redaction


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[Event] = []
        redaction = Redaction()
        redaction.learn({"API_KEY": "sk-live-1234"}, ["API_KEY"])
        self.events = RepeatedFailures(self.told.append, shown=ShownFailures(redaction, lambda: self.now))

    def fail(self, number: str, message: str = "no", method: str = "say") -> int:
        """Returns how many events were told by then."""
        self.events(UserCodeFailed(ErrorReport("ValueError", message, method=method, id=number), "GET", "/"))
        return len(self.told)


def test_a_failure_that_turns_up_in_two_places_is_told_once() -> None:
    bench = Bench()

    assert [bench.fail("1.1"), bench.fail("1.1"), bench.fail("1.2")] == [1, 1, 2]


def test_failures_without_an_id_are_all_told() -> None:
    bench = Bench()

    assert [bench.fail(""), bench.fail("")] == [1, 2]


def test_a_failure_that_is_met_again_later_is_told_again() -> None:
    bench = Bench()
    bench.fail("1.1")
    bench.now = REPORTS_REMEMBERED_SECONDS

    assert bench.fail("1.1") == 2


def test_only_the_last_failures_are_remembered() -> None:
    bench = Bench()
    for number in range(REPORTS_REMEMBERED + 1):
        bench.fail(f"1.{number}")

    assert bench.fail("1.0") == REPORTS_REMEMBERED + 2


def test_no_event_tells_a_secret() -> None:
    bench = Bench()
    bench.fail("1.1", "bad key sk-live-1234")
    bench.events(ReloadFailed(ErrorReport("ValueError", "bad key sk-live-1234"), 0))

    assert "sk-live" not in repr(bench.told)
    assert repr(bench.told).count("«API_KEY»") == 2


def test_without_redaction_the_secret_would_be_seen() -> None:
    told: list[Event] = []
    RepeatedFailures(told.append)(UserCodeFailed(ErrorReport("ValueError", "sk-live-1234"), "GET", "/"))

    assert "sk-live" in repr(told)
