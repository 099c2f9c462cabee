"""What keeps an actor in memory, and for how long it may: one look for the sweep, another for whoever asks why.

    running event, accept()ed socket, stub elsewhere       for as long as they are there
    timer, call, wait of a task (`wait_until` is one)      15 minutes each, from compatibility date 2026-10-01
    outgoing socket                                        15 minutes each

Platform: docs, "Lifecycle of a Durable Object" and the changelog of 2026-10-01. A task has no counterpart there: what
it waits for is what pins, so its window begins anew with each wait. Nothing here costs an event anything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from durable.limits import PIN_SECONDS_MAX, PINS_TOLD_MAX

if TYPE_CHECKING:
    from durable.actor.actor import Actor

_WINDOWS_FROM = "2026-10-01"
"""Compatibility date of the platform's flag `durable_object_io_tasks_prevent_eviction`. Its local tool, which we follow
for earlier dates, keeps an object for as long as anything is pending."""

_RUNNING_TOLD_MAX = 3
"""Running events that one sentence names."""

WAIT_UNTIL, BODY, TIMER, SECTION = "wait_until", "response body", "timer", "block_concurrency_while"
"""Names of tasks that the engine makes for an actor's code."""

_TASKS = {
    WAIT_UNTIL: "wait_until task",
    BODY: "streamed response body",
    TIMER: "due timer",
    SECTION: "critical section",
}


class Pin(Struct, frozen=True):
    """`Pin("timer", "timer due in 14 s at main.py:12", place="main.py:12", due_seconds=14.0)`"""

    kind: str
    """"event", "waiting event", "timer", "call", "socket", "connection", "stub", "commit", "task", or a task's name."""
    text: str
    count: int = 1
    place: str = ""
    seconds: float | None = None
    """How long it has been there, where that is known."""
    due_seconds: float | None = None

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"kind": self.kind, "text": self.text, "count": self.count}
        if self.place:
            found["place"] = self.place
        for name in ("seconds", "due_seconds"):
            value = getattr(self, name)
            if value is not None:
                found[name] = round(value, 3)
        return found


