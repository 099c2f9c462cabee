"""What `scheduled` of a worker is told about its run."""

from __future__ import annotations

from typing import Final

from durable.sdk.aliases import CamelCase


class ScheduledEvent(CamelCase):
    """`cron` is the expression as it stands in `[triggers]`; `scheduled_time` is in milliseconds since the epoch."""

    __slots__ = ("cron", "retries", "scheduled_time")

    type: Final = "scheduled"

    def __init__(self, cron: str, scheduled_time: int) -> None:
        self.cron = cron
        self.scheduled_time = scheduled_time
        self.retries = True

    def no_retry(self) -> None:
        """Say that a failure is not to be tried again; nothing is, here."""
        self.retries = False

    def __repr__(self) -> str:
        return f"ScheduledEvent(cron={self.cron!r}, scheduled_time={self.scheduled_time})"
