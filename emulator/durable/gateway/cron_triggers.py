"""Has the worker's `scheduled` run when its cron expressions say so. What it does there is the host's.

A trigger leaves nothing on the disk: it is a moment of the clock. What fell due while nothing ran, or while the machine
slept, is not made up, as on the platform; whoever needs every time keeps a `Schedule` in an object.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from msgspec import Struct

from durable import values
from durable.clock import Clock
from durable.cron import Cron
from durable.errors import ActorError
from durable.gateway.events import CronRan, GatewayFault, HostLog, OnEvent, UserCodeFailed
from durable.gateway.link import HostLink
from durable.limits import CRON_HANDLER_SECONDS, CRON_LATE_SECONDS_MAX, CRON_RUNS_MAX
from durable.wire.messages import ActorKey, CallReply, Failed, RunScheduled

_POLL_SECONDS = 1.0
"""The wall clock is looked at this often, so that a jump of it is noticed; nothing sleeps towards an absolute time."""


class Links(Protocol):
    """What the triggers need of the router."""

    async def link_for(self, actor: ActorKey | None) -> HostLink: ...


class _Trigger(Struct):
    cron: Cron
    next_ms: int | None


class CronStatistics(Struct, frozen=True):
    """`left_out` counts what fell due and was not run: too many ran already, or it was noticed too late."""

    triggers: int
    running: int
    ran: int
    failed: int
    left_out: int


class CronOutcome(Struct, frozen=True):
    """How a run ended; `retries` is False when the handler called `no_retry()`."""

    ok: bool
    retries: bool = True


class CronTriggers:
    """`start` and `stop` it; `step` is one look at the clock. A `Due` of the time control."""

    def __init__(self, clock: Clock, router: Links, *, on_event: OnEvent) -> None:
        self._clock = clock
        self._router = router
        self._on_event = on_event
        self._triggers: list[_Trigger] = []
        self._seen_ms = clock.wall_ms()
        self._held = False
        self._runs: set[asyncio.Task[CronOutcome]] = set()
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._ran = self._failed = self._left_out = 0

    # --- life ---------------------------------------------------------------------------------------------------------
    def set_expressions(self, expressions: Sequence[str]) -> None:
        """What `[triggers]` says now; those that stand there again keep their next time."""
        now_ms = self._clock.wall_ms()
        known = {trigger.cron.expression: trigger for trigger in self._triggers}
        self._triggers = [known.get(each) or _trigger(each, now_ms) for each in expressions]
        self._wake.set()

    def start(self) -> None:
        """From now on; nothing that was due before."""
        self._reckon()
        self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="cron triggers")

    async def stop(self) -> None:
        """Start nothing more. What runs is not waited for; the host ends it as it does requests."""
        tasks: list[asyncio.Task[Any]] = [*self._runs]
        if self._loop_task is not None:
            tasks.append(self._loop_task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop_task = None

    async def _run(self) -> None:
        while True:
            seconds = self.step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            self._wake.clear()

    def step(self) -> float | None:
        """Start what is due; returns how many seconds to wait at most before the next step, None: until woken."""
        now_ms = self._clock.wall_ms()
        if now_ms < self._seen_ms:
            self._reckon()
        self._seen_ms = now_ms
        if not self._held:
            self._start_due(now_ms)
        next_ms = self._next_ms()
        return None if next_ms is None else min(_POLL_SECONDS, max(0.001, (next_ms - now_ms) / 1000))

    def statistics(self) -> CronStatistics:
        return CronStatistics(len(self._triggers), len(self._runs), self._ran, self._failed, self._left_out)

    # --- for whoever moves the clock ----------------------------------------------------------------------------------
    async def next_due_ms(self, until_ms: int) -> int | None:
        next_ms = self._next_ms()
        return next_ms if next_ms is not None and next_ms <= until_ms else None

    async def run_due(self) -> None:
        self._start_due(self._clock.wall_ms())
        if self._runs:
            await asyncio.wait(self._runs)

    def clock_moved(self) -> None:
        if not self._held:
            # Set, and not advanced: what lies between was not lived through.
            self._reckon()
        self._wake.set()

    def hold(self) -> None:
        self._held = True

    def release(self) -> None:
        self._held = False
        self._wake.set()

    # --- running ------------------------------------------------------------------------------------------------------
    async def fire(self, cron: str, scheduled_ms: int | None = None) -> CronOutcome:
        """Run `scheduled` now, by hand, whether or not `[triggers]` has the expression."""
        return await self._scheduled(cron, self._clock.wall_ms() if scheduled_ms is None else scheduled_ms)

    def _reckon(self) -> None:
        self._seen_ms = self._clock.wall_ms()
        self._triggers = [_trigger(trigger.cron.expression, self._seen_ms) for trigger in self._triggers]

    def _next_ms(self) -> int | None:
        return min((trigger.next_ms for trigger in self._triggers if trigger.next_ms is not None), default=None)

    def _start_due(self, now_ms: int) -> None:
        due = [trigger for trigger in self._triggers if trigger.next_ms is not None and trigger.next_ms <= now_ms]
        for trigger in sorted(due, key=lambda trigger: trigger.next_ms or 0):
            scheduled_ms, trigger.next_ms = trigger.next_ms or 0, trigger.cron.next_ms(now_ms)
            late_seconds = (now_ms - scheduled_ms) / 1000
            expression = trigger.cron.expression
            if late_seconds > CRON_LATE_SECONDS_MAX:
                self._leave_out(expression, f"was due {late_seconds:.0f} s ago and is not made up")
            elif len(self._runs) >= CRON_RUNS_MAX:
                self._leave_out(expression, f"is left out: {CRON_RUNS_MAX} runs of scheduled() have not ended")
            else:
                task = asyncio.get_running_loop().create_task(
                    self._scheduled(expression, scheduled_ms), name=f"cron {expression}"
                )
                self._runs.add(task)
                task.add_done_callback(self._runs.discard)

    def _leave_out(self, expression: str, why: str) -> None:
        self._left_out += 1
        self._on_event(HostLog("warning", f'cron "{expression}" {why}'))

    async def _scheduled(self, cron: str, scheduled_ms: int) -> CronOutcome:
        outcome = CronOutcome(ok=False)
        try:
            async with asyncio.timeout(CRON_HANDLER_SECONDS):
                outcome = await self._ask(cron, scheduled_ms)
        except (ActorError, TimeoutError) as error:
            text = str(error) or f"scheduled() took longer than {CRON_HANDLER_SECONDS:g} seconds and was ended"
            self._on_event(HostLog("error", text, f'cron "{cron}"'))
        except Exception:
            self._on_event(GatewayFault(traceback.format_exc()))
        self._ran += 1
        self._failed += not outcome.ok
        self._on_event(CronRan(cron, scheduled_ms, "done" if outcome.ok else "failed"))
        return outcome

    async def _ask(self, cron: str, scheduled_ms: int) -> CronOutcome:
        link = await self._router.link_for(None)
        reply = await link.request(partial(RunScheduled, cron=cron, scheduled_ms=scheduled_ms))
        if isinstance(reply, Failed):
            self._on_event(UserCodeFailed(reply.error, "scheduled", cron))
            return CronOutcome(ok=False)
        if not isinstance(reply, CallReply):
            raise TypeError(f"a run of scheduled was answered with {type(reply).__name__}")
        return CronOutcome(ok=True, retries=values.decode(reply.payload) is not False)


def _trigger(expression: str, now_ms: int) -> _Trigger:
    cron = Cron.trigger(expression)
    return _Trigger(cron, cron.next_ms(now_ms))
