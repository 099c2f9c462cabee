"""What the developer reads of constructors that fail again and again: each stack once, then how often.

An actor that cannot be constructed fails every event, and many actors of a class fail alike. Two failures are the same
when they have the same type and come from the same line; messages may differ, as they often name the object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from durable.gateway.events import Event, OnEvent, UserCodeFailed
from durable.limits import FAILURES_TOLD_MAX, FAILURES_TOLD_SECONDS
from durable.supervisor.events import ConstructionFailing, Reloaded, ReloadFailed
from durable.supervisor.shown_failures import ShownFailures
from durable.wire.messages import ErrorReport

CallLater = Callable[..., asyncio.TimerHandle]

_SECONDS_MAX = 60.0
"""Longest time between two lines of a count, and the silence after which the next failure is shown in full again."""


class _Told(Struct):
    """One failure whose stack was shown."""

    report: ErrorReport
    """The last one."""
    count: int = 0
    """Since the last line."""
    seconds: float = FAILURES_TOLD_SECONDS
    quiet_seconds: float = 0.0
    timer: asyncio.TimerHandle | None = None


class RepeatedFailures:
    """Passes events on, but of failing constructors only what is new."""

    def __init__(
        self, on_event: OnEvent, call_later: CallLater | None = None, shown: ShownFailures | None = None
    ) -> None:
        """`call_later` is that of the loop that runs when the first failure comes, if it is not given.

        `shown` is asked what of a report may be told.
        """
        self._on_event = self._first = on_event
        self._shown = shown
        self._call_later = call_later
        self._told: dict[tuple[str, str, int], _Told] = {}

    def __call__(self, event: Event) -> None:
        if type(event) is UserCodeFailed or type(event) is ReloadFailed:
            told = event if self._shown is None else self._shown.shown(event)
            if told is None:
                return
            event = told
            if type(event) is UserCodeFailed and event.report.method == "__init__":
                self._failed(event)
                return
        if type(event) is Reloaded:
            # Another program: what fails in it is news.
            self.close()
        self._on_event(event)

    def listen(self, listener: OnEvent | None) -> None:
        """Have what is passed on told to one more; None: to nobody else any more, at no cost for anybody."""
        first = self._first
        if listener is None:
            self._on_event = first
            return

        def both(event: Event) -> None:
            first(event)
            listener(event)

        self._on_event = both

    def close(self) -> None:
        """Tell what was counted, and forget everything."""
        for told in self._told.values():
            self._tell(told)
            if told.timer is not None:
                told.timer.cancel()
        self._told.clear()

    def _failed(self, event: UserCodeFailed) -> None:
        key = _key(event.report)
        told = self._told.get(key)
        if told is not None:
            told.count += 1
            told.report = event.report
            return
        if len(self._told) >= FAILURES_TOLD_MAX:
            self._forget(next(iter(self._told)))
        told = self._told[key] = _Told(event.report)
        self._on_event(event)
        self._look_later(key, told)

    def _look_later(self, key: tuple[str, str, int], told: _Told) -> None:
        call_later = self._call_later or asyncio.get_running_loop().call_later
        told.timer = call_later(told.seconds, self._look, key, told)

    def _look(self, key: tuple[str, str, int], told: _Told) -> None:
        if told.count:
            told.quiet_seconds = 0.0
            self._tell(told)
            told.seconds = min(told.seconds * 2, _SECONDS_MAX)
        else:
            told.quiet_seconds += told.seconds
            if told.quiet_seconds >= _SECONDS_MAX:
                self._forget(key)
                return
        self._look_later(key, told)

    def _tell(self, told: _Told) -> None:
        if told.count:
            report = told.report
            self._on_event(ConstructionFailing(report.label, report.type, report.message, told.count, told.seconds))
            told.count = 0

    def _forget(self, key: tuple[str, str, int]) -> None:
        told = self._told.pop(key)
        self._tell(told)
        if told.timer is not None:
            told.timer.cancel()


def _key(report: ErrorReport) -> tuple[str, str, int]:
    # The innermost frame of the user's: a caller's frames come before it, and an object may be asked in many places.
    frames = [frame for frame in report.frames if frame.user] or report.frames[-1:]
    return (report.type, frames[-1].file, frames[-1].line) if frames else (report.type, report.message, 0)
