"""What an alarm handler is told about its run."""

from __future__ import annotations

from durable.sdk.aliases import CamelCase


class AlarmInfo(CamelCase):
    """`scheduled_time` is in milliseconds since the epoch, the original one on retries; `retry_count` is 0 at first."""

    __slots__ = ("is_retry", "retry_count", "scheduled_time")

    def __init__(self, retry_count: int, scheduled_time: int) -> None:
        self.retry_count = retry_count
        self.is_retry = retry_count > 0
        self.scheduled_time = scheduled_time

    def __repr__(self) -> str:
        return f"AlarmInfo(retry_count={self.retry_count}, scheduled_time={self.scheduled_time})"
