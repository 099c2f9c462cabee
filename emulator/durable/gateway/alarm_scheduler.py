"""Wakes actors for their alarms: when, how many at a time, and again after a failure. What an alarm does is the host's.

The row in an object's own file is the truth; the index and the heap here only point at it. So the scheduler may ask too
early and be told the real time, but it never sleeps past the truth: earlier alarms reach the index, and through it
`alarm_indexed`, before the object commits them. Only the near future is in memory; a start reads the index, no object.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import Protocol

from msgspec import Struct

from durable.clock import Clock
from durable.errors import ActorError
from durable.failpoints import failpoint
from durable.gateway.alarm_heap import Alarm, AlarmHeap
from durable.gateway.events import AlarmFired, GatewayFault, HostLog, OnEvent
from durable.gateway.link import HostLink, Reply
from durable.limits import (
    ALARM_HOST_RETRY_DOUBLINGS_MAX,
    ALARM_HOST_RETRY_SECONDS,
    ALARM_RETRIES_MAX,
    ALARM_RETRY_DOUBLINGS_MAX,
    ALARM_RETRY_SECONDS,
    ALARM_RUNS_MAX,
    ALARM_WINDOW_SECONDS,
    ALARMS_WAITING_MAX,
)
from durable.storage.index import IndexRow
from durable.wire.messages import ActorKey, AlarmDue, AlarmGiveUp, AlarmReply, Failed

_POLL_SECONDS = 1.0
"""The wall clock is looked at this often, so that a jump of it is noticed; nothing sleeps towards an absolute time."""

_HOST_FAULTS = frozenset({"retryable", "overloaded"})
"""Flags of a failure that user code has no part in."""


class AlarmIndex(Protocol):
    """What the scheduler needs of the index."""

    async def due(self, namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]: ...
    def correct_alarm(self, actor: ActorKey, expected_ms: int, alarm_ms: int | None) -> None: ...


class Links(Protocol):
    """What the scheduler needs of the router."""

    async def link_for(self, actor: ActorKey | None) -> HostLink: ...


class AlarmStatistics(Struct, frozen=True):
    """`fired` counts runs, `retried` those that were not the first, `abandoned` alarms whose retries were used up."""

    waiting: int
    running: int
    fired: int
    retried: int
    abandoned: int


Pause = Callable[[asyncio.Event, float], Awaitable[None]]


async def _pause(wake: asyncio.Event, seconds: float) -> None:
    # Not wait_for: up to Python 3.11 it swallows a cancel that arrives as the event does, and stop() waits for ever.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()


class AlarmScheduler:
    """`start` and `stop` it; `step` is one look at the clock, for whoever owns the time."""

    def __init__(
        self,
        index: AlarmIndex,
        clock: Clock,
        router: Links,
        *,
        on_event: OnEvent,
        class_name: Callable[[str], str],
        jitter: random.Random,
        pause: Pause = _pause,
    ) -> None:
        """`class_name` names a namespace for humans; `pause` waits for an event, at most some seconds."""
        self._index = index
        self._clock = clock
        self._router = router
        self._on_event = on_event
        self._class_name = class_name
        self._jitter = jitter
        self._pause = pause
        self._heap = AlarmHeap(ALARMS_WAITING_MAX)
        self._namespaces: tuple[str, ...] = ()
        self._read_until_ms = 0  # alarms before this moment are in the heap, or were when the heap had room
        self._complete = True  # False when the heap had no room for all of the window
        self._is_reading = False
        self._news: set[tuple[str, str]] = set()  # actors that were heard of while the index was being read
        self._over: dict[tuple[str, str], int] = {}  # alarms that ended since the last read; the index may lag behind
        self._runs: dict[asyncio.Task[None], Alarm] = {}
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._fired = self._retried = self._abandoned = 0

    # --- life ------------------------------------------------------------------------------------------------------
    def start(self, namespaces: Iterable[str]) -> None:
        self.set_namespaces(namespaces)
        self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="alarm scheduler")

    def set_namespaces(self, namespaces: Iterable[str]) -> None:
        """Which indexes to read; to be told again when a migration added or removed a class."""
        self._namespaces = tuple(namespaces)
        self._read_until_ms = 0
        self._wake.set()

    def forget_namespaces(self, namespaces: Collection[str]) -> None:
        """Their classes are gone: nothing of them runs, waits or is tried again."""
        for task in [task for task, alarm in self._runs.items() if alarm.actor.namespace in namespaces]:
            task.cancel()
        self._heap.forget_namespaces(namespaces)

    def hosts_changed(self) -> None:
        """A host was attached: what waited because there was none need not wait any longer."""
        if self._heap.hasten(self._clock.monotonic()):
            self._wake.set()

    async def stop(self) -> None:
        """Stop waking actors. Runs that were underway are not waited for: their alarms are still in the index."""
        tasks = [*self._runs, *([self._loop_task] if self._loop_task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop_task = None

    async def _run(self) -> None:
        while True:
            try:
                seconds = await self.step()
            except Exception:
                # An index that cannot be read must not end all alarms: it is read again at the next look.
                self._on_event(GatewayFault(traceback.format_exc()))
                seconds = _POLL_SECONDS
            await self._pause(self._wake, seconds)
            self._wake.clear()

    async def step(self) -> float:
        """Read ahead if needed and start what is due; returns how many seconds to wait at most before the next step."""
        now_ms = self._clock.wall_ms()
        if self._must_read(now_ms):
            await self._read_ahead(now_ms)
        self._start_due()
        return self._seconds_to_next()

    def statistics(self) -> AlarmStatistics:
        running = len(self._runs)
        return AlarmStatistics(len(self._heap) - running, running, self._fired, self._retried, self._abandoned)

    # --- what the index writer tells ---------------------------------------------------------------------------------
    def alarm_put(self, actor: ActorKey) -> None:
        alarm = self._heap.get(actor)
        if alarm is not None:
            alarm.host_spoke = True

    def alarm_indexed(self, actor: ActorKey, alarm_ms: int | None) -> None:
        """An object's alarm was written durably; one inside the window is in memory from now on."""
        alarm = self._heap.get(actor)
        if alarm is not None and alarm.running:
            # The reply underway may be older than this; when it comes, the earlier of the two is looked at.
            alarm.noted_ms = alarm_ms
        elif alarm is not None and alarm.scheduled_ms == alarm_ms:
            return  # perhaps waiting for a retry: that goes on
        else:
            self._arm(actor, alarm_ms)

    # --- the window ------------------------------------------------------------------------------------------------
    def _arm(self, actor: ActorKey, alarm_ms: int | None) -> None:
        self._heap.forget(actor)
        if self._is_reading:
            self._news.add((actor.namespace, actor.id))
        if alarm_ms is not None:
            self._over.pop((actor.namespace, actor.id), None)
        if alarm_ms is None or alarm_ms >= self._read_until_ms:
            return
        if self._heap.full:
            cut_ms = self._heap.shed()
            if cut_ms is not None:
                self._shrink_window(cut_ms)
            if self._heap.full or alarm_ms >= self._read_until_ms:
                self._shrink_window(alarm_ms)
                return
        self._heap.arm(actor, alarm_ms)
        self._wake.set()

    def _shrink_window(self, until_ms: int) -> None:
        self._read_until_ms = min(self._read_until_ms, until_ms)
        self._complete = False

    def _must_read(self, now_ms: int) -> bool:
        """Half a window before its end; at once after the clock jumped ahead; and as soon as a full heap has room."""
        if not self._complete:
            return self._heap.roomy
        return now_ms + ALARM_WINDOW_SECONDS * 500 >= self._read_until_ms

    async def _read_ahead(self, now_ms: int) -> None:
        until_ms = now_ms + round(ALARM_WINDOW_SECONDS * 1000)
        # Before the read, not after: an alarm that is written meanwhile is inside the window and is told to us.
        self._read_until_ms, self._complete, self._is_reading = until_ms, True, True
        over, self._over = self._over, {}
        found: list[tuple[str, IndexRow]] = []
        cut_ms = until_ms
        try:
            for namespace in self._namespaces:
                # At most that many are known already, so a page of this size always brings new ones if there are any.
                rows = await self._index.due(namespace, until_ms, ALARMS_WAITING_MAX)
                found += [(namespace, row) for row in rows]
                if len(rows) == ALARMS_WAITING_MAX and rows[-1].alarm_ms is not None:
                    cut_ms = min(cut_ms, rows[-1].alarm_ms)
        except BaseException:
            self._read_until_ms = 0
            raise
        finally:
            self._is_reading = False
            news, self._news = self._news, set()
        found.sort(key=lambda entry: entry[1].alarm_ms or 0)
        for namespace, row in found:
            actor = ActorKey(namespace, row.id, row.name)
            key = (namespace, row.id)
            if (
                namespace not in self._namespaces
                or row.alarm_ms is None
                or self._heap.get(actor) is not None
                or key in news
                or over.get(key) == row.alarm_ms
            ):
                continue  # what was read is older than what is known
            if self._heap.full:
                cut_ms = min(cut_ms, row.alarm_ms)
                break
            self._heap.arm(actor, row.alarm_ms)
        if cut_ms < until_ms:
            self._shrink_window(cut_ms)

    # --- running ---------------------------------------------------------------------------------------------------
    def _start_due(self) -> None:
        now_ms, monotonic = self._clock.wall_ms(), self._clock.monotonic()
        while len(self._runs) < ALARM_RUNS_MAX:
            alarm = self._heap.pop_due(now_ms, monotonic)
            if alarm is None:
                return
            self._fired += 1
            self._retried += alarm.retry_count > 0 or alarm.host_failures > 0
            task = asyncio.get_running_loop().create_task(self._fire(alarm), name=f"alarm {alarm.actor.id}")
            self._runs[task] = alarm
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._runs[task]
        if not task.cancelled():
            # A backlog goes on without waiting for the next look at the clock.
            self._start_due()
            self._wake.set()

    def _seconds_to_next(self) -> float:
        if len(self._runs) >= ALARM_RUNS_MAX:
            return _POLL_SECONDS
        seconds = self._heap.seconds_to_next(self._clock.wall_ms(), self._clock.monotonic())
        return _POLL_SECONDS if seconds is None else min(_POLL_SECONDS, max(0.001, seconds))

    async def _fire(self, alarm: Alarm) -> None:
        try:
            link = await self._router.link_for(alarm.actor)
            failpoint("alarm.due")
            alarm.began_ms = self._clock.wall_ms()
            due = partial(AlarmDue, actor=alarm.actor, scheduled_ms=alarm.scheduled_ms, retry_count=alarm.retry_count)
            self._settle(alarm, link, await link.request(due))
        except ActorError:
            self._retry_uncounted(alarm)
        except Exception:
            self._on_event(GatewayFault(traceback.format_exc()))
            self._retry_uncounted(alarm)

    def _settle(self, alarm: Alarm, link: HostLink, reply: Reply) -> None:
        if isinstance(reply, Failed):
            # The actor could not even be asked. When that is the host's fault it does not count as a try.
            if _HOST_FAULTS.intersection(reply.error.flags):
                self._retry_uncounted(alarm)
            else:
                self._report(alarm, "failed")
                self._retry_counted(alarm, link)
            return
        if not isinstance(reply, AlarmReply):
            raise TypeError(f"an alarm was answered with {type(reply).__name__}")
        if reply.outcome == "stale":
            self._follow(alarm, reply.alarm_ms)
            if not alarm.host_spoke:
                # Else the same row would wake the object again at every look.
                self._index.correct_alarm(alarm.actor, alarm.scheduled_ms, reply.alarm_ms)
            return
        failpoint("alarm.answered")
        self._report(alarm, reply.outcome)
        if reply.outcome != "failed" or reply.replaced:
            self._follow(alarm, None if reply.outcome == "missing" else reply.alarm_ms)
            return
        if reply.alarm_ms is not None:
            # What ran is what the row says; the tries that follow are its own.
            alarm.scheduled_ms = reply.alarm_ms
        if not reply.retried:
            self._give_up(alarm, link)
        elif reply.counted:
            self._retry_counted(alarm, link)
        else:
            self._retry_uncounted(alarm)

    def _follow(self, alarm: Alarm, alarm_ms: int | None) -> None:
        """The run is over: arm what the object's row says.

        What was indexed during the run may be newer than the reply, which waited for the disk. So the earlier of the
        two counts; a host that is asked too early says so.
        """
        if len(self._over) < ALARMS_WAITING_MAX:
            self._over[alarm.actor.namespace, alarm.actor.id] = alarm.scheduled_ms
        known = [moment for moment in (alarm_ms, alarm.noted_ms) if moment is not None]
        self._arm(alarm.actor, min(known, default=None))

    def _retry_counted(self, alarm: Alarm, link: HostLink) -> None:
        alarm.host_failures = 0
        if alarm.retry_count < ALARM_RETRIES_MAX:
            doubled = ALARM_RETRY_SECONDS * (1 << min(alarm.retry_count, ALARM_RETRY_DOUBLINGS_MAX))
            self._retry(alarm, alarm.retry_count + 1, self._spread(doubled))
            return
        self._abandoned += 1
        label = f'{self._class_name(alarm.actor.namespace)} "{alarm.actor.name or alarm.actor.id}"'
        self._on_event(HostLog("error", f"alarm() failed {ALARM_RETRIES_MAX + 1} times; the alarm was dropped", label))
        self._give_up(alarm, link)

    def _give_up(self, alarm: Alarm, link: HostLink) -> None:
        failpoint("alarm.given_up")
        # Not answered: should the host die over it, the row and the index still have the alarm, and it is tried anew.
        link.send(AlarmGiveUp(0, alarm.actor, alarm.scheduled_ms))
        self._follow(alarm, None)

    def _retry_uncounted(self, alarm: Alarm) -> None:
        doubled = ALARM_HOST_RETRY_SECONDS * (1 << min(alarm.host_failures, ALARM_HOST_RETRY_DOUBLINGS_MAX))
        alarm.host_failures += 1
        self._retry(alarm, alarm.retry_count, self._spread(doubled))

    def _retry(self, alarm: Alarm, retry_count: int, seconds: float) -> None:
        if alarm.noted_ms is not None and alarm.noted_ms != alarm.scheduled_ms:
            # Somebody moved the alarm during the run: the retry, which learns what the row says, must not be later.
            seconds = min(seconds, max(0, alarm.noted_ms - self._clock.wall_ms()) / 1000)
        self._heap.retry(alarm, retry_count, self._clock.monotonic() + seconds)

    def _spread(self, seconds: float) -> float:
        """Up to a quarter more, as workerd's alarm-scheduler.c++: what failed together is not tried again together."""
        return seconds * (1 + self._jitter.uniform(0, 0.25))

    def _report(self, alarm: Alarm, outcome: str) -> None:
        actor = alarm.actor
        late_ms = 0 if alarm.retry_count else max(0, alarm.began_ms - alarm.scheduled_ms)
        class_name = self._class_name(actor.namespace)
        self._on_event(
            AlarmFired(class_name, actor.name, alarm.scheduled_ms, outcome, alarm.retry_count, late_ms, actor.id)
        )
