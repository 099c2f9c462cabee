"""How long to wait before a host that died is started again. Pure arithmetic: knows no process, never waits."""

from __future__ import annotations

from durable.limits import RESTART_FORGIVEN_SECONDS, RESTART_SECONDS_FIRST, RESTART_SECONDS_MAX


class Backoff:
    """Delays of 0, 0.1, 0.2, 0.4 … 5 seconds; a host that lived long enough earns the next one a fresh start.

    The first death costs no delay at all: it is usually a single accident, and clients are waiting.
    """

    def __init__(self) -> None:
        self.deaths = 0
        """Deaths in a row, none of them forgiven."""

    def died(self, lived_seconds: float) -> float:
        """Count one death and return the seconds to wait before the replacement is started."""
        if lived_seconds >= RESTART_FORGIVEN_SECONDS:
            self.deaths = 0
        self.deaths += 1
        if self.deaths == 1:
            return 0.0
        # The exponent is bounded first: 2.0 ** 2000 would overflow after an hour of a crash loop.
        return min(RESTART_SECONDS_FIRST * 2.0 ** min(self.deaths - 2, 16), RESTART_SECONDS_MAX)

    def forget(self) -> None:
        """New code is new luck: the next death counts as the first."""
        self.deaths = 0
