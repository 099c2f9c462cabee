"""Where one host stands in a debugger: at a prompt of pdb, or with an editor attached. Knows no terminal.

While a developer looks at a host that stands still, no deadline of ours counts for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from durable.gateway.events import OnEvent
from durable.gateway.link import HostLink
from durable.limits import DEBUGGER_STOPS_MAX
from durable.supervisor.events import DebuggerContinued, DebuggerStopped
from durable.wire.messages import DebuggerEntered, DebuggerLeft, DebuggerListening


class HostDebugger:
    """What the host said of its debuggers, and how many clients of debugpy we lead to it."""

    def __init__(
        self, link: HostLink, pid: int, on_event: OnEvent, set_silent: Callable[[bool], None] | None = None
    ) -> None:
        """`set_silent` has other hosts serve whom this one keeps waiting."""
        self.port = 0
        """Where debugpy listens in the host, 0 while it does not."""
        self.clients = 0
        """Editors attached; counted by `debug_ports`."""
        self._pid = pid
        self._on_event = on_event
        self._set_silent = set_silent or _nobody_else_serves
        self._stops: set[int] = set()
        self._continued = asyncio.Event()
        self._forgotten = False
        link.on(DebuggerEntered, self._entered)
        link.on(DebuggerLeft, self._left)
        link.on(DebuggerListening, self._listening)

    @property
    def is_stopped(self) -> bool:
        """Whether somebody sits at a prompt of pdb, or waits for the terminal with one."""
        return bool(self._stops) and not self._forgotten

    @property
    def is_watching(self) -> bool:
        """Whether the host may stand still because somebody wants it to."""
        return self.is_stopped or self.clients > 0

    async def wait(self, future: asyncio.Future[Any], seconds: float | None) -> None:
        """Wait for `future` at most this long, not counting what is spent at a prompt; None is for ever."""
        while not future.done():
            await asyncio.wait([future], timeout=seconds)
            if future.done() or not self.is_stopped:
                return
            await self._wait_continued_or(future)

    async def wait_continued(self) -> None:
        """Wait until nobody sits at a prompt; the end of the host counts as that."""
        while self.is_stopped:
            await self._continued.wait()

    async def _wait_continued_or(self, future: asyncio.Future[Any]) -> None:
        continued = asyncio.ensure_future(self.wait_continued())
        try:
            await asyncio.wait([future, continued], return_when=asyncio.FIRST_COMPLETED)
        finally:
            continued.cancel()

    def forget(self) -> None:
        """The emulator stops: nobody waits for a prompt any more."""
        self._forgotten = True
        self._continued.set()

    def host_gone(self) -> None:
        """The process was reaped, and with it whatever stood at a prompt."""
        if self._stops:
            self._stops.clear()
            self._all_continued(died=True)

    # --- what the host says -------------------------------------------------------------------------------------------
    def _entered(self, entered: DebuggerEntered) -> None:
        if len(self._stops) >= DEBUGGER_STOPS_MAX:
            return  # it may say what it likes; nothing of ours grows with it
        self._stops.add(entered.stop)
        self._continued.clear()
        self._set_silent(True)
        self._on_event(
            DebuggerStopped(
                self._pid, entered.label, entered.function, entered.file, entered.line, terminal=entered.terminal
            )
        )

    def _left(self, left: DebuggerLeft) -> None:
        if left.stop in self._stops:
            self._stops.discard(left.stop)
            if not self._stops:
                self._all_continued(died=False)

    def _all_continued(self, *, died: bool) -> None:
        self._continued.set()
        if not died:
            self._set_silent(False)
        self._on_event(DebuggerContinued(self._pid, died))

    def _listening(self, listening: DebuggerListening) -> None:
        self.port = listening.port


def _nobody_else_serves(_silent: bool) -> None:
    return
