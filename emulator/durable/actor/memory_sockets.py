"""An end of a socket that user code holds in memory: its state, the answer to a close, its listeners.

The same for actors and workers, for clients of the gateway, the other end of a pair and servers outside
(workerd `api/web-socket.c++`, readLoop and dispatchEventImpl).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from durable.actor.handlers import is_awaitable
from durable.errors import ActorResetError, DisconnectedError
from durable.limits import SOCKET_CLOSE_ANSWER_SECONDS_MAX
from durable.sdk.websocket import CLOSED, CLOSING, SocketEvent, WebSocket, is_close_code
from durable.wire.messages import SocketClose, SocketClosed, SocketFailed, SocketMessage

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.actor.sockets import SocketRecord

_NORMAL = 1000


class SocketConnected(Struct, frozen=True):
    """`WebSocket(url)` has its connection."""

    protocol: str
    extensions: str


Heard = SocketMessage | SocketClosed | SocketFailed | SocketConnected
Failed = Callable[[BaseException, str], None]
"""Told of what a listener raised, and what was listened to: `(error, "message listener")`."""


_CAUGHT = (Exception, SystemExit, KeyboardInterrupt)
"""A worker's listener must not end the host; what resets an actor is none of these."""


async def hear(socket: WebSocket, message: Heard, failed: Failed) -> None:
    """Run the listeners of one event, in the task of that event; what they raise goes to `failed`."""
    event = _happens(socket, message)
    event.target = socket
    listeners = socket.listeners(event.type)
    if not listeners:
        return
    what = f"{event.type} listener"
    pending: list[Any] = []
    for listener in listeners:
        try:
            result = listener(event)
        except _CAUGHT as error:
            failed(error, what)
        else:
            if is_awaitable(result):
                pending.append(_guarded(result, failed, what))
    if len(pending) == 1:
        await pending[0]
    elif pending:
        # No listener waits for another one.
        await asyncio.gather(*pending)


async def _guarded(result: Awaitable[Any], failed: Failed, what: str) -> None:
    try:
        await result
    except _CAUGHT as error:
        failed(error, what)


def _happens(socket: WebSocket, message: Heard) -> SocketEvent:
    """Bring the end into the state that its listeners find; returns what they hear."""
    if isinstance(message, SocketMessage):
        return SocketEvent("message", message.text if message.text is not None else message.binary)
    if isinstance(message, SocketConnected):
        socket.protocol, socket.extensions = message.protocol, message.extensions
        socket.opened()
        return SocketEvent("open")
    if isinstance(message, SocketFailed):
        _is_gone(socket)
        return SocketEvent("error", message.message, error=DisconnectedError(message.message))
    if not message.was_clean:
        _is_gone(socket)
    elif socket.close_sent:
        socket.ready_state = CLOSED
    elif socket.allow_half_open:
        socket.ready_state = CLOSING
    elif is_close_code(message.code):
        socket.answer_close(message.code, message.reason)
    else:
        socket.answer_close(_NORMAL, "")
    return SocketEvent("close", None, message.code, message.reason, message.was_clean)


def _is_gone(socket: WebSocket) -> None:
    socket.mute()
    socket.ready_state = CLOSED


async def deliver_in_memory(actor: Actor, record: SocketRecord, socket: WebSocket, message: Heard) -> None:
    """One event of a client's socket that an actor holds with `accept()`; forgets the socket when it is over."""
    try:
        await hear(socket, message, partial(log_failure, actor))
    finally:
        if not isinstance(message, SocketMessage) and actor.broken is None:
            if socket.ready_state == CLOSED:
                actor.engine.sockets.forget(record)
            else:
                actor.engine.loop.call_later(SOCKET_CLOSE_ANSWER_SECONDS_MAX, give_up_on, actor, record)


def log_failure(actor: Actor, error: BaseException, what: str) -> None:
    """What a listener of an actor raised, unless its actor was reset: that is told elsewhere."""
    if not isinstance(error, ActorResetError):
        actor.engine.log_failure(error, actor.label, what)


def give_up_on(actor: Actor, record: SocketRecord) -> None:
    """A close that `allow_half_open` left to user code was not answered in time, and would pin the actor for ever."""
    if not record.gone:
        actor.engine.sockets.forget(record)
        actor.engine.send(SocketClose(record.socket, 1006, "", 0))
