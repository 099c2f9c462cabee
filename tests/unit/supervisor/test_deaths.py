"""Hosts that die: counted, told once per cause, replaced more and more slowly."""

from __future__ import annotations

from typing import Any

from durable.gateway.events import Event
from durable.supervisor.deaths import Deaths
from durable.supervisor.events import HostDied


def ignored(_event: Event) -> None:
    return


class FakeHost:
    def __init__(self, death: str, *, shard: int = 0, lived_seconds: float = 0.0) -> None:
        self.pid, self.shard = 4711, shard
        self.death = death
        self.stack = None
        self.lived_seconds = lived_seconds


def noted(deaths: Deaths, *hosts: FakeHost) -> list[tuple[float, bool]]:
    found: list[Any] = list(hosts)
    return [deaths.died(host) for host in found]


def test_the_same_cause_is_told_once_and_waits_ever_longer():
    events: list[Event] = []
    deaths = Deaths(1, events.append)

    crash, killed = FakeHost("exited with code 7"), FakeHost("was killed")

    assert noted(deaths, crash, crash, killed, crash) == [(0.0, True), (0.1, False), (0.2, True), (0.4, False)]
    assert [event.cause for event in events if isinstance(event, HostDied)] == ["exited with code 7", "was killed"]
    assert deaths.count == 4


def test_a_shard_that_served_for_long_is_news_again():
    deaths = Deaths(1, ignored)
    noted(deaths, FakeHost("was killed"), FakeHost("was killed"))

    assert noted(deaths, FakeHost("was killed", lived_seconds=3600)) == [(0.0, True)]


def test_other_code_begins_anew_and_a_replacement_that_dies_counts():
    deaths = Deaths(2, ignored)
    noted(deaths, FakeHost("was killed", shard=1))
    assert deaths.died_loading(1) == 0.1
    assert deaths.died_loading(0) == 0.0

    deaths.forget()

    assert noted(deaths, FakeHost("was killed", shard=1)) == [(0.0, True)]
