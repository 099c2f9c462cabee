"""Responses as user code holds them: made by a handler, or the answer to a `fetch`."""

from __future__ import annotations

import json as json_module
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, overload

from durable.errors import JsRangeError, JsTypeError
from durable.sdk.aliases import merge_options
from durable.sdk.body import Body, BodyInit, BodyUsedError, content_of
from durable.sdk.contents import Content
from durable.sdk.headers import Headers, HeadersInit

if TYPE_CHECKING:
    from durable.sdk.websocket import WebSocket

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NULL_BODY_STATUSES = frozenset({101, 204, 205, 304})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_HEAD_OPTIONS = ("status", "status_text", "headers", "web_socket")
_IDLE_HEAD_OPTIONS = ("cf", "encodeBody")
"""What a response may be told and this runtime has no use for."""


class Response(Body):
    """An HTTP response. `web_socket` hands the client's end of a pair over and needs status 101."""

    __slots__ = ("headers", "redirected", "status", "status_text", "url", "web_socket")

    def __init__(
        self,
        body: BodyInit | Response = None,
        status: int | None = None,
        status_text: str = "",
        headers: HeadersInit = None,
        web_socket: WebSocket | None = None,
    ) -> None:
        if isinstance(body, Response):
            if status is not None or status_text or headers is not None or web_socket is not None:
                raise JsRangeError("a response made of another one takes no options: use response.replace_body(body)")
            self._copy_head(body)
            super().__init__(body.take_content())
            return
        content, kind = (body, None) if body is None or type(body) is bytes else content_of(body)
        super().__init__(content)
        if status is None:
            status = 200
        if web_socket is not None:
            if status != 101:
                raise JsRangeError(f"a response with a web socket must have status 101, got {status}")
        elif not 200 <= status <= 599:
            raise JsRangeError(f"a response's status must be between 200 and 599, got {status}")
        if content is not None and status in _NULL_BODY_STATUSES:
            raise JsTypeError(f"a response with status {int(status)} cannot have a body")
        self.status = int(status)
        self.status_text = status_text
        self.headers = Headers(headers)
        self.web_socket = web_socket
        self.url = ""
        self.redirected = False
        if kind is not None and not self.headers.has("content-type"):
            self.headers.append("content-type", kind)

    @classmethod
    def new(cls, body: Any = None, options: Mapping[str, Any] | None = None, **named: Any) -> Response:
        """In the platform's spelling: `Response.new(body, {"status": 200, "webSocket": client})`."""
        chosen = merge_options("Response.new", (*_HEAD_OPTIONS, *_IDLE_HEAD_OPTIONS), options, named)
        return cls(body, **{name: value for name, value in chosen.items() if name in _HEAD_OPTIONS})

    def _content_type(self) -> str | None:
        return self.headers.get("content-type")

    @property
    def ok(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def reason(self) -> str:
        """The status text that goes on the wire."""
        return self.status_text or _PHRASES.get(self.status, "Unknown")

    @property
    def type(self) -> str:
        return "default"

    @property
    def js_object(self) -> Response:
        """On the platform, the JavaScript response. Here there is one kind of response."""
        return self

    js_response = js_object

    def raise_for_status(self) -> None:
        """Raises OSError when the status says that something went wrong, 400 to 599."""
        if 400 <= self.status < 600:
            raise HttpStatusError(self.status, self.status_text, self.url)

    @classmethod
    def from_json(
        cls, data: Any, status: int | None = None, status_text: str = "", headers: HeadersInit = None
    ) -> Response:
        """A JSON response. Raises TypeError naming the type when `data` is not JSON."""
        response = cls(json_module.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(), status, status_text)
        response.headers = Headers(headers)
        if not response.headers.has("content-type"):
            response.headers.append("content-type", "application/json")
        return response

    @classmethod
    def redirect(cls, url: str, status: int = 302) -> Response:
        if status not in REDIRECT_STATUSES:
            raise JsRangeError(f"a redirect has status 301, 302, 303, 307 or 308, got {status}")
        return cls(None, status, headers=[("location", str(url))])

    if TYPE_CHECKING:
        # `Response.json(data)` makes a response, `await response.json()` reads one; both are the platform's names.
        class _JsonBothWays:
            @overload
            def __get__(self, instance: None, owner: type[Response]) -> Callable[..., Response]: ...
            @overload
            def __get__(self, instance: Response, owner: type[Response]) -> Callable[..., Awaitable[Any]]: ...
            def __get__(self, instance: Response | None, owner: type[Response]) -> Any: ...

        json = _JsonBothWays()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    else:

        class _JsonBothWays:
            def __get__(self, instance, owner):
                return owner.from_json if instance is None else super(Response, instance).json

        json = _JsonBothWays()

    def clone(self) -> Response:
        """A second response with the same body; a streamed body is read by both."""
        if self.body_used:
            raise BodyUsedError
        return self.with_content(self.second_content())

    def replace_body(self, body: BodyInit) -> Response:
        """A response with the same head and another body."""
        content, kind = content_of(body)
        response = self.with_content(content)
        if kind is not None and not response.headers.has("content-type"):
            response.headers.append("content-type", kind)
        return response

    def with_content(self, content: Content) -> Response:
        """For the runtime: a response of its own with the same head and another body, unread."""
        copy = Response.__new__(Response)
        copy._copy_head(self)
        copy.replace_content(content)
        return copy

    def _copy_head(self, source: Response) -> None:
        self.status, self.status_text, self.url = source.status, source.status_text, source.url
        self.redirected = source.redirected
        self.headers = Headers(source.headers)
        self.web_socket = source.web_socket

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


FetchResponse = Response
"""What `fetch` gives; on the platform the base class of `Response`, which adds nothing to it but its constructor."""


class HttpStatusError(OSError):
    """What `raise_for_status()` raises."""

    def __init__(self, status: int, status_text: str, url: str) -> None:
        self.status, self.status_text, self.url = status, status_text, url
        side = "Client" if status < 500 else "Server"
        super().__init__(f"{status} {side} Error: {status_text} for url: {url}")
