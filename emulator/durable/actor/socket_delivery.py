"""One socket event inside its actor: which handler or listener gets it, and how the closing handshake goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from durable.actor.handlers import call_relaxed, maybe_await
from durable.actor.memory_sockets import deliver_in_memory
from durable.actor.sockets import SocketRecord, web_socket_of
from durable.errors import ActorError, DisconnectedError
from durable.sdk import habits
from durable.sdk.aliases import find_handler
from durable.sdk.websocket import CLOSED, CLOSING, WebSocket, is_close_code
from durable.wire.messages import SocketClosed, SocketFailed, SocketMessage

if TYPE_CHECKING:
    from durable.actor.actor import Actor

_ABNORMAL = 1006
"""RFC 6455 §7.4.1: what is reported for a connection that vanished."""

_ANSWERS_CLOSE = "2026-04-07"
"""Compatibility date from which a client's close is answered for the handler (`web_socket_auto_reply_to_close`)."""

_UNANSWERED = (
    f"a client closed its WebSocket and web_socket_close() did not: the client waits, and sees 1006 when this object "
    f"leaves memory. Call ws.close(code, reason) there, or have it answered: compatibility_date = "
    f'"{_ANSWERS_CLOSE}" or later'
)


async def deliver(actor: Actor, message: SocketMessage | SocketClosed | SocketFailed) -> None:
    """Run the user's code for one event of one socket."""
    record = actor.engine.sockets.get(message.socket)
    if record is None:
        return
    socket = web_socket_of(actor, record)
    if not record.hibernatable:
        await deliver_in_memory(actor, record, socket, message)
        return
    if isinstance(message, SocketMessage):
        await _call(actor, socket, message)
        return
    socket.ready_state = CLOSED if socket.close_sent else CLOSING
    try:
        await _call(actor, socket, message)
    finally:
        if actor.broken is None:
            actor.engine.sockets.forget(record)
            if _is_answered(actor, record, socket, message):
                socket.ready_state = CLOSED


async def _call(actor: Actor, socket: WebSocket, message: SocketMessage | SocketClosed | SocketFailed) -> None:
    args: tuple[object, ...]
    if isinstance(message, SocketMessage):
        name, args = "web_socket_message", (_said(message),)
    elif isinstance(message, SocketClosed):
        name, args = "web_socket_close", (message.code, message.reason, message.was_clean)
    else:
        name, args = "web_socket_error", (DisconnectedError(message.message),)
    handler = find_handler(actor.instance, name)
    if handler is None:
        return
    limits_ms = actor.engine.sockets.event_timeouts_ms
    if limits_ms and actor.key.id in limits_ms:
        await _call_within(limits_ms[actor.key.id], handler, (socket, *args))
    else:
        await maybe_await(call_relaxed(handler, socket, *args))


def _said(message: SocketMessage) -> object:
    return message.text if message.text is not None else habits.arrived(message.binary or b"")


def arguments_of(message: SocketMessage | SocketClosed | SocketFailed) -> dict[str, object]:
    """What a handler was given besides the socket, for the report of its failure."""
    if isinstance(message, SocketMessage):
        return {"message": message.text if message.text is not None else message.binary}
    if isinstance(message, SocketClosed):
        return {"code": message.code, "reason": message.reason, "was_clean": message.was_clean}
    return {"error": message.message}


async def _call_within(limit_ms: int, handler: Any, args: tuple[object, ...]) -> None:
    limit = asyncio.timeout(limit_ms / 1000)
    try:
        async with limit:
            await maybe_await(call_relaxed(handler, *args))
    except TimeoutError:
        if not limit.expired():
            raise  # the handler's own
        # The platform's words: programs look for them in their logs.
        raise ActorError("Actor exceeded event execution time and was disconnected.") from None


def _is_answered(actor: Actor, record: SocketRecord, socket: WebSocket, message: SocketClosed | SocketFailed) -> bool:
    """Whether both sides have said what they had to; says it for a handler that did not, where that is due."""
    if not isinstance(message, SocketClosed) or socket.close_sent or message.code == _ABNORMAL:
        return True
    # A project without a date runs like a new one.
    if (actor.engine.compatibility_date or _ANSWERS_CLOSE) >= _ANSWERS_CLOSE:
        # What may not be sent, such as 1005, is answered with 1000.
        if is_close_code(message.code):
            socket.close(message.code, message.reason)
        else:
            socket.close(1000)
        return True
    sockets = actor.engine.sockets
    sockets.left_unanswered(record)
    if record.actor.namespace not in sockets.warned:
        sockets.warned.add(record.actor.namespace)
        actor.engine.log("warning", _UNANSWERED, actor.label)
    return False
