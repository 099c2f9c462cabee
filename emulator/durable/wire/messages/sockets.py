"""Web sockets: what actors do with them, what clients say, and who has heard it."""

from __future__ import annotations

from durable.wire.messages.message import ActorKey, Message


class SocketAccepted(Message, frozen=True, tag=40):
    """Host → gateway: `actor` took the server end of `socket`. Comes before the reply that hands over the client's.

    `joins` is another accepted socket: the two are the ends of one pair, both in the hands of user code, and no client
    of the gateway's will come. `actor` is `WORKER` when a worker took it.
    """

    socket: int
    actor: ActorKey
    tags: list[str]
    hibernatable: bool
    epoch: int = 0
    joins: int = 0


class SocketSend(Message, frozen=True, tag=41):
    """Host → gateway: one payload to many sockets. Exactly one of `text` and `binary` is set."""

    sockets: list[int]
    text: str | None
    binary: bytes | None
    epoch: int = 0


class SocketClose(Message, frozen=True, tag=42):
    """Host → gateway: close with this code; 0 means an empty close frame, 1006 means drop without one."""

    socket: int
    code: int
    reason: str
    epoch: int = 0


class SocketAttachment(Message, frozen=True, tag=43):
    """Host → gateway: the attachment that the next activation finds."""

    socket: int
    attachment: bytes
    epoch: int = 0


class SetAutoResponse(Message, frozen=True, tag=44):
    """Host → gateway: answer `request` with `response` for every socket of `actor`; both None unsets.

    `event_timeout_ms` is for the next host alone; 0 is for none.
    """

    actor: ActorKey
    request: str | None
    response: str | None
    epoch: int = 0
    event_timeout_ms: int = 0


class SocketMessage(Message, frozen=True, tag=45):
    """Gateway → host: a client sent this. `event` is unique in the emulator's life."""

    event: int
    socket: int
    text: str | None
    binary: bytes | None


class SocketClosed(Message, frozen=True, tag=46):
    """Gateway → host: a client closed (1005 without a code) or vanished (1006, `was_clean` False)."""

    event: int
    socket: int
    code: int
    reason: str
    was_clean: bool


class SocketFailed(Message, frozen=True, tag=47):
    """Gateway → host: the client broke the protocol; `web_socket_error` gets this message."""

    event: int
    socket: int
    message: str


class Begun(Message, frozen=True, tag=48):
    """Host → gateway, before their handlers run: these socket events will never be delivered twice."""

    events: list[int]


class Done(Message, frozen=True, tag=49):
    """Host → gateway: these socket events are finished and can be forgotten."""

    events: list[int]
    epoch: int = 0


class AutoResponded(Message, frozen=True, tag=50):
    """Gateway → host: a socket's auto-response was sent at this wall time."""

    socket: int
    wall_ms: int
