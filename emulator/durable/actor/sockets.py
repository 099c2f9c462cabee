"""A host's table of client sockets: what survives hibernation. The connections themselves live in the gateway.

What an actor sets for all its sockets, an auto-response and a time limit for their events, lasts as long as it is in
memory or has a hibernatable socket: then nobody is left who could notice that it is gone, and the table does not grow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from durable import values
from durable.errors import RefusedError
from durable.limits import SOCKET_ATTACHMENT_BYTES_MAX, SOCKETS_PER_OBJECT_MAX
from durable.sdk.websocket import CLOSED, WebSocket, WebSocketRequestResponsePair
from durable.wire.messages import (
    ActorKey,
    AutoResponseState,
    SetAutoResponse,
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

    __slots__ = (
        "actor", "attachment", "auto_response_ms", "closing", "gone", "hibernatable", "protocol", "socket", "tags",
        "web_socket",
    )  # fmt: skip

    def __init__(self, socket: int, actor: ActorKey, tags: list[str], *, hibernatable: bool) -> None:
        self.socket = socket
        self.actor = actor
        self.tags = tags
        self.hibernatable = hibernatable
        self.attachment: bytes | None = None
        self.protocol = ""
        self.auto_response_ms = 0
        self.closing = False
        """Whether the actor has said close."""
        self.gone = False
        """Whether its last event is over, or its actor was reset."""
        self.web_socket: WebSocket | None = None


class SocketTable:
    """Records by socket and by actor, oldest first."""

    def __init__(self) -> None:
        self._by_socket: dict[int, SocketRecord] = {}
        self._by_actor: dict[str, dict[int, SocketRecord]] = {}
        self._auto_responses: dict[str, WebSocketRequestResponsePair] = {}
        self._unanswered: dict[str, dict[int, None]] = {}
        self.event_timeouts_ms: dict[str, int] = {}
        """How long a `web_socket_*` handler of an actor may run, where the actor has set a limit."""
        self.warned: set[str] = set()
        """Namespaces whose developer has read that a close went unanswered."""

    def restore(self, sockets: Iterable[SocketState], auto_responses: Iterable[AutoResponseState]) -> None:
        """Take over what the gateway knows, when this host is attached."""
        for state in sockets:
            record = SocketRecord(state.socket, state.actor, list(state.tags), hibernatable=True)
            record.attachment = state.attachment
            record.protocol = state.protocol
            record.auto_response_ms = state.auto_response_ms
            record.closing = state.closing
            self.add(record)
        for pair in auto_responses:
            if pair.request is not None and pair.response is not None:
                self._auto_responses[pair.actor.id] = WebSocketRequestResponsePair(pair.request, pair.response)
            if pair.event_timeout_ms:
                self.event_timeouts_ms[pair.actor.id] = pair.event_timeout_ms

    def add(self, record: SocketRecord) -> None:
        self._by_socket[record.socket] = record
        self._by_actor.setdefault(record.actor.id, {})[record.socket] = record

    def get(self, socket: int) -> SocketRecord | None:
        return self._by_socket.get(socket)

    def of(self, actor_id: str) -> list[SocketRecord]:
        """The actor's sockets in the order in which they were accepted."""
        return list(self._by_actor.get(actor_id, {}).values())

    def count(self, actor_id: str) -> int:
        return len(self._by_actor.get(actor_id, ()))

    def forget(self, record: SocketRecord) -> None:
        """The socket is over; whoever still holds its `WebSocket` finds neither tags nor attachment."""
        record.gone = True
        record.attachment = None
        record.tags = []
        if record.web_socket is not None:
            record.web_socket.part()
        self._by_socket.pop(record.socket, None)
        mine = self._by_actor.get(record.actor.id)
        if mine is not None:
            mine.pop(record.socket, None)
            if not mine:
                del self._by_actor[record.actor.id]

    def forget_objects(self, actor_id: str) -> None:
        """The actor left memory: the next activation makes new `WebSocket` objects."""
        for record in self._by_actor.get(actor_id, {}).values():
            if record.web_socket is not None:
                record.web_socket.part()
                record.web_socket = None

    def auto_response(self, actor_id: str) -> WebSocketRequestResponsePair | None:
        return self._auto_responses.get(actor_id)

    def set_auto_response(self, actor_id: str, pair: WebSocketRequestResponsePair | None) -> None:
        if pair is None:
            self._auto_responses.pop(actor_id, None)
        else:
            self._auto_responses[actor_id] = pair

    def left_unanswered(self, record: SocketRecord) -> None:
        """Its client said close, and the handler did not; until the actor leaves memory it may still do so."""
        unanswered = self._unanswered.setdefault(record.actor.id, {})
        if len(unanswered) >= SOCKETS_PER_OBJECT_MAX:
            # The gateway has given up on the oldest long ago.
            del unanswered[next(iter(unanswered))]
        unanswered[record.socket] = None

    def answered(self, record: SocketRecord) -> None:
        self._unanswered.get(record.actor.id, {}).pop(record.socket, None)

    def take_unanswered(self, actor_id: str) -> list[int]:
        """Sockets that nobody will answer any more."""
        return list(self._unanswered.pop(actor_id, ()))

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

    @property
    def hibernatable(self) -> bool:
        return self.record.hibernatable

    def accept(self, joins: int) -> None:
        """Tell the gateway; `joins` is the socket at the other end when that is user code's, too, or 0."""
        record = self.record
        self.actor.emit(
            lambda epoch: self.actor.engine.send(
                SocketAccepted(record.socket, record.actor, record.tags, record.hibernatable, epoch, joins)
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
        self.actor.engine.sockets.answered(record)
        record.closing = True
        socket = record.web_socket
        if not record.hibernatable and socket is not None and socket.allow_half_open and socket.ready_state == CLOSED:
            # The other end said close before, and this was the answer. After the listener that may be running.
            self.actor.engine.loop.call_soon(self.actor.engine.sockets.forget, record)
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
        raise RefusedError(
            # Without a space between the sentences, as on the platform: programs look for this text.
            f"A WebSocket 'attachment' cannot be larger than {SOCKET_ATTACHMENT_BYTES_MAX} bytes."
            f"'attachment' was {len(encoded)} bytes."
        )
    return encoded


def copied_attachment(value: Any) -> Any:
    """What would be read back of it. Raises as `encoded_attachment`."""
    return values.decode(encoded_attachment(value))


def web_socket_of(actor: Actor, record: SocketRecord) -> WebSocket:
    """The object for `record`, made anew after hibernation; the same one for as long as the actor is in memory."""
    if record.web_socket is None:
        socket = WebSocket.unaccepted()
        socket.protocol = record.protocol
        socket.bind(ActorSocket(actor, record))
        if record.closing:
            socket.restore_closing()
        record.web_socket = socket
    return record.web_socket


def drop_sockets(actor: Actor) -> None:
    """The actor was reset: its clients see 1006, and nothing that it set for its sockets is kept."""
    table = actor.engine.sockets
    for record in table.of(actor.key.id):
        table.forget(record)
        _hang_up(actor, record.socket)
    leave_sockets(actor)


def leave_sockets(actor: Actor) -> None:
    """The actor leaves memory: hibernatable sockets stay open, except those that were closed and never answered."""
    hang_up_unanswered(actor)
    table, actor_id = actor.engine.sockets, actor.key.id
    if table.count(actor_id):
        table.forget_objects(actor_id)
        return
    if table.auto_response(actor_id) is not None or actor_id in table.event_timeouts_ms:
        table.set_auto_response(actor_id, None)
        table.event_timeouts_ms.pop(actor_id, None)
        actor.engine.send(SetAutoResponse(actor.key, None, None, 0))


def hang_up_unanswered(actor: Actor) -> None:
    """Nobody is left who could answer these clients."""
    for socket in actor.engine.sockets.take_unanswered(actor.key.id):
        _hang_up(actor, socket)


def tell_settings(actor: Actor) -> None:
    """Have the gateway keep what the actor has set for all its sockets."""
    pair = actor.engine.sockets.auto_response(actor.key.id)
    request, response = (None, None) if pair is None else (pair.request, pair.response)
    timeout_ms = actor.engine.sockets.event_timeouts_ms.get(actor.key.id, 0)
    actor.emit(lambda epoch: actor.engine.send(SetAutoResponse(actor.key, request, response, epoch, timeout_ms)))


def _hang_up(actor: Actor, socket: int) -> None:
    actor.engine.send(SocketClose(socket, 1006, "", 0))
