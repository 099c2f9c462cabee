"""A host's table of client sockets: what survives hibernation. The connections themselves live in the gateway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from durable import values
from durable.errors import DurableError
from durable.limits import SOCKET_ATTACHMENT_BYTES_MAX
from durable.sdk.websocket import WebSocket, WebSocketRequestResponsePair
from durable.wire.messages import (
    ActorKey,
    AutoResponseState,
    SocketAccepted,
    SocketAttachment,
    SocketClose,
    SocketSend,
    SocketState,
)

if TYPE_CHECKING:
    from durable.actor.actor import Actor


class SocketRecord:
    """One accepted socket; `web_socket` is the object user code holds while its actor is in memory."""

    __slots__ = ("actor", "attachment", "auto_response_ms", "hibernatable", "protocol", "socket", "tags", "web_socket")

    def __init__(self, socket: int, actor: ActorKey, tags: list[str], *, hibernatable: bool) -> None:
        self.socket = socket
        self.actor = actor
        self.tags = tags
        self.hibernatable = hibernatable
        self.attachment: bytes | None = None
        self.protocol = ""
        self.auto_response_ms = 0
        self.web_socket: WebSocket | None = None


class SocketTable:
    """Records by socket and by actor, oldest first."""

    def __init__(self) -> None:
        self._by_socket: dict[int, SocketRecord] = {}
        self._by_actor: dict[str, dict[int, SocketRecord]] = {}
        self._auto_responses: dict[str, WebSocketRequestResponsePair] = {}

    def restore(self, sockets: Iterable[SocketState], auto_responses: Iterable[AutoResponseState]) -> None:
        """Take over what the gateway knows, when this host is attached."""
        for state in sockets:
            record = SocketRecord(state.socket, state.actor, list(state.tags), hibernatable=True)
            record.attachment = state.attachment
            record.protocol = state.protocol
            record.auto_response_ms = state.auto_response_ms
            self.add(record)
        for pair in auto_responses:
            self._auto_responses[pair.actor.id] = WebSocketRequestResponsePair(pair.request, pair.response)

    def add(self, record: SocketRecord) -> None:
        self._by_socket[record.socket] = record
        self._by_actor.setdefault(record.actor.id, {})[record.socket] = record

    def get(self, socket: int) -> SocketRecord | None:
        return self._by_socket.get(socket)

    def of(self, actor_id: str) -> list[SocketRecord]:
        """The actor's sockets in the order in which they were accepted."""
        return list(self._by_actor.get(actor_id, {}).values())

    def forget(self, record: SocketRecord) -> None:
        self._by_socket.pop(record.socket, None)
        mine = self._by_actor.get(record.actor.id)
        if mine is not None:
            mine.pop(record.socket, None)
            if not mine:
                del self._by_actor[record.actor.id]

    def forget_objects(self, actor_id: str) -> None:
        """The actor left memory: the next activation makes new `WebSocket` objects."""
        for record in self._by_actor.get(actor_id, {}).values():
            record.web_socket = None

    def auto_response(self, actor_id: str) -> WebSocketRequestResponsePair | None:
        return self._auto_responses.get(actor_id)

    def set_auto_response(self, actor_id: str, pair: WebSocketRequestResponsePair | None) -> None:
        if pair is None:
            self._auto_responses.pop(actor_id, None)
        else:
            self._auto_responses[actor_id] = pair

    def statistics(self) -> int:
        """How many sockets this host's actors have."""
        return len(self._by_socket)


class PendingSend:
    """One payload on its way to one or many sockets: sends of the same payload in one turn travel as one message."""

    __slots__ = ("actor", "binary", "sockets", "text")

    def __init__(self, actor: Actor, socket: int, text: str | None, binary: bytes | None) -> None:
        self.actor = actor
        self.sockets = [socket]
        self.text = text
        self.binary = binary

    def __call__(self, epoch: int) -> None:
        self.actor.engine.send(SocketSend(self.sockets, self.text, self.binary, epoch))


class ActorSocket:
    """Connects one `WebSocket` object to its record and to the actor's output gate."""

    __slots__ = ("actor", "record")

    def __init__(self, actor: Actor, record: SocketRecord) -> None:
        self.actor = actor
        self.record = record

    @property
    def socket(self) -> int:
        return self.record.socket

    def accept(self) -> None:
        record = self.record
        self.actor.emit(
            lambda epoch: self.actor.engine.send(
                SocketAccepted(record.socket, record.actor, record.tags, record.hibernatable, epoch)
            )
        )

    def send(self, text: str | None, binary: bytes | None) -> None:
        actor = self.actor
        actor.check_usable()
        if actor.outbox:
            # A broadcast is a loop of sends: the same object again, so identity is enough and costs nothing.
            last = actor.outbox[-1]
            if isinstance(last, PendingSend) and last.text is text and last.binary is binary:
                last.sockets.append(self.record.socket)
                return
        actor.emit(PendingSend(actor, self.record.socket, text, binary))

    def close(self, code: int, reason: str) -> None:
        record = self.record
        self.actor.check_usable()
        self.actor.emit(lambda epoch: self.actor.engine.send(SocketClose(record.socket, code, reason, epoch)))

    def save_attachment(self, value: Any) -> None:
        encoded = encoded_attachment(value)
        record = self.record
        self.actor.check_usable()
        record.attachment = encoded
        self.actor.emit(lambda epoch: self.actor.engine.send(SocketAttachment(record.socket, encoded, epoch)))

    def load_attachment(self) -> Any:
        return None if self.record.attachment is None else values.decode(self.record.attachment)


def encoded_attachment(value: Any) -> bytes:
    """What is kept of an attachment. Raises DataCloneError, or DurableError when it is too large."""
    encoded = values.encode(value)
    if len(encoded) > SOCKET_ATTACHMENT_BYTES_MAX:
        raise DurableError(
            f"A WebSocket 'attachment' cannot be larger than {SOCKET_ATTACHMENT_BYTES_MAX} bytes. "
            f"'attachment' was {len(encoded)} bytes."
        )
    return encoded


def web_socket_of(actor: Actor, record: SocketRecord) -> WebSocket:
    """The object for `record`, made anew after hibernation; the same one for as long as the actor is in memory."""
    if record.web_socket is None:
        socket = WebSocket()
        socket.protocol = record.protocol
        socket.bind(ActorSocket(actor, record))
        record.web_socket = socket
    return record.web_socket
