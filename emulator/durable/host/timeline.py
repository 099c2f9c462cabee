"""Answers what this host remembers of its objects. Looking wakes nobody and changes nothing."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

import msgspec

from durable.actor.frames import plain
from durable.actor.timeline import OK, shortened
from durable.limits import TIMELINE_LEFT_ENTRIES_MAX
from durable.wire.messages import ActorKey, CallReply, Failed, HttpReply, Recall, TimelineLeft
from durable.wire.redaction import Redaction
from durable.wire.timeline import Entry, Remembered, Ring, between, sayable

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.host.host import Host


def recall(host: Host, question: Recall) -> None:
    if question.actor is None:
        rings = [ring for ring in host.timeline.all if question.namespace in ("", ring.key.namespace)]
    else:
        ring = host.timeline.get(question.actor.id)
        rings = [] if ring is None else [ring]
    host.send(CallReply(question.id, 0, msgspec.msgpack.encode(_remembered(rings, question, host.redaction))))


def leave_timeline(host: Host) -> None:
    """Hand the newest entries to the gateway, because this process ends."""
    rings = [ring for ring in host.timeline.all if ring.entries]
    rings.sort(key=lambda ring: ring.entries[-1][0], reverse=True)
    left: list[Remembered] = []
    for ring in rings:
        room = TIMELINE_LEFT_ENTRIES_MAX - len(left)
        if not room:
            break
        left += [_told(entry, ring.key, host.redaction) for entry in list(ring.entries)[-room:]]
    if left:
        host.send(TimelineLeft(msgspec.msgpack.encode(left)))


def record_asked(caller: Actor, began: float, label: str, what: str, answer: HttpReply | CallReply | Failed) -> None:
    """An object of another process has answered; one of this process writes it down with its own event."""
    outcome = shortened(f"{answer.error.type}: {answer.error.message}") if isinstance(answer, Failed) else OK
    caller.ring.append([caller.engine.clock.monotonic(), began, "asks", (label, what), outcome, None])


def _remembered(rings: list[Ring], question: Recall, redaction: Redaction) -> list[Remembered]:
    found: list[tuple[float, Entry, ActorKey]] = []
    for ring in rings:
        last = between(ring, question.since_us, question.until_us, question.entries_max)
        found += [(entry[0], entry, ring.key) for entry in last]
    latest = nlargest(question.entries_max, found, key=lambda each: each[0])
    return [_told(entry, key, redaction) for _, entry, key in latest]


def _told(entry: Entry, key: ActorKey, redaction: Redaction) -> Remembered:
    ended, began, kind, what, outcome, count = entry
    if kind == "asks":
        label, summary = what
        what = f"{label} {summary}"
    # Here and not where it is written down: half a character cannot cross the wire, and a secret should not.
    what, outcome = redaction.text(plain(what)), redaction.text(plain(outcome))
    if kind != "sql":
        count = count or None  # no rows are a fact, no storage operations are nothing to speak of
    duration_us = max(0, round((ended - began) * 1_000_000))
    return Remembered(int(ended * 1_000_000), duration_us, kind, sayable(what), sayable(outcome), count, key)
