"""Many due times over one alarm: what is due is called in order, at least once; what fails is called again, alone.

All that a schedule knows is one stored value and the alarm, so it goes with the object: into transactions, over
restarts, back to a bookmark. It asks of the storage `get`, `put`, `sync` and the alarm, in either spelling.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from durable.limits import ALARM_RETRIES_MAX, SCHEDULE_ENTRIES_MAX
from durable.schedule.entry import (
    Entries,
    ScheduleEntry,
    check_args,
    moment_ms,
    next_ms,
    rule_of,
    span_ms,
)
from durable.sdk.now import now

_KEY = "durable.schedule"
"""Where the entries are stored in the object."""

Method = str | Callable[..., Any]


class Schedule:
    """The due times of one object.

        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            self.schedule = Schedule(self)

        async def alarm(self, info):
            await self.schedule.run(info)

    Entries go by name: a second one of the same name takes the place of the first. The alarm is the schedule's from
    then on; the object sets none of its own.
    """

    def __init__(self, target: Any, storage: Any = None) -> None:
        """`target` has the methods to call; `storage` is `target.ctx.storage` unless it is given."""
        self._target = target
        self._storage = target.ctx.storage if storage is None else storage
        # Storage keeps other events out while it works, but not the tasks of the same event.
        self._lock = asyncio.Lock()

    # --- what is due ----------------------------------------------------------------------------------------------
    async def at(self, name: str, when: float | datetime, method: Method, *args: Any) -> ScheduleEntry:
        """Have `method(*args)` called once: at a datetime with a time zone, or at milliseconds since the epoch."""
        return await self._put(ScheduleEntry(name, moment_ms(when), self._named(method), args))

    async def after(self, name: str, delay: float | timedelta, method: Method, *args: Any) -> ScheduleEntry:
        """Have `method(*args)` called once, a timedelta or a number of seconds from now."""
        return await self._put(ScheduleEntry(name, _now_ms() + span_ms(delay), self._named(method), args))

    async def every(
        self, name: str, rule: str | float | timedelta, method: Method, *args: Any, time_zone: str = "UTC"
    ) -> ScheduleEntry:
        """Have `method(*args)` called again and again: by a cron expression of five fields, or a timedelta or seconds.

        `"30 8 * * MON-FRI"` in `time_zone`, with its summer time. To say the same once more changes nothing, so this
        may stand where it runs often. For times that went by, as while nothing ran, there is one call.
        """
        text, now_ms = rule_of(rule), _now_ms()
        due_ms = next_ms(text, time_zone, now_ms, now_ms)
        if due_ms is None:
            raise ValueError(f'"{text}" names no moment in the next fifty years')
        return await self._put(ScheduleEntry(name, due_ms, self._named(method), args, text, time_zone))

    async def cancel(self, name: str) -> bool:
        """Whether there was such an entry. A call that runs is not ended, but not tried again either."""
        async with self._lock:
            found = (stored := await self._read()).named(name)
            await self._write(stored if found is None else stored.without(found))
            return found is not None

    async def list(self) -> list[ScheduleEntry]:
        """All entries, the next one first."""
        async with self._lock:
            return [*(await self._read()).entries]

    # --- the alarm ------------------------------------------------------------------------------------------------
    async def run(self, info: Any = None) -> None:
        """To be called by `alarm(info)`: call what is due, in order, and set the alarm for what comes next.

        One that raises does not keep the others from being called; it is tried again by itself, six times, as an alarm
        would be. Its error is raised at the end, so that it is reported; of several, as an `ExceptionGroup`.
        """
        was_cut_short = int(_either(info, "retryCount", "retry_count", 0)) > 0
        now_ms = max(_now_ms(), int(_either(info, "scheduledTime", "scheduled_time", 0)))
        # What is put into the schedule during this run waits for the next: else it could go on for ever.
        due = [entry.number for entry in await self.list() if entry.wake_ms <= now_ms]
        errors: list[Exception] = []
        for number in due:
            entry = (await self._read()).numbered(number)
            if entry is None:
                continue  # an earlier call has cancelled or replaced it
            if was_cut_short:
                # What ended the last run from outside, `ctx.abort()` or the time limit, took its writes along. It may
                # be this call that does: so it counts as failed, with an alarm for what comes next, until it has ended.
                await self._settle(number, entry.failed(now_ms))
                await self._storage.sync()
            try:
                await self._call(entry)
            except Exception as error:
                error.add_note(_told(entry))
                errors.append(error)
                await self._settle(number, entry.failed(now_ms))
            else:
                await self._settle(number, entry.done(now_ms))
        async with self._lock:
            await self._arm(await self._read())
        if len(errors) > 1:
            raise ExceptionGroup(f"{len(errors)} scheduled calls failed", errors)
        if errors:
            # The alarm was set above, so the platform tries nothing again by itself; the entry's own retry does.
            raise errors[0]

    async def _call(self, entry: ScheduleEntry) -> None:
        method = getattr(self._target, entry.method, None)
        if method is None:
            owner = type(self._target).__name__
            raise AttributeError(f'{owner} has no method "{entry.method}", which its schedule calls for "{entry.name}"')
        result = method(*entry.args)
        if inspect.isawaitable(result):
            await result

    async def _settle(self, number: int, left: ScheduleEntry | None) -> None:
        async with self._lock:
            stored = await self._read()
            entry = stored.numbered(number)
            if entry is not None:
                await self._write(stored.without(entry, left))

    # --- storage --------------------------------------------------------------------------------------------------
    async def _put(self, entry: ScheduleEntry) -> ScheduleEntry:
        check_args(entry.method, entry.args)
        async with self._lock:
            stored = await self._read()
            old = stored.named(entry.name)
            if old is not None and entry.rule and old.same_rule(entry):
                await self._arm(stored)
                return old
            if old is None and len(stored.entries) >= SCHEDULE_ENTRIES_MAX:
                raise ValueError(
                    f"a schedule has at most {SCHEDULE_ENTRIES_MAX} entries; "
                    f'cancel some before "{entry.name}", or have an object of its own for each thing to be done'
                )
            stored, added = stored.numbering(entry)
            await self._write(stored.without(old, added))
            return added

    async def _read(self) -> Entries:
        text = await self._storage.get(_KEY)
        return Entries.from_text(text) if text else Entries()

    async def _write(self, stored: Entries) -> None:
        await self._storage.put(_KEY, stored.to_text())
        await self._arm(stored)

    async def _arm(self, stored: Entries) -> None:
        """Set the alarm for what is due first. After every change: that mends an alarm that was lost, too."""
        if stored.entries:
            await self._alarm("setAlarm", "set_alarm", min(entry.wake_ms for entry in stored.entries))
        else:
            await self._alarm("deleteAlarm", "delete_alarm")

    async def _alarm(self, camel: str, snake: str, *args: Any) -> None:
        await _either(self._storage, camel, snake)(*args)

    def _named(self, method: Method) -> str:
        name = method if isinstance(method, str) else getattr(method, "__name__", "")
        if not callable(getattr(self._target, name, None)):
            owner = type(self._target).__name__
            raise TypeError(f"a schedule calls methods of its object: {owner} has no method {name or method!r}")
        return name


def _either(holder: Any, camel: str, snake: str, default: Any = None) -> Any:
    """An attribute under the platform's name, which ours answers too, or else under ours."""
    found = getattr(holder, camel, None)
    return getattr(holder, snake, default) if found is None else found


def _told(entry: ScheduleEntry) -> str:
    tries = ALARM_RETRIES_MAX + 1
    text = f'scheduled as "{entry.name}" for {entry.due:%Y-%m-%d %H:%M:%S} UTC, run {entry.failures + 1} of {tries}'
    if entry.failures + 1 < tries:
        return text
    return text + ("; the next one is at its next time" if entry.rule else "; it was dropped")


def _now_ms() -> int:
    return round(now().timestamp() * 1000)
