"""Failures that nobody awaits: of tasks, callbacks and calls. asyncio would print them and not say whose they are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from durable.actor.failure import RemoteTraceback
from durable.actor.turn import TurnDriver

if TYPE_CHECKING:
    from durable.host.host import Host


def report_loose_failures(host: Host) -> None:
    """From now on the host's loop reports them as it reports the failures of handlers."""

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, BaseException):
            loop.default_exception_handler(context)
            return
        label, method = _place(context)
        host.log_failure(error, label, method)

    host.loop.set_exception_handler(failed)


def _place(context: dict[str, Any]) -> tuple[str, str]:
    """Label and method: `("ChatRoom \\"general\\"", "task poll")`."""
    task: Any = context.get("task") or context.get("future")
    error = context["exception"]
    get_coroutine = getattr(task, "get_coro", None)
    if get_coroutine is not None:
        coroutine: Any = get_coroutine()
        label = coroutine.label if isinstance(coroutine, TurnDriver) else "Default"
        name = getattr(coroutine.wrapped if isinstance(coroutine, TurnDriver) else coroutine, "__name__", "")
        return label, f"task {name or task.get_name()}"
    if isinstance(error.__cause__, RemoteTraceback):
        # A call that nobody awaited: its report says which object failed.
        return "", ""
    handle = context.get("handle")
    callback = getattr(handle, "_callback", None)
    return "", f"callback {getattr(callback, '__name__', '')}".strip() if handle is not None else "callback"
