"""Failures as people may see them: without secrets, and each of them once, however many places it turns up in."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from durable.gateway.events import Event, UserCodeFailed
from durable.limits import REPORTS_REMEMBERED, REPORTS_REMEMBERED_SECONDS
from durable.supervisor.events import ReloadFailed
from durable.wire.messages import ErrorReport
from durable.wire.redaction import Redaction


class ShownFailures:
    """Remembers which failures were told, by the ids of their reports."""

    def __init__(self, redaction: Redaction, now: Callable[[], float] = time.monotonic) -> None:
        self._redaction = redaction
        self._now = now
        self._told: dict[str, float] = {}

    def shown(self, event: UserCodeFailed | ReloadFailed) -> Event | None:
        """The event to tell; None for a failure that was told a moment ago."""
        if type(event) is UserCodeFailed and self._was_told(event.report):
            return None
        return msgspec.structs.replace(event, report=self._redaction.report(event.report))

    def _was_told(self, report: ErrorReport) -> bool:
        # A constructor's failure is met by every event of its object, and counted elsewhere.
        if not report.id or report.method == "__init__":
            return False
        now = self._now()
        told = self._told.get(report.id)
        if told is not None and now - told < REPORTS_REMEMBERED_SECONDS:
            return True
        # Told again later: a stub that stays broken fails whoever asks it, and they wonder why.
        self._told[report.id] = now
        while len(self._told) > REPORTS_REMEMBERED:
            del self._told[next(iter(self._told))]
        return False
