"""Reports of what clients are refused: one line now and then, however often it happens. Knows no reason by itself."""

from __future__ import annotations

from collections.abc import Callable

from durable.clock import Clock
from durable.gateway.events import Event, OnEvent
from durable.limits import REFUSAL_REPORT_CHARACTERS_MAX, REFUSAL_REPORT_SECONDS


class RefusalReports:
    """For each reason at most one event in `REFUSAL_REPORT_SECONDS`; the next says how many went unmentioned.

    Whoever refuses is asked for nothing but a sentence by the network, and can be asked for a million of them.
    """

    def __init__(self, on_event: OnEvent, clock: Clock) -> None:
        self._on_event = on_event
        self._now = clock.monotonic
        self._kinds: dict[str, _Kind] = {}

    def report(self, reason: str, event: Callable[[int], Event]) -> None:
        """`event(unreported)` makes what is reported; there are as many reasons as places that call this."""
        kind = self._kinds.get(reason)
        if kind is None:
            kind = self._kinds[reason] = _Kind()
        now = self._now()
        if now < kind.next_report:
            kind.unreported += 1
            return
        kind.next_report = now + REFUSAL_REPORT_SECONDS
        unreported, kind.unreported = kind.unreported, 0
        self._on_event(event(unreported))


def excerpt(text: str) -> str:
    """A client's own words, short enough to report."""
    return text[:REFUSAL_REPORT_CHARACTERS_MAX]


class _Kind:
    __slots__ = ("next_report", "unreported")

    def __init__(self) -> None:
        self.next_report = float("-inf")
        self.unreported = 0
