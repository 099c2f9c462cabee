"""`wsgi`: Flask and other WSGI apps behind a Worker's or an object's `fetch`; they wait with `run_sync`."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from durable.host.compat.stack_switching import Switched, run_sync
from durable.sdk.contents import Content, chunks_of
from durable.sdk.http import Headers, Request, Response
from durable.sdk.object import WorkerEntrypoint

__all__ = ["entrypoint", "fetch"]

App: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | None

_NULL_BODY_STATUSES = frozenset({101, 103, 204, 205, 304})
_PORTS = {"http": "80", "https": "443"}

logger = logging.getLogger("wsgi")


async def fetch(app: App, request: Request, env: Any, ctx: Any = None) -> Response:
    """The app's answer to a request; it finds the bindings in `environ["workers.env"]`."""
    call = _Call(app, environ_of(request, env))
    switched = Switched()
    first = await switched.run(call.begin)
    code, _, reason = call.status.partition(" ")
    status = int(code)
    headers = Headers(call.headers)
    body: bytes | AsyncIterator[bytes] | None = None
    if status not in _NULL_BODY_STATUSES:
        is_all = first is not None and headers.get("content-length") == str(len(first))
        body = first if is_all else _body(call, switched, first)
    if body is None or isinstance(body, bytes):
        await switched.run(call.close)
    return Response(body, status, reason, headers)


def entrypoint(app: App) -> type[WorkerEntrypoint]:
    """`Default = wsgi.entrypoint(app)`: a Worker that is all app."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx)

    return Default


def environ_of(request: Request, env: Any) -> dict[str, Any]:
    """The environment of PEP 3333. Its text has a character per byte."""
    url = urlsplit(request.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": str(request.method),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path or "/").encode().decode("latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname or "localhost",
        "SERVER_PORT": str(url.port or _PORTS.get(url.scheme, "80")),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BufferedReader(_Input(request.take_content())),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "workers.env": env,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


class _Input(io.RawIOBase):
    """`wsgi.input`: reads as much of the request's body as the app asks for, and waits for it with `run_sync`."""

    def __init__(self, content: Content) -> None:
        self._chunks = chunks_of(content)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = run_sync(anext(self._chunks, b""))
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _Call:
    """One call of the app, with what it said to `start_response`."""

    def __init__(self, app: App, environ: dict[str, Any]) -> None:
        self._app = app
        self._environ = environ
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self._written: list[bytes] = []
        self._result: Iterable[bytes] = ()
        self._chunks: Iterator[bytes] = iter(())
        self._begun = False

    def begin(self) -> bytes | None:
        """Call the app, and get the first piece of its answer: some apps say their status only then."""
        try:
            self._result = self._app(self._environ, self._start_response)
            self._chunks = iter(self._result)
            first = self.next()
            if not self.status:
                raise RuntimeError("the WSGI app did not call start_response()")
        except BaseException:
            self.close()
            raise
        self._begun = True
        return first

    def next(self) -> bytes | None:
        """The next piece that is not empty; None at the end."""
        chunk = next((chunk for chunk in self._chunks if chunk), None)
        if self._written:
            # What was written while the app made its next piece comes before that.
            written, self._written = b"".join(self._written), []
            return written + (chunk or b"")
        return chunk

    def close(self) -> None:
        """As PEP 3333 wants after the last piece, whatever happened."""
        close = getattr(self._result, "close", None)
        if close is not None:
            close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            if self._begun:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.status:
            raise RuntimeError("the WSGI app called start_response() twice without exc_info")
        self.status, self.headers = status, list(headers)
        return self._write

    def _write(self, data: bytes) -> None:
        if data:
            self._written.append(bytes(data))


async def _body(call: _Call, switched: Switched, first: bytes | None) -> AsyncIterator[bytes]:
    chunk = first
    try:
        while chunk is not None:
            yield chunk
            chunk = await switched.run(call.next)
    except Exception:
        logger.exception("the WSGI app failed in the middle of its response")
        raise
    finally:
        with contextlib.suppress(RuntimeError):
            await switched.run(call.close)
