"""`ctx` of one actor: the sdk's interface, implemented."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from durable.actor.critical_section import run_critical
from durable.actor.pins import WAIT_UNTIL
from durable.actor.sockets import ActorSocket, SocketRecord, encoded_attachment, tell_settings, web_socket_of
from durable.actor.storage import ActorStorage
from durable.errors import ActorResetError, DurableObjectAbort, JsRangeError, JsTypeError, RefusedError
from durable.limits import (
    SOCKET_EVENT_TIMEOUT_MS_MAX,
    SOCKET_TAG_BYTES_MAX,
    SOCKET_TAGS_MAX,
    SOCKETS_PER_OBJECT_MAX,
)
from durable.sdk import portability
from durable.sdk.aliases import merge_options
from durable.sdk.ids import DurableObjectId
from durable.sdk.js_values import as_array, as_date
from durable.sdk.state import DurableObjectState
from durable.sdk.websocket import WebSocket, WebSocketRequestResponsePair

if TYPE_CHECKING:
    from durable.actor.actor import Actor

T = TypeVar("T")
_SEQUENCES = ("list", "tuple", "set", "frozenset")


class ActorState(DurableObjectState):
    """`ctx`."""

    schema_version: int | None = None
    """How many migrations the object has; None for a class without any."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.id = DurableObjectId(actor.key.namespace, actor.key.id, actor.key.name)
        self.storage = ActorStorage(actor)

    @property
    def exports(self) -> Any:
        return self._actor.engine.exports

    def wait_until(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        wait_until(self._actor, work)

    def block_concurrency_while(self, callback: Callable[[], Any]) -> Awaitable[Any]:
        return run_critical(self._actor, callback, breaks=True)

    def accept_web_socket(self, ws: WebSocket, tags: Sequence[str] = ()) -> None:
        _check_web_socket(ws, "accept_web_socket")
        self._actor.accept_socket(ws, _checked_tags(tags), hibernatable=True)

    def get_web_sockets(self, tag: str | None = None) -> list[WebSocket]:
        records = [record for record in self._actor.engine.sockets.of(self._actor.key.id) if record.hibernatable]
        if tag is None:
            records.reverse()
        else:
            wanted = str(tag)
            records = [record for record in records if wanted in record.tags]
        return as_array([web_socket_of(self._actor, record) for record in records])

    def get_tags(self, ws: WebSocket) -> list[str]:
        _check_web_socket(ws, "get_tags")
        link = ws.link
        if link is None or (isinstance(link, ActorSocket) and link.record.gone):
            raise RefusedError(
                "you must call accept_web_socket() before attempting to access the tags of a WebSocket; "
                "they are gone when web_socket_close() has returned"
            )
        if not isinstance(link, ActorSocket) or not link.record.hibernatable:
            raise RefusedError("only hibernatable websockets can have tags; this one was accepted by ws.accept()")
        return as_array(list(link.record.tags))

    def set_web_socket_auto_response(self, pair: WebSocketRequestResponsePair | None = None) -> None:
        actor = self._actor
        actor.check_usable()
        if pair is not None and not isinstance(cast(object, pair), WebSocketRequestResponsePair):
            raise JsTypeError(
                f"set_web_socket_auto_response() takes a WebSocketRequestResponsePair, got {type(pair).__name__}; "
                'write WebSocketRequestResponsePair("ping", "pong")'
            )
        # Constructors set the same pair at each waking: the gateway has it.
        if not _is_same(pair, actor.engine.sockets.auto_response(actor.key.id)):
            actor.engine.sockets.set_auto_response(actor.key.id, pair)
            tell_settings(actor)

    def get_web_socket_auto_response(self) -> WebSocketRequestResponsePair | None:
        return self._actor.engine.sockets.auto_response(self._actor.key.id)

    def get_web_socket_auto_response_timestamp(self, ws: WebSocket) -> datetime | None:
        _check_web_socket(ws, "get_web_socket_auto_response_timestamp")
        sent_ms = ws.link.record.auto_response_ms if isinstance(ws.link, ActorSocket) else 0
        return as_date(sent_ms) if sent_ms else None

    def set_hibernatable_web_socket_event_timeout(self, timeout_ms: int | None = None) -> None:
        actor = self._actor
        actor.check_usable()
        if isinstance(cast(object, timeout_ms), bool) or not isinstance(timeout_ms, (int, float, type(None))):
            raise JsTypeError(f"an event timeout is a number of milliseconds, got {type(timeout_ms).__name__}")
        if timeout_ms and not timeout_ms <= SOCKET_EVENT_TIMEOUT_MS_MAX:
            raise RefusedError(f"Event timeout should not exceed {SOCKET_EVENT_TIMEOUT_MS_MAX} ms.")
        if timeout_ms and timeout_ms < 0:
            raise JsRangeError(f"an event timeout is not negative, got {timeout_ms} ms; 0 is for none")
        timeouts_ms = actor.engine.sockets.event_timeouts_ms
        if timeout_ms:
            timeouts_ms[actor.key.id] = int(timeout_ms)
        else:
            timeouts_ms.pop(actor.key.id, None)
        tell_settings(actor)

    def get_hibernatable_web_socket_event_timeout(self) -> int | None:
        return self._actor.engine.sockets.event_timeouts_ms.get(self._actor.key.id)

    def abort(self, reason: str | None = None, options: Mapping[str, Any] | None = None, **more: Any) -> NoReturn:
        text = reason or "Application called abort() to reset Durable Object."
        actor = self._actor
        actor.check_thread()
        if options is not None or more:
            merged = merge_options("abort", ("retry_alarm",), options, more)
            actor.retries_alarm = merged.get("retry_alarm") is not False
        actor.reset(ActorResetError(text))
        raise DurableObjectAbort(text)


def wait_until(actor: Actor, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
    """Keep the actor in memory until `work` is done."""

    async def wait() -> None:
        try:
            await work
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            actor.engine.log_failure(error, actor.label, "wait_until")

    _ = actor.spawn(wait(), WAIT_UNTIL)


def accept_socket(actor: Actor, ws: WebSocket, tags: list[str], *, hibernatable: bool, number: int) -> None:
    """Bind the server's end of a pair to a new record under `number`."""
    if ws.link is not None:
        raise RefusedError("Cannot call `accept_web_socket()`: this WebSocket was already accepted")
    if ws.handed_over or (ws.peer is None and (hibernatable or not ws.remote_socket)):
        raise RefusedError("accept the server's end of a WebSocketPair; this end was already used in a Response")
    if hibernatable and ws.peer is not None and (ws.peer.link is not None or ws.peer.handed_over):
        raise RefusedError(
            "Cannot call `accept_web_socket()` on this WebSocket because its pair has already been accepted or used "
            "in a Response; accept the server's end first, then return the client's"
        )
    if actor.engine.sockets.count(actor.key.id) >= SOCKETS_PER_OBJECT_MAX:
        raise RefusedError(
            f"only {SOCKETS_PER_OBJECT_MAX} websockets can be accepted on a single Durable Object instance"
        )
    if ws.unsaved_attachment is not None:
        encoded_attachment(ws.unsaved_attachment)  # refused now, while nothing has been accepted
    record = SocketRecord(number, actor.key, tags, hibernatable=hibernatable)
    record.web_socket = ws
    actor.engine.sockets.add(record)
    link = ActorSocket(actor, record)
    # The gateway hears of the socket before it hears what is sent to it.
    link.accept(ws.other_socket)
    ws.bind(link)


def _is_same(one: WebSocketRequestResponsePair | None, other: WebSocketRequestResponsePair | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.request, one.response) == (other.request, other.response)


def _check_web_socket(ws: object, asked: str) -> None:
    if not isinstance(ws, WebSocket):
        raise JsTypeError(f"{asked}() takes a WebSocket, got {type(ws).__name__}")


def _checked_tags(tags: object) -> list[str]:
    kind = type(tags).__name__
    if isinstance(tags, str):
        raise JsTypeError(f"tags are a list of strings, got the string {tags!r}; write [{tags!r}]")
    if not isinstance(tags, Iterable) or isinstance(tags, (bytes, bytearray, memoryview, Mapping)):
        raise JsTypeError(f'tags are a list of strings, got {kind}; write ["a tag"]')
    # Where they are left out they are an empty tuple.
    if portability.watch is not None and tags != () and kind in _SEQUENCES:
        portability.watch("socket-tags", f"the tags are a {kind}")
    # What is no string is made one, as on the platform, here and in get_web_sockets().
    unique = list(dict.fromkeys(str(tag) for tag in cast("Iterable[object]", tags)))
    if len(unique) > SOCKET_TAGS_MAX:
        raise RefusedError(f"a Hibernatable WebSocket cannot have more than {SOCKET_TAGS_MAX} tags, got {len(unique)}")
    for tag in unique:
        # A lone surrogate counts as what it would be sent as.
        if len(tag.encode(errors="replace")) > SOCKET_TAG_BYTES_MAX:
            raise RefusedError(f'"{tag}" is longer than the max tag length ({SOCKET_TAG_BYTES_MAX} characters).')
    return unique
