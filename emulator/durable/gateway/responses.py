"""Replies of hosts as bytes on a client's connection. Knows aiohttp's writer; what is answered is decided elsewhere.

A small response is one write: head and body together, without aiohttp's response classes, which would cost more than
everything else the gateway does for a request. A body that streams is written as fast as the client takes it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from durable.gateway.headers import HeaderPairs, InvalidHeaderError, ReplyHead, declared_length
from durable.gateway.page_style import POLICY
from durable.gateway.streams import BodyBrokenError
from durable.wire.messages import HttpReply

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)


class Body(Protocol):
    """A body that comes piece by piece, from a host or a file."""

    async def read(self) -> bytes:
        """The next piece, empty at the end; raises `BodyBrokenError`."""
        ...

    def took(self, data: bytes) -> None: ...

    def cancel(self) -> None: ...


class Written(StreamResponse):
    """Stands for a response whose bytes have left already; aiohttp asks what becomes of the connection."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keeps = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._keeps

    async def prepare(self, request: BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


KEEP = Written(keep_alive=True)
CLOSE = Written(keep_alive=False)


class Responses:
    """Methods return what the handler hands to aiohttp, and raise `ConnectionError` when the client is gone."""

    def __init__(self) -> None:
        self._render = ReplyHead().render

    async def send(self, request: BaseRequest, reply: HttpReply) -> StreamResponse:
        """A reply whose body is in the message. Raises `InvalidHeaderError` before anything is written."""
        body = reply.body
        length: int | None = len(body)
        if request.method == "HEAD" or reply.status in _WITHOUT_BODY:
            length = _stated_length(request.method, reply, length)
            body = b""
        keep = request.keep_alive
        connection = "" if keep and request.version >= (1, 1) else _connection(request, keep)
        head = self._render(reply.status, reply.reason, reply.headers, length=length, connection=connection)
        await request.writer.write_eof(head + body)
        return KEEP if keep else CLOSE

    async def stream(self, request: BaseRequest, reply: HttpReply, body: Body) -> StreamResponse:
        """A reply whose body comes piece by piece. Raises `InvalidHeaderError` before anything is written."""
        try:
            bodiless = request.method == "HEAD" or reply.status in _WITHOUT_BODY
            length = _stated_length(request.method, reply, None) if bodiless else declared_length(reply.headers)
            chunked = not bodiless and length is None and request.version >= (1, 1)
            keep = request.keep_alive and (bodiless or chunked or length is not None)
            head = self._render(
                reply.status,
                reply.reason,
                reply.headers,
                length=length,
                chunked=chunked,
                connection=_connection(request, keep),
            )
            await request.writer.write(head)
            if bodiless:
                complete = True
            else:
                if chunked:
                    request.writer.enable_chunking()
                request.writer.length = length
                complete = await _copy(request, body)
            if complete:
                await request.writer.write_eof()
                return KEEP if keep else CLOSE
            # The head is out, so all that is left is an end that no client takes for completeness: the missing last
            # chunk or bytes say so by themselves, but a body that only the connection delimits needs a reset.
            if not chunked and length is None and request.transport is not None:
                request.transport.abort()
            return CLOSE
        finally:
            body.cancel()

    async def send_page(
        self, request: BaseRequest, status: int, content_type: str, page: bytes, *, closes: bool = False
    ) -> StreamResponse:
        """A response of the gateway's own; `closes` ends the connection with it."""
        headers: HeaderPairs = [
            ("Content-Type", content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if content_type.startswith("text/html"):
            headers.append(("Content-Security-Policy", POLICY))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("Retry-After", "1"))
        # An unread body would have to be read to its end before the connection could go on.
        keep = request.keep_alive and request.content.at_eof() and not closes
        head = self._render(status, "", headers, length=len(page), connection=_connection(request, keep))
        await request.writer.write_eof(head if request.method == "HEAD" else head + page)
        return KEEP if keep else CLOSE


async def _copy(request: BaseRequest, body: Body) -> bool:
    """True when the whole body went out and was as long as its Content-Length said."""
    writer = request.writer
    try:
        while piece := await body.read():
            await writer.write(piece)  # waits for the client; the connection decides for how long
            body.took(piece)
    except BodyBrokenError:
        return False
    return not writer.length


def _connection(request: BaseRequest, keep: bool) -> str:
    """The Connection field: said only where it differs from what the client's version implies."""
    if request.version >= (1, 1):
        return "" if keep else "close"
    return "keep-alive" if keep else ""


def _stated_length(method: str, reply: HttpReply, length: int | None) -> int | None:
    """The Content-Length of a response without a body (RFC 9110, 8.6): of the body that GET would have got, or none."""
    if reply.status == HTTPStatus.RESET_CONTENT:
        return 0
    if reply.status == HTTPStatus.NO_CONTENT:
        return None
    declared = declared_length(reply.headers)
    return length if declared is None and method == "HEAD" and reply.status != HTTPStatus.NOT_MODIFIED else declared


def check_status(reply: HttpReply, *, upgrade: bool) -> None:
    """Raise `InvalidHeaderError` for a status that cannot be sent to this client."""
    if reply.status == HTTPStatus.SWITCHING_PROTOCOLS:
        if not reply.socket:
            raise InvalidHeaderError(
                "A response with status 101 needs a WebSocket: Response(None, status=101, web_socket=client)."
            )
        if not upgrade:
            raise InvalidHeaderError("The response has status 101, but the client did not ask for a WebSocket.")
    elif not 200 <= reply.status <= 599:
        raise InvalidHeaderError(f"The status of a response is between 200 and 599, not {reply.status}.")
