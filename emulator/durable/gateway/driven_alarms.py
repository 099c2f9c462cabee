"""The alarm scheduler in the developer's hand: one alarm now, or all of a moment, while somebody else moves the clock.

Left alone it is the scheduler and nothing more. Held, it starts nothing by itself: whoever advances the clock stands at
a moment, has what is due run to its end, and asks for the next one.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from durable.clock import AlarmClock, SystemClock
from durable.errors import ActorError
from durable.gateway.alarm_heap import Alarm
from durable.gateway.alarm_scheduler import AlarmIndex, AlarmScheduler, Links
from durable.gateway.events import OnEvent
from durable.limits import ALARM_WINDOW_SECONDS
from durable.wire.messages import ActorKey, AlarmDue, AlarmReply

_POLL_SECONDS = 1.0
"""How often a scheduler whose clock stands still, or that is held, looks whether that is still so."""


class AlarmState(Struct, frozen=True):
    """`state` is "waiting", "retrying" or "running"; `retry_count` counts failures of user code."""

    state: str
    retry_count: int


class DrivenAlarms(AlarmScheduler):
    """Implements `durable.gateway.time_control.Due`."""

    def __init__(
        self,
        index: AlarmIndex,
        clock: SystemClock,
        router: Links,
        *,
        on_event: OnEvent,
        class_name: Callable[[str], str],
        jitter: random.Random,
    ) -> None:
        super().__init__(index, AlarmClock(clock), router, on_event=on_event, class_name=class_name, jitter=jitter)
        self._emulator_clock = clock
        self.runs = 0
        """Alarms that had their run; unlike `fired`, without those that turned out not to be due."""
        self._held = False
        self._looking = asyncio.Lock()
        """Two looks into the index at once would each take the window of the other for its own."""

    # --- what the scheduler does, unless it is held -------------------------------------------------------------------
    async def step(self) -> float:
        async with self._looking:
            return _POLL_SECONDS if self._held else await super().step()

    def _start_due(self) -> None:
        if not self._held:
            super()._start_due()

    def _report(self, alarm: Alarm, outcome: str) -> None:
        self.runs += 1
        super()._report(alarm, outcome)

    def _seconds_to_next(self) -> float:
        # Nothing comes nearer while time stands still: what is due in a millisecond must not be looked at every one.
        return _POLL_SECONDS if self._emulator_clock.is_frozen else super()._seconds_to_next()

    # --- driven -------------------------------------------------------------------------------------------------------
    def hold(self) -> None:
        """Start nothing but by `run_due` until `release`."""
        self._held = True

    def release(self) -> None:
        self._held = False
        self._wake.set()

    def clock_moved(self) -> None:
        self._wake.set()

    async def run_due(self) -> None:
        """Run what is due by now, wait for its end, and again for what that made due: but no actor for ever.

        An alarm that sets itself for now is left when all that still runs has run at this moment before: time goes on
        first. Background work that handlers leave behind is not waited for.
        """
        ran: set[str] = set()
        while True:
            super()._start_due()
            if not self._runs:
                return
            actors = {alarm.actor.id for alarm in self._runs.values()}
            await asyncio.wait(list(self._runs))
            # Done callbacks run a turn later than whoever waits: they take the runs out of the table.
            await asyncio.sleep(0)
            if actors <= ran:
                return
            ran |= actors

    async def next_due_ms(self, until_ms: int) -> int | None:
        """When an alarm is due next, at `until_ms` at the latest, retries included; what runs is not due."""
        async with self._looking:
            while True:
                next_ms = self._next_ms()
                if next_ms is not None and next_ms < self._read_until_ms:
                    break
                if self._read_until_ms > until_ms or not (self._complete or self._heap.roomy):
                    break
                await self._read_ahead(until_ms + 1 - round(ALARM_WINDOW_SECONDS * 1000))
        return next_ms if next_ms is not None and next_ms <= until_ms else None

    def _next_ms(self) -> int | None:
        now_ms = self._clock.wall_ms()
        seconds = self._heap.seconds_to_next(now_ms, self._clock.monotonic())
        # Rounded first: a day in floating seconds is a little more than its milliseconds.
        return None if seconds is None else now_ms + max(0, math.ceil(round(seconds * 1000, 3)))

    # --- one alarm ----------------------------------------------------------------------------------------------------
    def state_of(self, actor: ActorKey) -> AlarmState:
        """What memory knows of an alarm that is in the index."""
        alarm = self._heap.get(actor)
        if alarm is None:
            return AlarmState("waiting", 0)
        state = "running" if alarm.running else "retrying" if alarm.retrying else "waiting"
        return AlarmState(state, alarm.retry_count)

    async def fire(self, actor: ActorKey, scheduled_ms: int, seconds_max: float) -> str:
        """Run an alarm now, due or not; returns its outcome as `AlarmReply` names it.

        Or "busy" when it was running already, "running" when it has not ended after `seconds_max` (it goes on), and
        "interrupted" when its host was lost; it is tried again then, as any alarm is.
        """
        alarm = self._heap.begin(actor, scheduled_ms)
        if alarm is None:
            return "busy"
        self._fired += 1
        self._retried += alarm.retry_count > 0
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str] = loop.create_future()
        task = loop.create_task(self._fire_now(alarm, outcome), name=f"alarm {actor.id}")
        self._runs[task] = alarm
        task.add_done_callback(self._ended)
        either: list[asyncio.Future[Any]] = [outcome, task]
        await asyncio.wait(either, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
        return outcome.result() if outcome.done() else "running"

    async def _fire_now(self, alarm: Alarm, outcome: asyncio.Future[str]) -> None:
        try:
            link = await self._router.link_for(alarm.actor)
            due = partial(
                AlarmDue, actor=alarm.actor, scheduled_ms=alarm.scheduled_ms, retry_count=alarm.retry_count, forced=True
            )
            reply = await link.request(due)
            self._settle(alarm, link, reply)
            outcome.set_result(reply.outcome if isinstance(reply, AlarmReply) else "failed")
        except ActorError:
            self._retry_uncounted(alarm)
            outcome.set_result("interrupted")
