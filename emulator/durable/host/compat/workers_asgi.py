"""`asgi`: FastAPI, Starlette and other ASGI apps behind a Worker's or an object's `fetch`, WebSockets included."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from durable.host.compat.asgi_lifespan import ASGI, App, Lifespan, Message
from durable.host.compat.asgi_websocket import AsgiWebSocket
from durable.host.compat.plain_endpoints import waiting_endpoints
from durable.sdk.contents import chunks_of
from durable.sdk.http import Request, Response
from durable.sdk.object import WorkerEntrypoint
from durable.sdk.pipes import BytePipe
from durable.sdk.runtime import current_runtime

__all__ = ["entrypoint", "fetch", "websocket"]

_NULL_BODY_STATUSES = frozenset({101, 103, 204, 205, 304})


async def fetch(app: App, request: Request, env: Any, ctx: Any = None) -> Response:
    """The app's answer to a request; it finds the bindings in `scope["env"]`.

    The answer is given as soon as the app begins it. What the app does afterwards is waited for like `ctx.wait_until`.
    """
    lifespan = Lifespan(app)
    await lifespan.start()
    exchange = _Exchange(request)
    scope = scope_of(request, env, "http", lifespan.state)
    serving = asyncio.ensure_future(_serve(app, scope, exchange, lifespan))
    current_runtime().wait_until(serving)
    return await _unless_cancelled(exchange.response, serving)


async def websocket(app: App, request: Request, env: Any = None, ctx: Any = None) -> Response:
    """The app's answer to a request for a WebSocket: the client's end of one, as soon as the app accepts."""
    socket = AsgiWebSocket()
    serving = asyncio.ensure_future(socket.serve(app, scope_of(request, {} if env is None else env, "websocket", None)))
    current_runtime().wait_until(serving)
    return await _unless_cancelled(socket.response, serving)


async def _unless_cancelled(response: asyncio.Future[Response], serving: asyncio.Future[None]) -> Response:
    try:
        return await response
    except asyncio.CancelledError:
        # The client is gone before there was an answer.
        serving.cancel()
        raise


def entrypoint(app: App) -> type[WorkerEntrypoint]:
    """`Default = asgi.entrypoint(app)`: a Worker that is all app."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            if (request.headers.get("upgrade") or "").lower() == "websocket":
                return await websocket(app, request, self.env, self.ctx)
            return await fetch(app, request, self.env, self.ctx)

    return Default


def scope_of(request: Request, env: Any, kind: str, state: Mapping[str, Any] | None) -> dict[str, Any]:
    """The connection scope (asgi.readthedocs.io, "HTTP & WebSocket ASGI Message Format")."""
    url = urlsplit(request.url)
    path = url.path or "/"
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": ASGI,
        "http_version": "1.1",
        "method": str(request.method),
        "scheme": url.scheme if kind == "http" else url.scheme.replace("http", "ws"),
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": url.query.encode(),
        # Header text has a character per byte, as the gateway gives it.
        "headers": [(name.lower().encode("latin-1"), _header_bytes(value)) for name, value in request.headers.items()],
        "env": env,
    }
    if kind == "websocket":
        offered = request.headers.get("sec-websocket-protocol") or ""
        scope["subprotocols"] = [word.strip() for word in offered.split(",") if word.strip()]
    if state is not None:
        scope["state"] = dict(state)
    return scope


def _header_bytes(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


async def _serve(app: App, scope: dict[str, Any], exchange: _Exchange, lifespan: Lifespan) -> None:
    """Run the app to its end; a failure before its answer is the answer's, a later one is this task's."""
    try:
        with waiting_endpoints():
            await app(scope, exchange.receive, exchange.send)
        exchange.finish(None)
    except BaseException as error:
        if not exchange.finish(error):
            raise
    finally:
        await lifespan.end()


class _Exchange:
    """One request and its response, in the messages of ASGI."""

    def __init__(self, request: Request) -> None:
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._chunks = chunks_of(request.take_content())
        self._unread = True
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._over = asyncio.Event()
        """All is said, or nobody listens."""
        self._pipe = BytePipe(self._over.set)
        self._complete = False

    async def receive(self) -> Message:
        """The next piece of the request's body; after it, at the end, word that the client is gone."""
        if self._unread:
            data = await anext(self._chunks, None)
            self._unread = data is not None
            return {"type": "http.request", "body": data or b"", "more_body": self._unread}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Raises OSError when the client is gone."""
        kind = message["type"]
        if kind == "http.response.start":
            if self._status:
                raise RuntimeError("the ASGI app began its response twice")
            self._status = message["status"]
            self._headers = text_headers(message.get("headers", ()))
        elif kind == "http.response.body":
            if not self._status:
                raise RuntimeError("the ASGI app sent a body before http.response.start")
            await self._send_body(bytes(message.get("body", b"")), bool(message.get("more_body", False)))
        else:
            raise RuntimeError(f"the ASGI app sent {kind!r}, which is no message of an HTTP response")

    async def _send_body(self, data: bytes, more: bool) -> None:
        if self._complete:
            return  # the app has said that this was all
        self._complete = not more
        has_body = self._status not in _NULL_BODY_STATUSES
        if not self.response.done():
            body = None if not has_body else self._pipe if more else data
            self.response.set_result(Response(body, self._status, headers=self._headers))
        elif has_body:
            await self._pipe.write(data)
            data = b""
        if has_body and more and data:
            await self._pipe.write(data)
        if not more:
            self._pipe.end()
            self._over.set()

    def finish(self, error: BaseException | None) -> bool:
        """The app is over; whether somebody knows of its error."""
        self._over.set()
        if not self.response.done():
            self.response.set_exception(error or RuntimeError("the ASGI app ended without a response"))
            return isinstance(error, Exception)
        self._pipe.end(None if self._complete else "the ASGI app ended in the middle of its response")
        # A client that left is the cause of what follows from it.
        return isinstance(error, Exception) and self._pipe.abandoned


def text_headers(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """The headers of a message, with a character per byte as the gateway wants them."""
    return [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in pairs]


def __getattr__(name: str) -> Any:
    if name == "env":
        # `def endpoint(env=asgi.env)`: FastAPI gives the endpoint its bindings.
        from fastapi import Depends
        from starlette.requests import HTTPConnection

        async def env(connection: Any) -> Any:
            return connection.scope["env"]

        # As an object and not as text: FastAPI would look for the name in this module.
        env.__annotations__ = {"connection": HTTPConnection}
        return Depends(env)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
