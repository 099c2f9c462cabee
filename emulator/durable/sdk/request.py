"""Requests as user code holds them, and making one of what `fetch` was called with."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod
from typing import Any, TypedDict
from urllib.parse import urlsplit

from durable.errors import AbortError, JsTypeError
from durable.sdk import habits
from durable.sdk.aliases import merge_options
from durable.sdk.body import Body, BodyInit, BodyUsedError, content_of
from durable.sdk.headers import Headers, HeadersInit

_METHODS: dict[str, str] = {method.value: method for method in HTTPMethod}
_REDIRECTS = ("follow", "manual", "error")

# What the Fetch standard lets a request say and this runtime has no use for: kept, told, and without effect.
_IDLE_OPTIONS: dict[str, Any] = {
    "cache": "default",
    "credentials": "same-origin",
    "integrity": "",
    "keepalive": False,
    "mode": "cors",
    "referrer": "about:client",
    "referrer_policy": "",
    "signal": None,
}
_OPTIONS = ("method", "headers", "body", "redirect", "cf", "duplex", *_IDLE_OPTIONS)


class FetchKwargs(TypedDict, total=False):
    """The options of `fetch` that programs use most."""

    headers: HeadersInit
    body: BodyInit
    method: str
    redirect: str
    cf: Mapping[str, Any]


class RequestCf(dict[str, Any]):
    """What the platform knows of a client, such as `request.cf.colo`. Here nobody knows: whatever is absent is None."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)


class Request(Body):
    """An HTTP request. `url` is absolute; a Request given as `source` is copied, its body handed over."""

    __slots__ = ("_cf", "_headers", "_more", "method", "redirect", "url")

    url: str
    _cf: Mapping[str, Any] | None
    method: str
    """In capitals; a known one is an `http.HTTPMethod`, which equals its text."""
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
        signal: Any = None,
        **idle: Any,
    ) -> None:
        # Written for the gateway's requests, of which there are many: a known method, no options, no body.
        self._cf = cf
        self._more = _checked_more(idle, signal) if idle or signal is not None else None
        self._content = None
        self.body_used = False
        if isinstance(source, Request):
            self.url = source.url
            self.method = _method(method) if method else source.method
            self._headers: HeadersInit = headers if headers is not None else Headers(source.headers)
            self.redirect = redirect or source.redirect
            if cf is None:
                self._cf = source._cf
            if source._more is not None:
                self._more = {**source._more, **(self._more or {})}
            if body is None:
                self._content = source.take_content()
        else:
            source = str(source)
            # The check costs more than all the rest; the gateway and the stubs have made it already for "http".
            if not source.startswith(("http://", "https://")) or not _has_host(source):
                raise JsTypeError(f"Invalid URL: {source}")
            self.url = source
            self.method = _METHODS.get(method) or _method(method) if method else HTTPMethod.GET
            self._headers = headers
            self.redirect = redirect or "follow"
        if body is not None:
            self._take_body(body)

    def _take_body(self, body: Any) -> None:
        try:
            self._content, kind = content_of(body)
        except JsTypeError:
            if not habits.platform:
                raise
            # JavaScript makes a text of any other body of a request, and programs send a list's that way.
            self._content, kind = content_of(str(body))
        if kind is not None and not self.headers.has("content-type"):
            self.headers.append("content-type", kind)

    @classmethod
    def new(cls, source: Any, options: Mapping[str, Any] | None = None, **named: Any) -> Request:
        """In the platform's spelling: `Request.new(url, {"method": "POST"})`."""
        return request_of(source, options, named) if options or named else cls(source)

    @property
    def headers(self) -> Headers:
        headers = self._headers
        if not isinstance(headers, Headers):
            self._headers = headers = Headers(headers)
        return headers

    def _content_type(self) -> str | None:
        return self.headers.get("content-type")

    @property
    def cf(self) -> RequestCf:
        """What the platform tells of the client and the connection; empty here."""
        cf = self._cf
        if not isinstance(cf, RequestCf):
            self._cf = cf = RequestCf(cf or {})
        return cf

    @property
    def js_object(self) -> Request:
        """On the platform, the JavaScript request. Here there is one kind of request."""
        return self

    # --- what the Fetch standard has and a server does not use -------------------------------------------------------
    @property
    def cache(self) -> str:
        return str(self._said("cache"))

    @property
    def credentials(self) -> str:
        return str(self._said("credentials"))

    @property
    def destination(self) -> str:
        return ""

    @property
    def integrity(self) -> str:
        return str(self._said("integrity"))

    @property
    def is_history_navigation(self) -> bool:
        return False

    @property
    def keepalive(self) -> bool:
        return bool(self._said("keepalive"))

    @property
    def mode(self) -> str:
        return str(self._said("mode"))

    @property
    def referrer(self) -> str:
        return str(self._said("referrer"))

    @property
    def referrer_policy(self) -> str:
        return str(self._said("referrer_policy"))

    @property
    def signal(self) -> Any:
        return self._said("signal")

    def _said(self, name: str) -> Any:
        return (self._more or {}).get(name, _IDLE_OPTIONS[name])

    def clone(self) -> Request:
        """A second request with the same body; a streamed body is read by both."""
        if self.body_used:
            raise BodyUsedError
        copy = Request(
            self.url, method=self.method, headers=Headers(self.headers), redirect=self.redirect, cf=self._cf
        )  # fmt: skip
        copy._more = self._more
        copy.replace_content(self.second_content())
        return copy

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"


def request_of(resource: Any, options: Mapping[str, Any] | None, named: Mapping[str, Any]) -> Request:
    """The request that `fetch(resource, options, **named)` means. A Request without options is itself."""
    if isinstance(resource, Request) and not options and not named:
        request = resource
    else:
        chosen = merge_options("fetch", _OPTIONS, options, named)
        chosen.pop("duplex", None)
        redirect = chosen.get("redirect")
        if redirect is not None and redirect not in _REDIRECTS:
            raise JsTypeError(f"a request's redirect is one of {', '.join(_REDIRECTS)}, got {redirect!r}")
        request = Request(resource, **chosen)
        if chosen.get("body") is not None and request.method in ("GET", "HEAD"):
            raise JsTypeError("Request with a GET or HEAD method cannot have a body.")
    if getattr(request.signal, "aborted", False):
        raise AbortError(f"{request.method} {request.url} was aborted before it was sent")
    return request


def _method(method: str) -> str:
    # `str.upper` of an HTTPMethod is a str, and looking it up finds the member again.
    capitals = method.upper()
    return _METHODS.get(capitals, capitals)


def _checked_more(given: dict[str, Any], signal: Any) -> dict[str, Any]:
    return {**merge_options("Request", tuple(_IDLE_OPTIONS), given), "signal": signal}


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).netloc)
    except ValueError:
        return False
