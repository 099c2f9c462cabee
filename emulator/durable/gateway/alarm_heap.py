"""The alarms of the near future, at most one per actor, in order. Knows two clocks' readings and nothing that runs.

First runs are due on wall time, because users name a moment; retries are due on monotonic time, because they wait for a
duration, which a jump of the wall clock must not stretch.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection

from msgspec import Struct

from durable.wire.messages import ActorKey


class Alarm(Struct):
    """One actor's alarm. `retry_count` counts failures of user code, `host_failures` those in a row that are none."""

    actor: ActorKey
    scheduled_ms: int
    retry_count: int = 0
    host_failures: int = 0
    retrying: bool = False
    running: bool = False
    began_ms: int = 0
    """When its last run began."""
    noted_ms: int | None = None
    """What the index was told during the run."""
    host_spoke: bool = False
    """Whether the host said anything about this alarm during the run, durable or not."""
    turn: int = 0
    """Entries of the heaps that carry another number are out of date."""


_Entry = tuple[float, int, Alarm]  # (when, turn, alarm): turns are unique, so alarms are never compared


class AlarmHeap:
    """Bounded by `alarms_max`, running and retrying ones included."""

    def __init__(self, alarms_max: int) -> None:
        self._alarms_max = alarms_max
        self._alarms: dict[tuple[str, str], Alarm] = {}
        self._firsts: list[_Entry] = []
        self._retries: list[_Entry] = []
        self._last_turn = 0

    def __len__(self) -> int:
        return len(self._alarms)

    @property
    def full(self) -> bool:
        return len(self._alarms) >= self._alarms_max

    @property
    def roomy(self) -> bool:
        """Whether it is worth reading more."""
        return len(self._alarms) <= self._alarms_max // 2

    def get(self, actor: ActorKey) -> Alarm | None:
        return self._alarms.get((actor.namespace, actor.id))

    def arm(self, actor: ActorKey, scheduled_ms: int) -> None:
        """A first run at that wall time, in place of whatever the actor had."""
        alarm = Alarm(actor, scheduled_ms)
        self._alarms[actor.namespace, actor.id] = alarm
        self._push(self._firsts, scheduled_ms, alarm)

    def retry(self, alarm: Alarm, retry_count: int, monotonic: float) -> None:
        """The same alarm again, at that monotonic time."""
        alarm.retry_count = retry_count
        alarm.retrying = True
        alarm.running = False
        self._alarms[alarm.actor.namespace, alarm.actor.id] = alarm
        self._push(self._retries, monotonic, alarm)

    def begin(self, actor: ActorKey, scheduled_ms: int) -> Alarm | None:
        """The actor's alarm, now running though it is not due; None when it runs already."""
        alarm = self.get(actor)
        if alarm is not None and alarm.running:
            return None
        if alarm is None or alarm.scheduled_ms != scheduled_ms:
            alarm = Alarm(actor, scheduled_ms)
        alarm.turn = 0
        alarm.running, alarm.noted_ms, alarm.host_spoke = True, None, False
        self._alarms[actor.namespace, actor.id] = alarm
        return alarm

    def hasten(self, monotonic: float) -> bool:
        """Have retries that user code has no part in be due now; False when there are none."""
        waiting = [alarm for _, turn, alarm in self._retries if turn == alarm.turn and alarm.host_failures]
        for alarm in waiting:
            self._push(self._retries, monotonic, alarm)
        return bool(waiting)

    def forget(self, actor: ActorKey) -> None:
        alarm = self._alarms.pop((actor.namespace, actor.id), None)
        if alarm is not None:
            alarm.turn = 0

    def forget_namespaces(self, namespaces: Collection[str]) -> None:
        for namespace, identity in [key for key in self._alarms if key[0] in namespaces]:
            self._alarms.pop((namespace, identity)).turn = 0

    def pop_due(self, wall_ms: int, monotonic: float) -> Alarm | None:
        """The next alarm whose moment has come, now running; retries go first, they have waited once already."""
        for heap, now in ((self._retries, monotonic), (self._firsts, wall_ms)):
            self._drop_outdated(heap)
            if heap and heap[0][0] <= now:
                alarm = heapq.heappop(heap)[2]
                alarm.turn = 0
                alarm.running = True
                alarm.noted_ms = None
                alarm.host_spoke = False
                return alarm
        return None

    def seconds_to_next(self, wall_ms: int, monotonic: float) -> float | None:
        """Time to the next alarm, below 0 when it is overdue; None when there is none."""
        self._drop_outdated(self._firsts)
        self._drop_outdated(self._retries)
        seconds: list[float] = []
        if self._firsts:
            seconds.append((self._firsts[0][0] - wall_ms) / 1000)
        if self._retries:
            seconds.append(self._retries[0][0] - monotonic)
        return min(seconds, default=None)

    def shed(self) -> int | None:
        """Forget the later half of the first runs that wait; returns the moment of the earliest one forgotten."""
        waiting = sorted(entry for entry in self._firsts if entry[1] == entry[2].turn)
        kept, shed = waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]
        self._firsts = kept  # a sorted list is a heap
        for _, _, alarm in shed:
            self.forget(alarm.actor)
        return int(shed[0][0]) if shed else None

    def _push(self, heap: list[_Entry], when: float, alarm: Alarm) -> None:
        self._last_turn += 1
        alarm.turn = self._last_turn
        heapq.heappush(heap, (when, alarm.turn, alarm))
        # Re-arming leaves outdated entries behind; most go when they reach the top, the rest here.
        if len(heap) > 2 * self._alarms_max:
            heap[:] = sorted(entry for entry in heap if entry[1] == entry[2].turn)

    def _drop_outdated(self, heap: list[_Entry]) -> None:
        while heap and heap[0][1] != heap[0][2].turn:
            heapq.heappop(heap)
