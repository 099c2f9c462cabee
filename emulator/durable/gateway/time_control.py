"""The emulator's clock in the developer's hand: freeze, resume, reset, and advance through everything that falls due.

The clock is set here and nowhere else: kept in the state first, then told to every host before anything of the new
time goes down the same channels. What falls due is found and run by those who know (`Due`); what runs is user code.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from durable.clock import ClockSetting, SystemClock
from durable.errors import UserInputError
from durable.gateway.events import ClockMoved, Event, GatewayFault
from durable.limits import ADVANCE_KEPT_SECONDS, ALARM_MS_MAX
from durable.wire.messages import ClockSet


class Due(Protocol):
    """Something that happens at moments of wall time."""

    async def next_due_ms(self, until_ms: int) -> int | None:
        """When something is due next, at `until_ms` at the latest; None when nothing is."""
        ...

    async def run_due(self) -> None:
        """Run what is due by now, and return when it has ended; what it makes due at this moment may be left over."""
        ...

    def clock_moved(self) -> None:
        """Look at the clock: it was set."""
        ...

    def hold(self) -> None:
        """Start nothing but by `run_due` until `release`."""
        ...

    def release(self) -> None: ...


class Link(Protocol):
    """What is needed of a host's link."""

    def on_lost(self, callback: Callable[[], None]) -> None: ...

    @property
    def send(self) -> Callable[[ClockSet], None]: ...


class Advance(Struct):
    """One move of the clock, as far as it is. `alarms` counts what ran."""

    from_ms: int
    to_ms: int
    now_ms: int
    alarms: int = 0
    ended: bool = False
    failure: str = ""
    """Why it did not get to its end, "" while it has not ended or when it did."""


