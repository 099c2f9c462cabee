"""Header fields on their way through the gateway, in both directions. Knows no connection and no message.

Bytes become text as latin-1, as the Fetch standard's byte strings do: every byte a client can send has its character,
and what a program answers must be of these 256 characters. Hop-by-hop fields (RFC 9110, 7.6.1) end here both ways.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

from durable.limits import HTTP_HEAD_BYTES_MAX

HeaderPairs = list[tuple[str, str]]
RawPairs = tuple[tuple[bytes, bytes], ...]

INTERNAL_PREFIX = "x-durable-"
"""Names that only the gateway may set; a client's are removed."""

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_REPLACED = frozenset({"cf-connecting-ip", "expect"})
"""Set by the gateway itself, or answered by it."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_NAMES_MAX = 1024
"""Names remembered in each direction, so that each is examined once and not once per request."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class InvalidHeaderError(Exception):
    """A response of the user's program cannot be sent; the text says which field and why."""


class RequestHeaders:
    """Client → worker. Names become lower-case, as the platform shows them."""

    def __init__(self) -> None:
        self._names: dict[bytes, str | None] = {}

    def translate(self, raw: RawPairs, peer: str, *, upgrade: bool) -> HeaderPairs:
        """The fields for the worker, in the client's order, then `cf-connecting-ip` with the peer's address.

        With `upgrade` the fields that ask for a WebSocket stay visible: programs look at `Upgrade` to tell.
        """
        names = self._names
        pairs: HeaderPairs = []
        connection: bytes | None = None
        for raw_name, raw_value in raw:
            try:
                name = names[raw_name]
            except KeyError:
                name = self._learn(raw_name)
            if name is not None:
                pairs.append((name, str(raw_value, "latin-1")))
            elif raw_name.lower() == b"connection":
                connection = raw_value if connection is None else connection + b"," + raw_value
        if connection is not None and connection.lower() not in (b"keep-alive", b"close", b"upgrade"):
            named = {token.strip() for token in str(connection, "latin-1").lower().split(",")}
            pairs = [pair for pair in pairs if pair[0] not in named]
        if upgrade:
            pairs.append(("upgrade", "websocket"))
            pairs.append(("connection", "Upgrade"))
        pairs.append(("cf-connecting-ip", peer))
        return pairs

    def _learn(self, raw_name: bytes) -> str | None:
        name: str | None = str(raw_name, "latin-1").lower()
        assert name is not None
        if name in _HOP_BY_HOP or name in _REPLACED or name.startswith(INTERNAL_PREFIX):
            name = None
        if len(self._names) < _NAMES_MAX:
            self._names[raw_name] = name
        return name


class ReplyHead:
    """Worker → client: the status line and fields of one response as bytes, or `InvalidHeaderError`."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kinds: dict[str, str] = {}
        self._date_second = -1
        self._date_line = ""

    def render(
        self,
        status: int,
        reason: str,
        headers: HeaderPairs,
        *,
        length: int | None,
        chunked: bool = False,
        connection: str = "",
    ) -> bytes:
        """`length` is stated as Content-Length, None states none; a length among `headers` is never sent."""
        kinds = self._kinds
        head = f"HTTP/1.1 {status} {reason or _REASONS.get(status, '')}\r\n"
        lines = 1
        dated = False
        for name, value in headers:
            kind = kinds.get(name)
            if kind is None:
                kind = self._learn(name)
            if kind:
                if kind != "date":
                    continue
                dated = True
            head += f"{name}: {value}\r\n"
            lines += 1
        if len(head) > HTTP_HEAD_BYTES_MAX:
            raise InvalidHeaderError(
                f"The headers of the response are {len(head)} characters long; the limit is {HTTP_HEAD_BYTES_MAX}."
            )
        # One look over everything instead of one per field: a line break that is not ours makes the count differ.
        bare = head.replace("\r\n", "")
        if len(head) - len(bare) != 2 * lines or (not bare.isprintable() and _CONTROL.search(bare)):
            raise InvalidHeaderError(_culprit(reason, headers))
        if length is not None:
            head += f"Content-Length: {length}\r\n"
        elif chunked:
            head += "Transfer-Encoding: chunked\r\n"
        if not dated:
            second = int(self._now())
            if second != self._date_second:
                self._date_second = second
                self._date_line = f"Date: {formatdate(second, usegmt=True)}\r\n"
            head += self._date_line
        if connection:
            head += f"Connection: {connection}\r\n"
        try:
            return (head + "\r\n").encode("latin-1")
        except UnicodeEncodeError:
            raise InvalidHeaderError(_culprit(reason, headers)) from None

    def _learn(self, name: str) -> str:
        """ "" for a field that goes out as it is, "date" for that one, "dropped" for those that are ours to set."""
        lower = name.lower()
        if lower == "date":
            kind = "date"
        elif lower in _HOP_BY_HOP or lower == "content-length":
            kind = "dropped"
        elif _TOKEN.fullmatch(name) is None:
            raise InvalidHeaderError(f"{_excerpt(name)} is not a valid header name.")
        else:
            kind = ""
        if len(self._kinds) < _NAMES_MAX:
            self._kinds[name] = kind
        return kind


def declared_length(headers: HeaderPairs) -> int | None:
    """The Content-Length that a program gave; raises `InvalidHeaderError` for one that is no number."""
    for name, value in headers:
        if name.lower() == "content-length":
            if not (value.isascii() and value.isdigit() and len(value) <= 18):
                raise InvalidHeaderError(f"The value of header {name!r} is not a number of bytes: {_excerpt(value)}")
            return int(value)
    return None


def _culprit(reason: str, headers: HeaderPairs) -> str:
    """Which part of a head that cannot be sent is at fault, for the developer."""
    for what, text in (("The status text", reason), *((f"The value of header {n!r}", value) for n, value in headers)):
        control = _CONTROL.search(text)
        if control is not None:
            return f"{what} contains the control character {control.group()!r}: {_excerpt(text)}"
        for character in text:
            if ord(character) > 255:
                return (
                    f"{what} contains {character!r}, which is not a latin-1 character: {_excerpt(text)} "
                    "(encode it first, for instance with urllib.parse.quote)"
                )
    return "The response head contains a character that HTTP does not allow."


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
