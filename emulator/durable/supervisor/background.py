"""Work that nobody waits for: kept until it is done, and a bug of ours in it is reported instead of forgotten."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any

from durable.gateway.events import GatewayFault, OnEvent


class Background:
    """Tasks between their start and their end; `stop` cuts short what still runs."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[None, None, None]) -> None:
        _ = self.task(work)

    def task(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """The same, for who wants to wait for it after all, or cancel it."""
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One that is cut short before its first step would leave work that nobody has begun, and Python complains.
        task.add_done_callback(lambda _: work.close())
        return task

    async def stop(self, *others: asyncio.Task[Any]) -> None:
        """Cut short what still runs, and `others` with it; what they raise is of no interest any more."""
        tasks = [*self._tasks, *others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception:
            self._on_event(GatewayFault(traceback.format_exc()))
