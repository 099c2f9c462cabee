"""The classes user code inherits from."""

from __future__ import annotations

from typing import Any

from durable.sdk.state import DurableObjectState, ExecutionContext


class DurableObject:
    """One id, one instance, one SQLite file. Public methods are callable over RPC, sync or async.

    Handlers, each optional, surplus parameters may be left out: `fetch(request)`, `alarm(info)`,
    `web_socket_message(ws, message)`, `web_socket_close(ws, code, reason, was_clean)`, `web_socket_error(ws, error)`.
    """

    ctx: DurableObjectState
    env: Any

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        self.ctx = ctx
        self.env = env


class WorkerEntrypoint:
    """Stateless code in front of the objects; the class named `Default` receives every HTTP request.

    Handlers, each optional, surplus parameters may be left out: `fetch(request)`, and `scheduled(event)` for the cron
    expressions of `[triggers]`.
    """

    ctx: ExecutionContext
    env: Any

    def __init__(self, ctx: ExecutionContext, env: Any) -> None:
        self.ctx = ctx
        self.env = env


class WorkflowEntrypoint:
    """Importable, for programs of the platform that have workflows beside their objects; none of them runs here."""

    ctx: ExecutionContext
    env: Any

    def __init__(self, ctx: ExecutionContext, env: Any) -> None:
        self.ctx = ctx
        self.env = env
