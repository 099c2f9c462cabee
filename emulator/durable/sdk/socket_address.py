"""What `WebSocket(url, protocols)` is given, checked as the platform checks it (workerd `api/web-socket.c++`)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from durable.errors import JsRangeError

_SCHEMES = frozenset({"ws", "wss", "http", "https"})
_SEPARATORS = frozenset('()<>@,;:\\/[]?={}" \t')
_PREFIX = "WebSocket Constructor: "


def checked_address(url: str) -> str:
    """The address itself. Raises ValueError when no connection can be made to it."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        raise JsRangeError(f"{_PREFIX}The url is invalid: {url!r}; write ws://host/path or wss://host/path") from None
    if not has_host:
        raise JsRangeError(f"{_PREFIX}The url is invalid: {url!r}; write ws://host/path or wss://host/path")
    if parts.scheme not in _SCHEMES:
        raise JsRangeError(f"{_PREFIX}The url scheme must be ws, wss, http or https, got {parts.scheme!r}.")
    if "#" in url:
        raise JsRangeError(f"{_PREFIX}The url fragment must be empty, got {parts.fragment!r}.")
    return url


def checked_protocols(protocols: str | Sequence[str]) -> list[str]:
    """The sub-protocols to offer. Raises ValueError for one that is no token (RFC 6455 §4.1) or is there twice."""
    names = [protocols] if isinstance(protocols, str) else list(protocols)
    for name in names:
        if not isinstance(name, str) or not name or not all("!" <= c <= "~" and c not in _SEPARATORS for c in name):
            raise JsRangeError(f"{_PREFIX}One of the protocol header tokens is invalid: {name!r}.")
    if len(set(names)) != len(names):
        raise JsRangeError(f"{_PREFIX}The protocols header cannot have repeating values, got {names!r}.")
    return names
