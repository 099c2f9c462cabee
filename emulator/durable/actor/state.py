"""`ctx` of one actor: the sdk's interface, implemented."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from durable.actor.critical_section import run_critical
from durable.actor.sockets import ActorSocket, SocketRecord, encoded_attachment, web_socket_of
from durable.actor.storage import ActorStorage
from durable.errors import ActorResetError, DurableError, DurableObjectAbort, OverloadedError
from durable.limits import SOCKET_TAG_BYTES_MAX, SOCKET_TAGS_MAX, SOCKETS_PER_OBJECT_MAX
from durable.sdk.ids import DurableObjectId
from durable.sdk.state import DurableObjectState
from durable.sdk.websocket import WebSocket, WebSocketRequestResponsePair
from durable.wire.messages import SetAutoResponse

if TYPE_CHECKING:
    from durable.actor.actor import Actor

T = TypeVar("T")


class ActorState(DurableObjectState):
    """`ctx`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.id = DurableObjectId(actor.key.namespace, actor.key.id, actor.key.name)
        self.storage = ActorStorage(actor)

    def wait_until(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        actor = self._actor

        async def wait() -> None:
            try:
                await work
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                actor.engine.log_failure(error, actor.label, "wait_until")

        _ = actor.spawn(wait())

    def block_concurrency_while(self, callback: Callable[[], Any]) -> Awaitable[Any]:
        return run_critical(self._actor, callback, breaks=True)

    def accept_web_socket(self, ws: WebSocket, tags: Sequence[str] = ()) -> None:
        if not isinstance(ws, WebSocket):
            raise TypeError(f"accept_web_socket() takes a WebSocket, got {type(ws).__name__}")
        if isinstance(tags, str):
            raise TypeError(f"tags are a list of strings, got the string {tags!r}; write [{tags!r}]")
        self._actor.accept_socket(ws, _checked_tags(tags), hibernatable=True)

    def get_web_sockets(self, tag: str | None = None) -> list[WebSocket]:
        records = [record for record in self._actor.engine.sockets.of(self._actor.key.id) if record.hibernatable]
        if tag is None:
            records.reverse()
        else:
            records = [record for record in records if tag in record.tags]
        return [web_socket_of(self._actor, record) for record in records]

    def get_tags(self, ws: WebSocket) -> list[str]:
        return list(self._record(ws, "get_tags").tags)

    def set_web_socket_auto_response(self, pair: WebSocketRequestResponsePair | None = None) -> None:
        actor = self._actor
        actor.check_usable()
        request, response = (None, None) if pair is None else (pair.request, pair.response)
        actor.engine.sockets.set_auto_response(actor.key.id, pair)
        actor.emit(lambda epoch: actor.engine.send(SetAutoResponse(actor.key, request, response, epoch)))

    def get_web_socket_auto_response(self) -> WebSocketRequestResponsePair | None:
        return self._actor.engine.sockets.auto_response(self._actor.key.id)

    def get_web_socket_auto_response_timestamp(self, ws: WebSocket) -> datetime | None:
        sent_ms = self._record(ws, "get_web_socket_auto_response_timestamp").auto_response_ms
        return datetime.fromtimestamp(sent_ms / 1000, UTC) if sent_ms else None

    def abort(self, reason: str | None = None) -> NoReturn:
        text = reason or "Application called abort() to reset Durable Object."
        self._actor.check_thread()
        self._actor.reset(ActorResetError(text))
        raise DurableObjectAbort(text)

    def _record(self, ws: WebSocket, asked: str) -> SocketRecord:
        if not isinstance(ws.link, ActorSocket) or not ws.link.record.hibernatable:
            raise DurableError(f"{asked}() is for sockets that ctx.accept_web_socket() took")
        return ws.link.record


def accept_socket(actor: Actor, ws: WebSocket, tags: list[str], *, hibernatable: bool, number: int) -> None:
    """Bind the server's end of a pair to a new record under `number`."""
    if ws.link is not None:
        raise DurableError("this WebSocket was already accepted")
    if ws.peer is None or ws.handed_over:
        raise DurableError("accept the server's end of a WebSocketPair; this end was already used in a Response")
    if len(actor.engine.sockets.of(actor.key.id)) >= SOCKETS_PER_OBJECT_MAX:
        raise OverloadedError(
            f"only {SOCKETS_PER_OBJECT_MAX} websockets can be accepted on a single Durable Object instance"
        )
    if ws.unsaved_attachment is not None:
        encoded_attachment(ws.unsaved_attachment)  # refused now, while nothing has been accepted
    record = SocketRecord(number, actor.key, tags, hibernatable=hibernatable)
    record.web_socket = ws
    actor.engine.sockets.add(record)
    link = ActorSocket(actor, record)
    # The gateway hears of the socket before it hears what is sent to it.
    link.accept()
    ws.bind(link)


def _checked_tags(tags: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(str(tag) for tag in tags))
    if len(unique) > SOCKET_TAGS_MAX:
        raise DurableError(f"a Hibernatable WebSocket cannot have more than {SOCKET_TAGS_MAX} tags, got {len(unique)}")
    for tag in unique:
        if len(tag.encode()) > SOCKET_TAG_BYTES_MAX:
            raise DurableError(f'"{tag}" is longer than the max tag length ({SOCKET_TAG_BYTES_MAX} characters).')
    return unique
