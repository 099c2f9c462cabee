"""A WebSocket's handshake as the gateway keeps it: what the client asked for, and what the program's 101 says to it."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp.helpers import RequestKey
from msgspec import Struct

from durable.gateway.client_socket import Upgrade
from durable.gateway.headers import HeaderPairs
from durable.wire.messages import HttpReply, HttpRequest

_OWN_FIELDS = frozenset({"connection", "upgrade", "content-length", "content-type", "transfer-encoding", "date"})
"""Fields of a 101 that the handshake sets itself, with every `sec-websocket-*`."""


class UpgradeRequest(Struct, frozen=True):
    """The request that a WebSocket began with, as the worker saw it."""

    method: str
    url: str
    headers: HeaderPairs

    @property
    def path(self) -> str:
        """Where it went, without its query, which may hold tokens."""
        return urlsplit(self.url).path

    @property
    def size(self) -> int:
        """Its characters, which are about its bytes."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def question(self, identity: int) -> HttpRequest:
        """The same request once more."""
        return HttpRequest(identity, None, self.method, self.url, self.headers, b"", 0, True)

    def agreed_protocol(self, reply: HttpReply) -> str:
        """The sub-protocol that this answer settles on; empty for none (RFC 6455 §4.2.2)."""
        chosen = _protocol(reply)
        offers = (value for name, value in self.headers if name.lower() == "sec-websocket-protocol")
        offered = {word.strip() for value in offers for word in value.split(",")}
        return chosen if chosen is not None and chosen in offered else ""


UPGRADE_REQUEST = RequestKey("upgrade_request", UpgradeRequest)
"""Where an aiohttp request carries it from the HTTP front to the room of sockets."""


def upgrade_of(reply: HttpReply) -> Upgrade:
    """The handshake that hands the socket of `reply` to its client, with the reply's own headers."""
    upgrade = Upgrade(_protocol(reply))
    for name, value in reply.headers:
        lowered = name.lower()
        if lowered not in _OWN_FIELDS and not lowered.startswith("sec-websocket-"):
            upgrade.headers.add(name, value)
    return upgrade


def _protocol(reply: HttpReply) -> str | None:
    return next((value for name, value in reply.headers if name.lower() == "sec-websocket-protocol"), None)
