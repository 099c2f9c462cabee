"""Stops SQL that keeps its process from everything else: SQLite asks now and then, while a statement runs."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

from durable.clock import Clock
from durable.limits import SQL_TURN_SECONDS_MAX, SQL_TURN_STEPS

REASON = f"the SQL of one turn may take {SQL_TURN_SECONDS_MAX:g} seconds; do less at a time, or wait in between"


class TurnWatch:
    """The time of a turn begins with SQLite's first question in it, and ends when the loop runs something else.

    So a statement that is done before the first question costs nothing, and neither does a turn.
    """

    def __init__(self, clock: Clock, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """`call_soon` runs something on the actor's loop, after the turn that is running."""
        self._clock = clock
        self._call_soon = call_soon
        self._thread = get_ident()
        self._began: float | None = None

    def install(self, connection: Any) -> None:
        connection.set_progress_handler(self._is_too_long, SQL_TURN_STEPS, id=self)

    def _is_too_long(self) -> bool:
        if get_ident() != self._thread:
            # A tool's statement, in a thread and with a time limit of its own.
            return False
        now = self._clock.monotonic()
        if self._began is None:
            self._began = now
            self._call_soon(self._turn_is_over)
        return now - self._began > SQL_TURN_SECONDS_MAX

    def _turn_is_over(self) -> None:
        self._began = None