class Waits:
    """Since when each task of an actor has been waiting for what it waits for, as seen by the looks at it."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[asyncio.Task[Any], tuple[object, float]] = {}

    def since(self, task: asyncio.Task[Any], now: float) -> float:
        waiter = getattr(task, "_fut_waiter", None)
        known = self._seen.get(task)
        if known is not None and known[0] is waiter:
            return known[1]
        self._seen[task] = waiter, now
        return now

    def forget(self, task: asyncio.Task[Any]) -> None:
        self._seen.pop(task, None)


def is_pinned(actor: Actor) -> bool:
    """Whether anything keeps the actor in memory now. For the sweep: it says nothing in words."""
    now = actor.engine.clock.monotonic()
    # First, whatever else there is: each look may be the one that sees a task begin to wait.
    if _tasks(actor, now) or actor.running_events or not actor.is_between_turns or actor.outbox:
        return True
    return bool(_timers(actor, now) or _connections(actor, now)) or _standing(actor) > 0 or actor.exports > 0


def pins_of(actor: Actor) -> list[Pin]:
    """What keeps the actor in memory, in words; empty when it can be evicted."""
    now = actor.engine.clock.monotonic()
    found = list(_event_pins(actor, now))
    found += _bounded([_task_pin(actor, task) for task in _tasks(actor, now)], "task")
    loop_now = actor.engine.loop.time()
    timers = sorted(_timers(actor, now), key=lambda timer: timer.when())
    found += _bounded(
        [_timer_pin(actor, timer.place, timer.when() - loop_now, now - timer.started) for timer in timers], "timer"
    )
    for url, since in _connections(actor, now):
        # Without its query, which may hold a token.
        text = f"outgoing socket to {url.partition('?')[0]}, {_seconds(now - since)}"
        found.append(Pin("connection", text, seconds=now - since))
    standing = _standing(actor)
    if standing:
        found.append(Pin("socket", f"{standing} accept()ed socket{'s' * (standing != 1)}", standing))
    if actor.exports:
        text = f"{actor.exports} stub{'s' * (actor.exports != 1)} of its functions or RpcTargets held elsewhere"
        found.append(Pin("stub", text, actor.exports))
    if not found and (not actor.is_between_turns or actor.outbox):
        found.append(Pin("commit", "a commit, or a tool that uses its file"))
    return found


def call_pins(actor: Actor, calls: list[tuple[str, float]]) -> list[Pin]:
    """Of calls to other actors that have no answer: `("increment of Counter "b"", since)`. Only those that count."""
    now = actor.engine.clock.monotonic()
    return [
        Pin("call", f"pending call: {what}, {_seconds(now - since)}", seconds=now - since)
        for what, since in calls
        if now - since < PIN_SECONDS_MAX or not _windowed(actor)
    ]


# --- what there is ------------------------------------------------------------------------------------------------
def _windowed(actor: Actor) -> bool:
    # A project without a date runs like a new one.
    return (actor.engine.compatibility_date or _WINDOWS_FROM) >= _WINDOWS_FROM


def _timers(actor: Actor, now: float) -> list[Any]:
    if not actor.timers:
        return []
    oldest = now - PIN_SECONDS_MAX if _windowed(actor) else float("-inf")
    return [timer for timer in actor.timers if timer.started > oldest]


def _tasks(actor: Actor, now: float) -> list[asyncio.Task[Any]]:
    """Those that belong to no running event and still count."""
    loose = actor.loose_tasks()
    if not loose or not _windowed(actor):
        return loose
    return [task for task in loose if now - actor.waits.since(task, now) < PIN_SECONDS_MAX]


def _connections(actor: Actor, now: float) -> list[tuple[str, float]]:
    return [(url, since) for url, since in actor.connections.values() if now - since < PIN_SECONDS_MAX]


def _standing(actor: Actor) -> int:
    return sum(not record.hibernatable for record in actor.engine.sockets.of(actor.key.id))


# --- in words -----------------------------------------------------------------------------------------------------
def _event_pins(actor: Actor, now: float) -> Iterator[Pin]:
    running: list[str] = []
    first, waiting, longest = "", 0, 0.0
    for event, since in actor.delivered_events():
        if event.task is None:
            waiting += 1
            continue
        place = _place_of(actor, event.task)
        first = first or place
        longest = max(longest, now - since)
        running.append(f"{event.label}, {_seconds(now - since)}{_at(place)}")
    if running:
        more = "; …" if len(running) > _RUNNING_TOLD_MAX else ""
        text = (
            f"{len(running)} running event{'s' * (len(running) != 1)}: {'; '.join(running[:_RUNNING_TOLD_MAX])}{more}"
        )
        yield Pin("event", text, len(running), first, longest)
    if waiting:
        yield Pin("waiting event", f"{waiting} event{'s' * (waiting != 1)} waiting to begin", waiting)


def _task_pin(actor: Actor, task: asyncio.Task[Any]) -> Pin:
    name = task.get_name()
    place = _place_of(actor, task)
    due = _sleep_left(actor, task)
    text = _TASKS.get(name, "task") + _at(place)
    if due is not None:
        text += f", asleep for another {_seconds(due)}"
    return Pin(name if name in _TASKS else "task", text, place=place, due_seconds=due)


def _timer_pin(actor: Actor, place: str, due: float, seconds: float) -> Pin:
    file, _, line = place.rpartition(":")
    shown = f"{actor.engine.own_file(file) or os.path.basename(file)}:{line}"
    return Pin(
        "timer", f"timer due in {_seconds(due)} at {shown}", place=shown, seconds=seconds, due_seconds=max(0.0, due)
    )


def _bounded(pins: list[Pin], noun: str) -> list[Pin]:
    if len(pins) <= PINS_TOLD_MAX:
        return pins
    left = len(pins) - PINS_TOLD_MAX
    return [*pins[:PINS_TOLD_MAX], Pin(noun, f"{left} more {noun}{'s' * (left != 1)}", left)]


def _seconds(value: float) -> str:
    return f"{max(0.0, value):.0f} s"


def _at(place: str) -> str:
    return f" at {place}" if place else ""


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Of what the task is suspended in, from the outside in."""
    waits: Any = task.get_coro()
    while waits is not None:
        # `cr_…` of coroutines, `ag_…` of asynchronous generators, `gi_…` of old ones; a driver wraps the task's own.
        waits = getattr(waits, "wrapped", waits)
        for frame_name, next_name in (("cr_frame", "cr_await"), ("ag_frame", "ag_await"), ("gi_frame", "gi_yieldfrom")):
            frame = getattr(waits, frame_name, None)
            if frame is not None:
                yield frame
                waits = getattr(waits, next_name, None)
                break
        else:
            return


def _place_of(actor: Actor, task: asyncio.Task[Any]) -> str:
    """`main.py:12`: the innermost line of the user's own that the task waits in; empty when there is none."""
    place = ""
    for frame in _frames(task):
        file = actor.engine.own_file(frame.f_code.co_filename)
        if file is not None:
            place = f"{file}:{frame.f_lineno}"
    return place


def _sleep_left(actor: Actor, task: asyncio.Task[Any]) -> float | None:
    """Seconds until `asyncio.sleep` lets the task go on; None when it waits for something else."""
    for frame in _frames(task):
        if frame.f_code is asyncio.sleep.__code__:
            handle = frame.f_locals.get("h")
            return max(0.0, handle.when() - actor.engine.loop.time()) if handle is not None else None
    return None
