"""Alarms and cron triggers that are due."""

from __future__ import annotations

from durable.wire.messages.message import ActorKey, Message


class AlarmDue(Message, frozen=True, tag=70):
    """Gateway → host: run the alarm that the index says is due at `scheduled_ms`; the actor's own row decides."""

    id: int
    actor: ActorKey
    scheduled_ms: int
    retry_count: int
    forced: bool = False
    """Run what the row says even when it is not due yet: a developer asked for it."""


class AlarmReply(Message, frozen=True, tag=71):
    """Host → gateway: what became of `AlarmDue`.

    `outcome`: "done", "failed" (user code raised: counts as a try), "stale" (the row says another time or none),
    "missing" (the class has no handler: the alarm is dropped). `alarm_ms` is what the actor's row says now.
    `replaced` is True when the handler itself set or deleted the alarm, which replaces a retry. Of a failure,
    `counted` is False when user code had no part in it, and `retried` is False when user code wants no retry.
    """

    id: int
    epoch: int
    outcome: str
    alarm_ms: int | None
    replaced: bool = False
    counted: bool = True
    retried: bool = True


class AlarmGiveUp(Message, frozen=True, tag=72):
    """Gateway → host: no more retries; clear the row if it still says `scheduled_ms`."""

    id: int
    actor: ActorKey
    scheduled_ms: int


class RunScheduled(Message, frozen=True, tag=73):
    """Gateway → host: run the worker's `scheduled`. Answered with `CallReply`: False when it called `no_retry()`."""

    id: int
    cron: str
    scheduled_ms: int
    actor: ActorKey | None = None
