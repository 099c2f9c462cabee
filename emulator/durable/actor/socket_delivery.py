"""One socket event inside its actor: which handler or listener gets it, and how the closing handshake goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.actor.handlers import call_relaxed, maybe_await
from durable.actor.sockets import SocketRecord, web_socket_of
from durable.sdk.aliases import find_handler
from durable.sdk.websocket import CLOSED, CLOSING, WebSocket, is_close_code
from durable.sdk.websocket import SocketEvent as ListenerEvent
from durable.wire.messages import SocketClosed, SocketFailed, SocketMessage

if TYPE_CHECKING:
    from durable.actor.actor import Actor

_NO_STATUS, _ABNORMAL = 1005, 1006
"""RFC 6455 §7.4.1: what is reported for a close frame without a code, and for a connection that vanished."""


async def deliver(actor: Actor, message: SocketMessage | SocketClosed | SocketFailed) -> None:
    """Run the user's code for one event of one socket."""
    record = actor.engine.sockets.get(message.socket)
    if record is None:
        return
    socket = web_socket_of(actor, record)
    if isinstance(message, SocketMessage):
        data = message.text if message.text is not None else message.binary
        await _call(actor, record, "web_socket_message", ListenerEvent("message", data), socket, data)
        return
    socket.ready_state = CLOSED if socket.close_sent else CLOSING
    try:
        if isinstance(message, SocketClosed):
            event = ListenerEvent("close", None, message.code, message.reason, message.was_clean)
            await _call(
                actor, record, "web_socket_close", event, socket, message.code, message.reason, message.was_clean
            )
        else:
            error = ConnectionError(message.message)
            await _call(actor, record, "web_socket_error", ListenerEvent("error", message.message), socket, error)
    finally:
        if actor.broken is None:
            _answer_close(socket, message)
            socket.ready_state = CLOSED
            actor.engine.sockets.forget(record)


async def _call(actor: Actor, record: SocketRecord, name: str, event: ListenerEvent, *args: object) -> None:
    if record.hibernatable:
        handler = find_handler(actor.instance, name)
        if handler is not None:
            await maybe_await(call_relaxed(handler, *args))
        return
    socket = args[0]
    assert isinstance(socket, WebSocket)
    for listener in socket.listeners(event.type):
        await maybe_await(listener(event))


def _answer_close(socket: WebSocket, message: SocketClosed | SocketFailed) -> None:
    # The platform answers a close by itself since compatibility date 2026-04-07; 1005 and 1006 may not be sent.
    if not isinstance(message, SocketClosed) or socket.close_sent or message.code == _ABNORMAL:
        return
    if message.code == _NO_STATUS:
        socket.close()
    elif is_close_code(message.code):
        socket.close(message.code, message.reason)
    else:
        socket.close(1000)
