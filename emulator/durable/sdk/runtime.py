"""What running code asks of its process: set by the host around every event, used by free functions of the sdk."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from durable.sdk.http import Request, Response, request_of

if TYPE_CHECKING:
    from durable.sdk.websocket import WebSocket


NEWEST = "9999-12-31"
"""The compatibility date of a program that names none: it runs like a new one."""


class Runtime(Protocol):
    """One event's surroundings: an actor's, or a worker request's."""

    @property
    def compatibility_date(self) -> str:
        """The program's, "2026-04-07"; `NEWEST` when it names none."""
        ...

    async def fetch(self, request: Request) -> Response: ...
    def wait_until(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None: ...
    def accept_in_memory(self, socket: WebSocket) -> None: ...
    def copied_attachment(self, value: Any) -> Any:
        """A copy such as is kept. Raises DataCloneError, or DurableError when it is too large."""
        ...

    def connect(self, socket: WebSocket, protocols: Sequence[str]) -> None:
        """Open a connection to `socket.url`; `socket` hears how that goes."""
        ...


runtime_variable: ContextVar[Runtime] = ContextVar("durable_runtime")


def current_runtime() -> Runtime:
    """Raises RuntimeError outside of an event, for example at import."""
    runtime = runtime_variable.get(None)
    if runtime is None:
        raise RuntimeError("this works only while a request or an event of an actor runs, not at import")
    return runtime


async def fetch(resource: str | Request, options: Mapping[str, Any] | None = None, **named: Any) -> Response:
    """An HTTP request to the outside; options as for `Request`, as keywords or as one dict.

    An actor's waits until earlier writes are durable. Raises AbortError, an OSError, when no answer comes.
    """
    return await current_runtime().fetch(request_of(resource, options, named))


def wait_until(work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
    """`ctx.wait_until` of the request or event that runs."""
    current_runtime().wait_until(work)
