"""Sockets of a host that no actor holds, by number: those that workers accepted, and those passed on from the outside.

What clients do on them comes with `Begun` and `Done` as for actors, so that the gateway's bounds hold for them as well.
They end with their host: nothing of a worker survives it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from durable import values
from durable.actor.memory_sockets import Heard, SocketConnected, hear
from durable.actor.sockets import encoded_attachment
from durable.errors import JsTypeError, OverloadedError
from durable.host.outgoing_sockets import OutgoingSocket
from durable.limits import SOCKET_CLOSE_ANSWER_SECONDS_MAX, WORKER_SOCKETS_MAX
from durable.sdk.websocket import CLOSED, WebSocket
from durable.wire.messages import (
    WORKER,
    Done,
    SocketAccepted,
    SocketClose,
    SocketClosed,
    SocketFailed,
    SocketMessage,
    SocketSend,
)

if TYPE_CHECKING:
    from durable.host.host import Host

_NO_CODE, _ABNORMAL = 1005, 1006

ClientEvent = SocketMessage | SocketClosed | SocketFailed


class HeldSocket(Protocol):
    """`take` one event; `done` is called once, when nothing of it is left to do."""

    def take(self, message: ClientEvent, done: Callable[[], None]) -> None: ...


class HeldSockets:
    """The host asks here for what its table of actors' sockets does not know."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sockets: dict[int, HeldSocket] = {}

    def add(self, held: Callable[[int], HeldSocket], joins: int = 0) -> int:
        """Tell the gateway of a new socket; returns its number. Raises OverloadedError at the bound."""
        if len(self._sockets) >= WORKER_SOCKETS_MAX:
            raise OverloadedError(
                f"the workers of one process can hold {WORKER_SOCKETS_MAX} WebSockets, all are in use"
            )
        number = self._host.next_socket()
        self._sockets[number] = held(number)
        self._host.send(SocketAccepted(number, WORKER, [], False, 0, joins))
        return number

    def accept(self, web_socket: WebSocket, context: contextvars.Context) -> None:
        """A worker takes this end; its listeners run in `context`."""
        if web_socket.peer is None and not web_socket.remote_socket:
            raise JsTypeError("accept() is for an end of a WebSocketPair, or for the web_socket of a response")
        if web_socket.unsaved_attachment is not None:
            encoded_attachment(web_socket.unsaved_attachment)  # refused now, while nothing has been accepted
        links: list[WorkerSocket] = []

        def held(number: int) -> WorkerSocket:
            links.append(WorkerSocket(self._host, web_socket, context, number))
            return links[0]

        self.add(held, web_socket.other_socket)
        web_socket.bind(links[0])

    def remove(self, number: int) -> None:
        self._sockets.pop(number, None)

    def deliver(self, message: ClientEvent) -> None:
        """An event of a socket that no actor has; one that nobody has is finished at once."""
        self._host.begun(message.event)
        done = partial(self._host.send, Done([message.event]))
        held = self._sockets.get(message.socket)
        if held is None:
            done()
        else:
            held.take(message, done)

    def statistics(self) -> int:
        return len(self._sockets)


class WorkerSocket:
    """The link of a socket that a worker accepted: its listeners run in the context of that request."""

    hibernatable = False

    def __init__(self, host: Host, web_socket: WebSocket, context: contextvars.Context, number: int) -> None:
        self.socket = number
        self._host = host
        self._web_socket = web_socket
        self._context = context
        self._attachment: bytes | None = None

    # --- SocketLink ------------------------------------------------------------------------------------------------
    def send(self, text: str | None, binary: bytes | None) -> None:
        self._host.send(SocketSend([self.socket], text, binary))

    def close(self, code: int, reason: str) -> None:
        self._host.send(SocketClose(self.socket, code, reason))
        if self._web_socket.ready_state == CLOSED:
            self._host.held.remove(self.socket)

    def save_attachment(self, value: Any) -> None:
        self._attachment = encoded_attachment(value)

    def load_attachment(self) -> Any:
        return None if self._attachment is None else values.decode(self._attachment)

    # --- HeldSocket ------------------------------------------------------------------------------------------------
    def take(self, message: ClientEvent, done: Callable[[], None]) -> None:
        def over() -> None:
            done()
            if self._web_socket.ready_state == CLOSED:
                self._host.held.remove(self.socket)
            elif not isinstance(message, SocketMessage):
                # Half-open: its listeners have to close it, in time.
                self._host.loop.call_later(SOCKET_CLOSE_ANSWER_SECONDS_MAX, self._give_up)

        hear_in(self._host, self._context, self._web_socket, message, over)

    def _give_up(self) -> None:
        if self._web_socket.ready_state != CLOSED:
            self._host.send(SocketClose(self.socket, _ABNORMAL, ""))
            self._host.held.remove(self.socket)


def hear_in(
    host: Host, context: contextvars.Context, web_socket: WebSocket, message: Heard, done: Callable[[], None]
) -> None:
    """Run a worker's listeners in a task of their own; tasks begin in the order of their events."""

    def failed(error: BaseException, what: str) -> None:
        host.log_failure(error, "Default", what)

    def over(_: asyncio.Task[None]) -> None:
        done()

    host.spawn(hear(web_socket, message, failed), context.copy()).add_done_callback(over)


class PassedOnSocket:
    """A socket to the outside that goes to somebody else as it is: frames pass through the host, no user code runs.

    It is the holder of the outgoing half, and the gateway knows the other half by its number.
    """

    def __init__(self, host: Host, outgoing: OutgoingSocket, number: int) -> None:
        self._host = host
        self._outgoing = outgoing
        self._number = number

    # --- from the client (HeldSocket) ------------------------------------------------------------------------------
    def take(self, message: ClientEvent, done: Callable[[], None]) -> None:
        if isinstance(message, SocketMessage):
            self._outgoing.send(message.text, message.binary, done)
            return
        if isinstance(message, SocketClosed) and message.was_clean:
            self._outgoing.close(0 if message.code == _NO_CODE else message.code, message.reason)
        else:
            self._outgoing.drop()
        done()

    # --- from the server outside (SocketHolder) --------------------------------------------------------------------
    def check_usable(self) -> None:
        return

    def say(self, output: Callable[[], None]) -> None:
        output()

    def hear(self, socket: WebSocket, message: Heard, done: Callable[[], None]) -> None:
        if isinstance(message, SocketMessage):
            self._host.send(SocketSend([self._number], message.text, message.binary))
        elif isinstance(message, SocketClosed) and message.was_clean:
            self._host.send(SocketClose(self._number, 0 if message.code == _NO_CODE else message.code, message.reason))
        elif not isinstance(message, SocketConnected):
            self._host.send(SocketClose(self._number, _ABNORMAL, ""))
        done()

    async def wait_room(self) -> None:
        await self._host.wait_writable()

    def hold(self, socket: OutgoingSocket) -> None:
        return

    def let_go(self, socket: OutgoingSocket) -> None:
        self._host.held.remove(self._number)


def pass_on(host: Host, outgoing: OutgoingSocket) -> int:
    """Give a socket to the outside to the gateway; returns its number there."""

    def held(number: int) -> PassedOnSocket:
        passed = PassedOnSocket(host, outgoing, number)
        # Behind the announcement of the number, which is made before anything can be read.
        outgoing.accept(passed)
        return passed

    return host.held.add(held)
