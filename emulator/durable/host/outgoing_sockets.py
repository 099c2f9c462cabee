"""Sockets from user code to servers outside: opening, sending in order behind the output gate, hearing within bounds.

Bounds: at `SOCKET_EVENTS_WAITING_MAX` events, or as many bytes of them as `SOCKET_EVENTS_WAITING_BYTES_MAX`, that the
holder has not handled, nothing more is read, so that the server feels it. A server that does not read is let go when
`SOCKET_SEND_BURST_BYTES_MAX` wait for it: 1013, as for a client of the gateway's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from durable import values
from durable.actor.memory_sockets import Heard, SocketConnected
from durable.actor.sockets import encoded_attachment
from durable.errors import OverloadedError
from durable.host.outgoing_connection import VANISHED, OutgoingConnection, open_connection
from durable.limits import (
    OUTGOING_SOCKETS_MAX,
    SOCKET_CLOSE_ANSWER_SECONDS_MAX,
    SOCKET_CLOSE_SECONDS_MAX,
    SOCKET_CONNECT_SECONDS_MAX,
    SOCKET_EVENTS_WAITING_BYTES_MAX,
    SOCKET_EVENTS_WAITING_MAX,
    SOCKET_SEND_BURST_BYTES_MAX,
)
from durable.sdk.http import Request, Response
from durable.sdk.websocket import WebSocket
from durable.wire.messages import SocketClosed, SocketFailed, SocketMessage

if TYPE_CHECKING:
    from durable.host.host import Host

_ABNORMAL, _TRY_AGAIN_LATER = 1006, 1013
_NOT_ESTABLISHED = "Failed to establish websocket connection"


class SocketHolder(Protocol):
    """Who has a socket: an actor's activation, a worker's request, or the gateway when it was passed on unread."""

    def check_usable(self) -> None:
        """Raises for code that outlived its actor."""
        ...

    def say(self, output: Callable[[], None]) -> None:
        """Call `output` when everything the holder wrote before is durable."""
        ...

    def hear(self, socket: WebSocket, message: Heard, done: Callable[[], None]) -> None:
        """Have the listeners run; `done` is called once, when they have or never will."""
        ...

    async def wait_room(self) -> None:
        """Wait until the holder can take another message."""
        ...

    def hold(self, socket: OutgoingSocket) -> None:
        """The socket is open, and ends with the holder."""
        ...

    def let_go(self, socket: OutgoingSocket) -> None: ...


class _Frame:
    """What was said and has not left: a message, or a close frame when `code` is set."""

    __slots__ = ("allowed", "binary", "code", "size", "text", "written")

    def __init__(self, text: str | None, binary: bytes | None, code: int | None, written: Callable[[], None] | None):
        self.text = text
        self.binary = binary
        self.code = code
        self.size = len(text or "") + len(binary or b"")
        self.written = written
        self.allowed = False
        """Whether what it may reveal is durable."""


class OutgoingSocket:
    """One socket to the outside from its opening to its end; the link of its `WebSocket` once that is accepted."""

    socket = 0
    hibernatable = False

    def __init__(self, host: Host, holder: SocketHolder, web_socket: WebSocket, url: str) -> None:
        """Raises OverloadedError at the bound."""
        check_room(host)
        self.url = url
        self.web_socket = web_socket
        self._host = host
        self._holder = holder
        self._connection: OutgoingConnection | None = None
        self._frames: deque[_Frame] = deque()
        self._bytes_unsent = 0
        self._writing = False
        self._unheard = 0
        self._bytes_unheard = 0
        self._room: asyncio.Future[None] | None = None
        self._close_written = False
        self._last_heard = False
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._attachment: bytes | None = None
        holder.hold(self)
        host.outgoing.add(self)

    # --- opening ---------------------------------------------------------------------------------------------------
    def open(self, protocols: Sequence[str]) -> None:
        """For `WebSocket(url)`: connect when the holder's writes are durable."""
        self.web_socket.bind(self)
        self.web_socket.mute()
        self._holder.say(lambda: self._start(self._open(protocols)))

    async def _open(self, protocols: Sequence[str]) -> None:
        try:
            connection = await open_connection(self.url, (), protocols, deflate=True)
        except OSError as error:
            self._not_opened(str(error))
            return
        if isinstance(connection, Response):
            self._not_opened(f"expected status 101 (switching protocols), but received {connection.status}")
            return
        if self._is_over:
            connection.drop()
            return
        self._connection = connection
        self._tell(SocketConnected(connection.protocol, connection.extensions))
        await self._read(connection)

    def _not_opened(self, reason: str) -> None:
        if not self._is_over:
            self._tell(SocketFailed(0, 0, f"{_NOT_ESTABLISHED}: {reason}"))
            self._tell(SocketClosed(0, 0, _ABNORMAL, _NOT_ESTABLISHED, False))
            self.drop()

    def opened(self, connection: OutgoingConnection) -> None:
        """For `fetch`: the handshake is done, and nobody has accepted the socket."""
        self._connection = connection
        self.web_socket.protocol, self.web_socket.extensions = connection.protocol, connection.extensions
        self.web_socket.outside = self
        self._end_after(SOCKET_CONNECT_SECONDS_MAX)

    def accept(self, holder: SocketHolder) -> None:
        """`holder` listens from now on."""
        connection = self._connection
        assert connection is not None
        if holder is not self._holder:
            self._holder.let_go(self)
            holder.hold(self)
            self._holder = holder
        self.web_socket.outside = None
        self.web_socket.bind(self)
        self._cancel_timer()
        if self._is_over:
            self._tell(SocketClosed(0, 0, _ABNORMAL, VANISHED, False))
        else:
            # Read in a later turn: listeners that are added right after this hear everything.
            self._start(self._read(connection))

    # --- out (SocketLink) ------------------------------------------------------------------------------------------
    def send(self, text: str | None, binary: bytes | None, written: Callable[[], None] | None = None) -> None:
        """`written` is called when the message has left or never will."""
        self._holder.check_usable()
        self._queue(_Frame(text, binary, None, written))

    def close(self, code: int, reason: str) -> None:
        self._holder.check_usable()
        if self._connection is None:
            # Still connecting: there will be no connection.
            self._not_opened("close() was called before")
            return
        self._queue(_Frame(reason, None, code, None))
        if not self._last_heard:
            self._end_after(SOCKET_CLOSE_SECONDS_MAX)

    def save_attachment(self, value: Any) -> None:
        self._attachment = encoded_attachment(value)

    def load_attachment(self) -> Any:
        return None if self._attachment is None else values.decode(self._attachment)

    def _queue(self, frame: _Frame) -> None:
        if self._is_over:
            if frame.written is not None:
                frame.written()
            return
        self._frames.append(frame)
        self._bytes_unsent += frame.size
        if self._bytes_unsent > max(SOCKET_SEND_BURST_BYTES_MAX, frame.size):
            self._vanish(_TRY_AGAIN_LATER, "the other side reads too slowly")
            return
        self._holder.say(partial(self._allow, frame))

    def _allow(self, frame: _Frame) -> None:
        frame.allowed = True
        # In the order in which they were said, whichever of them was allowed first.
        if not self._writing and not self._is_over and self._frames[0].allowed:
            self._writing = True
            self._start(self._write())

    async def _write(self) -> None:
        connection = self._connection
        assert connection is not None
        try:
            while self._frames and self._frames[0].allowed:
                frame = self._frames.popleft()
                try:
                    if frame.code is None:
                        await connection.send(frame.text, frame.binary)
                    else:
                        await connection.close(frame.code, frame.text or "")
                        self._close_written = True
                finally:
                    self._bytes_unsent -= frame.size
                    if frame.written is not None:
                        frame.written()
        except (OSError, RuntimeError):
            return  # the connection is gone, and the reader says so
        finally:
            self._writing = False
        if self._close_written and self._last_heard:
            self.drop()

    # --- in --------------------------------------------------------------------------------------------------------
    async def _read(self, connection: OutgoingConnection) -> None:
        while not self._last_heard:
            if self._unheard >= SOCKET_EVENTS_WAITING_MAX or self._bytes_unheard > SOCKET_EVENTS_WAITING_BYTES_MAX:
                self._room = self._host.loop.create_future()
                await self._room
                continue
            await self._holder.wait_room()
            message = await connection.receive()
            if isinstance(message, SocketClosed) and not message.was_clean:
                self._vanish(message.code, message.reason)
            else:
                self._tell(message)
                if isinstance(message, SocketFailed):
                    self.drop()
        if self._close_written:
            self.drop()
        elif not self._is_over:
            self._end_after(SOCKET_CLOSE_ANSWER_SECONDS_MAX)

    def _tell(self, message: Heard) -> None:
        if self._last_heard and not isinstance(message, SocketClosed):
            return
        size = 0
        if isinstance(message, SocketMessage):
            size = len(message.text or "") + len(message.binary or b"")
        elif not isinstance(message, SocketConnected):
            self._last_heard = True
        self._unheard += 1
        self._bytes_unheard += size
        self._holder.hear(self.web_socket, message, partial(self._heard, size))

    def _heard(self, size: int) -> None:
        self._unheard -= 1
        self._bytes_unheard -= size
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # --- the end ---------------------------------------------------------------------------------------------------
    def _vanish(self, code: int, reason: str) -> None:
        if not self._last_heard:
            self._tell(SocketClosed(0, 0, code, reason, False))
        self.drop()

    def _end_after(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._host.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self.web_socket.link is None:
            self.drop()
        else:
            self._vanish(_ABNORMAL, VANISHED)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hush(self) -> None:
        """The host is drained: its holder hears nothing new."""
        self._unheard += SOCKET_EVENTS_WAITING_MAX

    def drop(self) -> None:
        """Hang up, without a word to the holder; does nothing the second time."""
        if self._is_over:
            return
        self._is_over = self._last_heard = True
        self._cancel_timer()
        self._holder.let_go(self)
        self._host.outgoing.discard(self)
        if self._connection is not None:
            self._connection.drop()
        frames, self._frames = self._frames, deque()
        for frame in frames:
            if frame.written is not None:
                frame.written()
        # The one that runs now ends by itself.
        current = asyncio.current_task(self._host.loop)
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def _start(self, work: Any) -> None:
        if self._is_over:
            work.close()
            return
        task = self._host.spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def check_room(host: Host) -> None:
    """Raises OverloadedError when the host has as many sockets to the outside as it may have."""
    if len(host.outgoing) >= OUTGOING_SOCKETS_MAX:
        raise OverloadedError(
            f"one process can have {OUTGOING_SOCKETS_MAX} WebSockets to the outside, all are open: close some"
        )


def wants_socket(request: Request) -> bool:
    """Whether `fetch` is asked for a WebSocket."""
    return (request.headers.get("upgrade") or "").lower() == "websocket"


async def fetch_socket(host: Host, holder: SocketHolder, request: Request) -> Response:
    """Shake hands as `request` says: status 101 and its `web_socket`, or whatever the server answers instead.

    Raises OSError when no answer comes.
    """
    check_room(host)
    offered = (request.headers.get("sec-websocket-protocol") or "").split(",")
    protocols = [name.strip() for name in offered if name.strip()]
    deflate = "permessage-deflate" in (request.headers.get("sec-websocket-extensions") or "")
    work = open_connection(request.url, request.headers.items(), protocols, deflate=deflate)
    # The connection outlives the actor's turn: none of its tasks may be one of the actor's.
    connection = await host.loop.create_task(work, context=host.context.copy())
    if isinstance(connection, Response):
        connection.url = request.url
        return connection
    web_socket = WebSocket.unaccepted()
    try:
        holder.check_usable()
        OutgoingSocket(host, holder, web_socket, request.url).opened(connection)
    except BaseException:
        connection.drop()
        raise
    response = Response(None, 101, headers=connection.headers, web_socket=web_socket)
    response.url = request.url
    return response
