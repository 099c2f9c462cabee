"""What the gateway remembers of one socket from its acceptance to its last event: actor, tags, attachment, connection.

A record knows its connection and what is queued for it; where its events go is the room's business.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from durable.gateway.client_socket import ClientSocket
from durable.gateway.link import HostLink
from durable.gateway.upgrade import UpgradeRequest
from durable.gateway.websocket_frames import Frame
from durable.limits import SOCKET_SEND_BUFFER_BYTES_MAX
from durable.wire.messages import ActorKey, SocketState

if TYPE_CHECKING:
    from durable.gateway.joined_sockets import JoinedEnd


class SocketRoom(Protocol):
    """Who owns the records."""

    def took(self, record: SocketRecord, text: str | None, binary: bytes | None) -> None: ...
    def closed(self, record: SocketRecord, code: int, reason: str, was_clean: bool) -> None: ...
    def failed(self, record: SocketRecord, text: str) -> None: ...
    def ended(self, record: SocketRecord) -> None: ...
    def pause(self, record: SocketRecord) -> asyncio.Future[None] | None: ...


class SocketRecord:
    """One socket. The two halves meet here in either order: accepted by an actor, connected to a client."""

    __slots__ = (
        "actor",
        "attachment",
        "auto_response_ms",
        "client",
        "close_code",
        "closing",
        "dead",
        "expiry",
        "finished",
        "hibernatable",
        "last_heard",
        "link",
        "paused",
        "protocol",
        "request",
        "room",
        "socket",
        "tags",
        "undone",
        "undone_bytes",
        "unsent",
        "unsent_bytes",
        "waiting",
        "wanted_close",
    )

    def __init__(self, room: SocketRoom, socket: int, link: HostLink) -> None:
        self.room = room
        self.socket = socket
        self.link = link
        """The host that accepted it; that of a hibernatable socket may be another by now."""
        self.actor: ActorKey | None = None
        self.tags: list[str] = []
        self.hibernatable = False
        self.attachment: bytes | None = None
        self.protocol = ""
        self.request: UpgradeRequest | None = None
        """What its connection began with, kept when the new code is to be asked again."""
        self.auto_response_ms = 0
        self.client: ClientSocket | JoinedEnd | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self.unsent: list[Frame] = []
        self.unsent_bytes = 0
        self.wanted_close: tuple[int, str] | None = None
        self.undone = 0
        self.undone_bytes = 0
        self.waiting = 0
        """Events without a host; while there are any, newer ones queue behind them."""
        self.paused: asyncio.Future[None] | None = None
        self.last_heard = False
        """Whether the final event was emitted."""
        self.finished = False
        """Whether the actor has handled the final event, or never will."""
        self.dead = False
        """Whether the connection is over or will never be."""
        self.close_code = 0
        self.closing = False
        """Whether its actor has said close, or nobody will any more."""

    @property
    def in_memory(self) -> bool:
        """Whether its actor `accept()`ed it and holds it in memory."""
        return self.actor is not None and not self.hibernatable

    # --- from the actor --------------------------------------------------------------------------------------------
    def send(self, frame: Frame) -> bool:
        """Send, or keep until the client is connected; False when too much is kept."""
        if self.client is not None:
            self.client.send(frame)
        elif self.wanted_close is None and not self.dead:
            self.unsent.append(frame)
            self.unsent_bytes += len(frame.payload)
            return self.unsent_bytes <= SOCKET_SEND_BUFFER_BYTES_MAX
        return True

    def close(self, code: int, reason: str) -> None:
        self.closing = True
        if not self.close_code:
            self.close_code = code
        if self.client is not None:
            self.client.close(code, reason)
        elif self.wanted_close is None:
            self.wanted_close = (code, reason)

    def connect(self, client: ClientSocket | JoinedEnd) -> None:
        """The client is there: what was kept for it goes first."""
        self.client = client
        self.dead = False
        unsent, self.unsent, self.unsent_bytes = self.unsent, [], 0
        for frame in unsent:
            client.send(frame)
        if self.wanted_close is not None:
            client.close(*self.wanted_close)

    def state(self) -> SocketState | None:
        """What a new host must know to go on with it; None when there is nothing to go on with."""
        if self.actor is None or not self.hibernatable or self.finished:
            return None
        return SocketState(
            self.socket, self.actor, self.tags, self.attachment, self.protocol, self.auto_response_ms, self.closing
        )

    def resume(self) -> None:
        """Read on."""
        paused, self.paused = self.paused, None
        if paused is not None and not paused.done():
            paused.set_result(None)

    # --- from the client (SocketListener) --------------------------------------------------------------------------
    def pause(self) -> asyncio.Future[None] | None:
        return self.room.pause(self)

    def message(self, text: str | None, binary: bytes | None) -> None:
        self.room.took(self, text, binary)

    def closed(self, code: int, reason: str, was_clean: bool) -> None:
        self.room.closed(self, code, reason, was_clean)

    def failed(self, text: str) -> None:
        self.room.failed(self, text)

    def ended(self) -> None:
        self.room.ended(self)
