"""Requests, responses and headers as user code holds them. Bodies are bytes, or a stream that is read once."""

from __future__ import annotations

import builtins
import json as json_module
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias, cast, overload
from urllib.parse import urlsplit

from durable.sdk.aliases import CamelCase

if TYPE_CHECKING:
    from durable.sdk.websocket import WebSocket

HeadersInit: TypeAlias = "Headers | Mapping[str, str] | Iterable[tuple[str, str]] | None"
BodyInit: TypeAlias = "str | bytes | bytearray | memoryview | AsyncIterable[bytes | str] | None"

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NULL_BODY_STATUSES = frozenset({101, 204, 205, 304})
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


class Headers(CamelCase):
    """Header fields in order; names compare without case, and a name may occur more than once."""

    __slots__ = ("_fields",)

    def __init__(self, init: HeadersInit = None) -> None:
        self._fields: list[tuple[str, str]]
        if init is None:
            self._fields = []
        elif isinstance(init, Headers):
            self._fields = list(init._fields)
        else:
            pairs: Iterable[tuple[str, str]] = (
                cast("Mapping[str, str]", init).items() if isinstance(init, Mapping) else init
            )
            self._fields = [(str(name), str(value)) for name, value in pairs]

    def get(self, name: str, default: str | None = None) -> str | None:
        """All values of the field joined by ", "; `default` when it is absent."""
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def get_all(self, name: str) -> list[str]:
        """Each value of the field, in order; the way to read Set-Cookie."""
        lowered = name.lower()
        return [value for field, value in self._fields if field.lower() == lowered]

    def set(self, name: str, value: str) -> None:
        self.delete(name)
        self._fields.append((name, str(value)))

    def append(self, name: str, value: str) -> None:
        self._fields.append((name, str(value)))

    def delete(self, name: str) -> None:
        lowered = name.lower()
        self._fields = [pair for pair in self._fields if pair[0].lower() != lowered]

    def has(self, name: str) -> bool:
        lowered = name.lower()
        return any(field.lower() == lowered for field, _ in self._fields)

    def items(self) -> list[tuple[str, str]]:
        """Every field as it was set, repeated names included."""
        return list(self._fields)

    def keys(self) -> list[str]:
        return list(dict.fromkeys(field.lower() for field, _ in self._fields))

    def values(self) -> list[str]:
        return [value for _, value in self._fields]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class Body(CamelCase):
    """The readable half that requests and responses share. Reading twice raises OSError, as on the platform."""

    __slots__ = ("_content", "body_used")

    def __init__(self, content: BodyInit) -> None:
        self.body_used = False
        self._content: builtins.bytes | AsyncIterable[builtins.bytes | str] | None
        if content is None or isinstance(content, builtins.bytes):
            self._content = content
        elif isinstance(content, str):
            self._content = content.encode()
        elif isinstance(content, (bytearray, memoryview)):
            self._content = builtins.bytes(content)
        elif isinstance(content, AsyncIterable):
            self._content = content
        else:
            raise TypeError(
                f"a body is str, bytes or an async iterable of them, not {type(content).__name__}; "
                "for JSON use Response.json(value)"
            )

    @property
    def body(self) -> AsyncIterator[builtins.bytes] | None:
        """The body as a stream of byte chunks; None when there is none. Taking it uses the body up."""
        return None if self._content is None else self._stream()

    async def _stream(self) -> AsyncIterator[builtins.bytes]:
        content = self.take_content()
        if content is None:
            return
        if isinstance(content, builtins.bytes):
            yield content
            return
        async for chunk in content:
            yield chunk.encode() if isinstance(chunk, str) else builtins.bytes(chunk)

    def take_content(self) -> builtins.bytes | AsyncIterable[builtins.bytes | str] | None:
        """Hand the body over to whoever sends it on; from then on it counts as used."""
        if self.body_used and self._content is not None:
            raise OSError("Body already used")
        self.body_used = True
        return self._content

    def replace_content(self, content: builtins.bytes | AsyncIterable[builtins.bytes | str] | None) -> None:
        """For the runtime: the same head with another body, unread."""
        self._content = content
        self.body_used = False

    async def bytes(self) -> builtins.bytes:
        content = self.take_content()
        if content is None:
            return b""
        if isinstance(content, builtins.bytes):
            return content
        parts = [chunk.encode() if isinstance(chunk, str) else chunk async for chunk in content]
        return b"".join(parts)

    async def text(self) -> str:
        return (await self.bytes()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Raises `json.JSONDecodeError` (a ValueError) when the body is not JSON."""
        return json_module.loads(await self.bytes())


class Request(Body):
    """An HTTP request. `url` is absolute; a Request given as `source` is copied, its body handed over."""

    __slots__ = ("_headers", "cf", "method", "redirect", "url")

    url: str
    method: str
    redirect: str

    def __init__(
        self,
        source: str | Request,
        *,
        method: str | None = None,
        headers: HeadersInit = None,
        body: BodyInit = None,
        redirect: str | None = None,
        cf: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(source, Request):
            self.url = source.url
            self.method = (method or source.method).upper()
            self._headers: HeadersInit = headers if headers is not None else Headers(source.headers)
            self.cf: Mapping[str, Any] = cf if cf is not None else source.cf
            self.redirect = redirect or source.redirect
            super().__init__(body if body is not None else source.take_content())
        else:
            # The check costs more than all the rest; the gateway and the stubs have made it already for "http".
            if not source.startswith(("http://", "https://")) or not _has_host(source):
                raise TypeError(f"Invalid URL: {source}")
            self.url = source
            self.method = method.upper() if method else "GET"
            self._headers = headers
            self.cf = cf or {}
            self.redirect = redirect or "follow"
            super().__init__(body)
            if isinstance(body, str) and self.headers.get("content-type") is None:
                self.headers.set("content-type", "text/plain;charset=UTF-8")

    @property
    def headers(self) -> Headers:
        headers = self._headers
        if not isinstance(headers, Headers):
            self._headers = headers = Headers(headers)
        return headers

    def clone(self) -> Request:
        """A second request with the same body; raises TypeError when the body is a stream."""
        if self.body_used:
            raise OSError("Body already used")
        if not (self._content is None or isinstance(self._content, builtins.bytes)):
            raise TypeError("a streamed body can be read once only: read it with await request.bytes() first")
        return Request(
            self.url, method=self.method, headers=Headers(self.headers), body=self._content, redirect=self.redirect,
            cf=self.cf,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).netloc)
    except ValueError:
        return False


class Response(Body):
    """An HTTP response. `web_socket` hands the client's end of a pair over and needs status 101."""

    __slots__ = ("headers", "status", "status_text", "url", "web_socket")

    def __init__(
        self,
        body: BodyInit = None,
        status: int = 200,
        status_text: str = "",
        headers: HeadersInit = None,
        web_socket: WebSocket | None = None,
    ) -> None:
        super().__init__(body)
        if web_socket is not None:
            if status != 101:
                raise ValueError(f"a response with a web socket must have status 101, got {status}")
        elif not 200 <= status <= 599:
            raise ValueError(f"a response's status must be between 200 and 599, got {status}")
        if body is not None and status in _NULL_BODY_STATUSES:
            raise TypeError(f"a response with status {status} cannot have a body")
        self.status = int(status)
        self.status_text = status_text
        self.headers = Headers(headers)
        self.web_socket = web_socket
        self.url = ""
        if isinstance(body, str) and not self.headers.has("content-type"):
            self.headers.append("content-type", "text/plain;charset=UTF-8")

    @property
    def ok(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def reason(self) -> str:
        """The status text that goes on the wire."""
        return self.status_text or _PHRASES.get(self.status, "Unknown")

    @classmethod
    def from_json(cls, data: Any, status: int = 200, status_text: str = "", headers: HeadersInit = None) -> Response:
        """A JSON response. Raises TypeError naming the type when `data` is not JSON."""
        response = cls(json_module.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(), status, status_text)
        response.headers = Headers(headers)
        if not response.headers.has("content-type"):
            response.headers.append("content-type", "application/json")
        return response

    @classmethod
    def redirect(cls, url: str, status: int = 302) -> Response:
        if status not in _REDIRECT_STATUSES:
            raise ValueError(f"a redirect has status 301, 302, 303, 307 or 308, got {status}")
        return cls(None, status, headers=[("location", url)])

    if TYPE_CHECKING:
        # `Response.json(data)` makes a response, `await response.json()` reads one; both are the platform's names.
        class _JsonBothWays:
            @overload
            def __get__(self, instance: None, owner: type[Response]) -> Callable[..., Response]: ...
            @overload
            def __get__(self, instance: Response, owner: type[Response]) -> Callable[[], Awaitable[Any]]: ...
            def __get__(self, instance: Response | None, owner: type[Response]) -> Any: ...

        json = _JsonBothWays()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    else:

        class _JsonBothWays:
            def __get__(self, instance, owner):
                return owner.from_json if instance is None else super(Response, instance).json

        json = _JsonBothWays()

    def clone(self) -> Response:
        """A second response with the same body; raises TypeError when the body is a stream."""
        if self.body_used and self._content is not None:
            raise OSError("Body already used")
        if not (self._content is None or isinstance(self._content, builtins.bytes)):
            raise TypeError("a streamed body can be read once only: read it with await response.bytes() first")
        return self.with_content(self._content)

    def with_content(self, content: builtins.bytes | AsyncIterable[builtins.bytes | str] | None) -> Response:
        """For the runtime: a response of its own with the same head and another body, unread."""
        copy = Response.__new__(Response)
        copy.status, copy.status_text, copy.url = self.status, self.status_text, self.url
        copy.headers = Headers(self.headers)
        copy.web_socket = self.web_socket
        copy.replace_content(content)
        return copy

    def __repr__(self) -> str:
        return f"<Response {self.status}>"
