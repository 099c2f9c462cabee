"""Plain (not async) endpoints of ASGI apps, which frameworks give to threads: here they run in turns with the loop.

On the platform there are no threads. An endpoint that ran beside the loop's thread would reach its object's storage in
the middle of somebody else's turn.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

from durable.host.compat.stack_switching import Switched

_served: ContextVar[bool] = ContextVar("durable_serves_asgi", default=False)
_replaced: list[Any] = []


@contextlib.contextmanager
def waiting_endpoints() -> Generator[None, None, None]:
    """What an app hands to anyio's threads in this block runs as `run_sync` wants it."""
    _watch_anyio()
    token = _served.set(True)
    try:
        yield
    finally:
        _served.reset(token)


def _watch_anyio() -> None:
    """Starlette and FastAPI look `anyio.to_thread.run_sync` up at each call, so one replacement reaches all of them."""
    threads: Any = sys.modules.get("anyio.to_thread")
    if threads is None or threads in _replaced:
        return
    in_a_thread = threads.run_sync

    async def run_sync(function: Any, *args: Any, **options: Any) -> Any:
        if _served.get():
            return await Switched().run(function, *args)
        return await in_a_thread(function, *args, **options)

    threads.run_sync = run_sync
    _replaced.append(threads)