class TimeControl:
    """Owns the setting of `clock`. At most one advance at a time."""

    def __init__(
        self,
        clock: SystemClock,
        due: Sequence[Due],
        *,
        keep: Callable[[ClockSetting], None],
        fired: Callable[[], int],
        on_event: Callable[[Event], None],
    ) -> None:
        """`keep` stores a setting durably, `fired` counts the runs of alarms so far."""
        self.clock = clock
        self._due = due
        self._keep = keep
        self._fired = fired
        self._on_event = on_event
        self._links: set[Link] = set()
        self._kept_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.advancing: Advance | None = None
        """The last advance; it goes on unless it has ended."""

    def listen(self, link: Link) -> None:
        """Tell a host the time from now on; before it loads anything."""
        setting = self.clock.setting
        if not setting.is_machine_time:
            link.send(ClockSet(setting.offset_ms, setting.frozen_ms))
        self._links.add(link)
        link.on_lost(lambda: self._links.discard(link))

    @property
    def is_advancing(self) -> bool:
        return self._task is not None and not self._task.done()

    # --- setting the clock --------------------------------------------------------------------------------------------
    async def freeze(self) -> None:
        """Have time stand still; alarms do not come due."""
        await self.stop_advance()
        if not self.clock.is_frozen:
            self._set(ClockSetting(0, self.clock.wall_ms()))

    async def resume(self) -> None:
        """Have time go on from where it stands."""
        await self.stop_advance()
        if self.clock.is_frozen:
            self._set(self.clock.running())

    async def reset(self) -> None:
        """Back to the machine's time."""
        await self.stop_advance()
        if not self.clock.setting.is_machine_time:
            self._set(ClockSetting())

    def _set(self, setting: ClockSetting) -> None:
        self._keep(setting)
        self._apply(setting)
        self._on_event(ClockMoved(self.clock.wall_ms(), self.clock.offset_ms, self.clock.is_frozen))

    def _apply(self, setting: ClockSetting) -> None:
        """In one step of the loop: nobody here acts on a time that the hosts were not told."""
        self.clock.set(setting)
        # Warm hosts and those that drain are told as well: each of them may be asked something next.
        for link in self._links:
            link.send(ClockSet(setting.offset_ms, setting.frozen_ms))
        for due in self._due:
            due.clock_moved()

    # --- advancing ----------------------------------------------------------------------------------------------------
    async def next_due_ms(self) -> int | None:
        """When anything is due next, however late; None when nothing is."""
        moments = [await due.next_due_ms(ALARM_MS_MAX) for due in self._due]
        return min((moment for moment in moments if moment is not None), default=None)

    def begin_advance(self, *, duration_ms: int = 0, to_ms: int | None = None) -> Advance:
        """Start to move the clock; `wait_advance` follows it. Raises `UserInputError` for what cannot be reached."""
        now_ms = self.clock.wall_ms()
        target_ms = now_ms + duration_ms if to_ms is None else max(now_ms, to_ms)
        if target_ms < now_ms:
            raise UserInputError("the clock is advanced, not set back", fix="durable alarms reset")
        if target_ms > ALARM_MS_MAX:
            raise UserInputError("that is after the year 2189, which alarms do not reach", fix="advance by less")
        if self.is_advancing:
            raise UserInputError(
                "the clock is being advanced already", fix="wait for that, or end it: durable alarms resume"
            )
        self.advancing = advance = Advance(now_ms, target_ms, now_ms)
        self._task = asyncio.get_running_loop().create_task(self._advance(advance), name="advance the clock")
        return advance

    async def wait_advance(self, seconds: float | None = None) -> None:
        """Wait for the end of the advance, or for so many seconds."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    async def stop_advance(self) -> None:
        """Leave the clock where the advance has brought it; what runs is not ended."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _advance(self, advance: Advance) -> None:
        before, fired = self.clock.setting, self._fired()
        was_frozen = self.clock.is_frozen
        after: ClockSetting | None = None
        for due in self._due:
            due.hold()
        try:
            moment: int | None = advance.from_ms
            while moment is not None:
                self._stand_at(moment, was_frozen)
                advance.now_ms = moment
                for due in self._due:
                    await due.run_due()
                    advance.alarms = self._fired() - fired
                moment = await self._next(advance)
            self._stand_at(advance.to_ms, was_frozen)
            advance.now_ms = advance.to_ms
            if not was_frozen:
                # As if no time had gone by meanwhile: two hours are two hours, however long their alarms took.
                after = ClockSetting(before.offset_ms + advance.to_ms - advance.from_ms)
        except asyncio.CancelledError:
            advance.failure = "it was stopped"
            raise
        except Exception as error:
            advance.failure = f"{type(error).__name__}: {error}"
            self._on_event(GatewayFault(traceback.format_exc()))
        finally:
            advance.ended = True
            advance.alarms = self._fired() - fired
            try:
                # Before they are released: what is due in the moments that the advance itself took is still due.
                self._set(after or (self.clock.setting if was_frozen else self.clock.running()))
            finally:
                for due in self._due:
                    due.release()

    async def _next(self, advance: Advance) -> int | None:
        """The next moment to stand at, None when there is none before the end."""
        moments = [await due.next_due_ms(advance.to_ms) for due in self._due]
        next_ms = min((moment for moment in moments if moment is not None), default=None)
        if next_ms is None or next_ms > advance.to_ms:
            return None
        # What is due at the same moment again (an alarm that sets itself for now) would keep time from going on.
        return max(next_ms, advance.now_ms + 1) if advance.now_ms < advance.to_ms else None

    def _stand_at(self, moment_ms: int, is_frozen: bool) -> None:
        setting = ClockSetting(0, moment_ms)
        # Not at every alarm, for it costs a sync of the disk: a crash now may bring back a slightly earlier time.
        if self.clock.monotonic() - self._kept_at >= ADVANCE_KEPT_SECONDS:
            self._kept_at = self.clock.monotonic()
            self._keep(setting if is_frozen else self._running_at(moment_ms))
        self._apply(setting)

    def _running_at(self, moment_ms: int) -> ClockSetting:
        return ClockSetting(moment_ms - self.clock.wall_ms() + self.clock.offset_ms)
