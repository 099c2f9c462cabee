"""One client's WebSocket connection: frames in and out, the closing handshake, and a client that does not read.

Knows no actor, no host and no event numbers. aiohttp makes the handshake. Reading is ours, because it is strict and
needs no task per client; closing, because who answers a client's close frame is the actor; writing, because one frame
goes to many clients as it is.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import hdrs
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_ws import WebSocketResponse

from durable.gateway.frame_reader import POLICY_VIOLATION, FrameReader
from durable.gateway.frame_writer import FrameWriter, Outbox
from durable.gateway.websocket_frames import ABNORMAL, close_frame
from durable.limits import (
    SOCKET_CLOSE_ANSWER_SECONDS_MAX,
    SOCKET_CLOSE_SECONDS_MAX,
    SOCKET_KEEPALIVE_AGAIN_SECONDS,
    SOCKET_KEEPALIVE_PROBES,
    SOCKET_KEEPALIVE_SECONDS,
    SOCKET_MESSAGE_STALL_SECONDS,
    SOCKET_VIOLATION_SECONDS_MAX,
)

VANISHED = "WebSocket disconnected without sending Close frame."
_SLOW = "the client reads too slowly"
_TRY_AGAIN_LATER = 1013
_KEEPALIVE = (
    ("TCP_KEEPIDLE", SOCKET_KEEPALIVE_SECONDS),
    ("TCP_KEEPINTVL", SOCKET_KEEPALIVE_AGAIN_SECONDS),
    ("TCP_KEEPCNT", SOCKET_KEEPALIVE_PROBES),
)


class SocketListener(Protocol):
    """Who wants to know what the client does. After `closed` or `failed` only `ended` follows, once, always."""

    def pause(self) -> asyncio.Future[None] | None:
        """What to wait for before the next message is read; None when it may be read now."""
        ...

    def message(self, text: str | None, binary: bytes | None) -> None: ...
    def closed(self, code: int, reason: str, was_clean: bool) -> None: ...
    def failed(self, text: str) -> None: ...
    def ended(self) -> None:
        """The connection is over."""
        ...


class Upgrade(WebSocketResponse):
    """aiohttp's handshake, without its reader, its writer and its closing handshake."""

    def __init__(self, protocol: str | None) -> None:
        super().__init__(autoclose=False, protocols=() if protocol is None else (protocol,))

    def _handshake(self, request: BaseRequest) -> Any:
        fields, protocol, window_bits, _ = super()._handshake(request)
        if window_bits:
            # No stream outlives its message on either side, as RFC 7692 §7.1.1 lets a server demand: a stream of our
            # own per client could not be shared, and one of the client's would cost 40 KiB of memory for each.
            accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            if window_bits < 15:
                accepted += f"; server_max_window_bits={window_bits}"
            fields[hdrs.SEC_WEBSOCKET_EXTENSIONS] = accepted
        return fields, protocol, window_bits, True

    def _post_start(self, request: BaseRequest, protocol: str | None, writer: object) -> None:
        # What the client sends before `ClientSocket` reads is kept by aiohttp's protocol, within its bounds.
        self._ws_protocol = protocol
        request.protocol.keep_alive(False)

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """aiohttp calls this at the end; `ClientSocket` has decided by then."""
        return False


class ClientSocket:
    """`run` it until the connection is over. Sending never waits: a client that does not keep up is let go."""

    __slots__ = (
        "_end_timer",
        "_finished",
        "_heard_last",
        "_listener",
        "_loop",
        "_message_timer",
        "_over",
        "_protocol",
        "_reader",
        "_stopped_reading",
        "_transport",
        "_violation",
        "_writer",
        "send",
    )

    def __init__(
        self,
        protocol: RequestHandler,
        transport: asyncio.Transport,
        response: Upgrade,
        listener: SocketListener,
        outbox: Outbox,
    ) -> None:
        """`response` is prepared; `protocol` and `transport` are its request's."""
        self._protocol = protocol
        self._transport = transport
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        window_bits = int(response.compress)
        self._reader = FrameReader(self, deflate=bool(window_bits), now=self._loop.time)
        self._writer = FrameWriter(transport, window_bits, outbox, self._let_go)
        self.send = self._writer.send
        self._stopped_reading = False
        self._message_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._heard_last = False  # the listener was told closed or failed
        self._violation: tuple[int, str] | None = None  # what the client has yet to be told
        self._finished = False
        self._over: asyncio.Future[None] = self._loop.create_future()
        _keep_alive(transport)

    async def run(self) -> None:
        """Read until the connection is over. aiohttp cancels this when the connection is lost; what the client sent
        before that is delivered all the same."""
        self._pause_if_full()
        reader: Any = self._reader
        self._protocol.set_parser(reader)
        await self._over

    def hand_to(self, listener: SocketListener) -> None:
        """Somebody else is told what the client does from now on."""
        self._listener = listener

    # --- out -------------------------------------------------------------------------------------------------------
    def close(self, code: int, reason: str) -> None:
        """Send a close frame (0: without a code) and end the connection when the client has sent one, too.

        1006 ends it at once, without a frame. A second close does nothing. Who broke the protocol is told that.
        """
        if code == ABNORMAL:
            self.abort()
        elif self._violation is not None:
            self.settled()
        elif not self._writer.is_closed:
            self._writer.close(close_frame(code, reason))
            if self._heard_last:
                self._end()
            else:
                self._end_after(SOCKET_CLOSE_SECONDS_MAX)

    def abort(self) -> None:
        """Drop the connection. The client sees 1006; the listener hears only `ended`."""
        self._heard_last = True
        self._writer.drop()
        self._transport.abort()
        self._finish()

    def _end(self) -> None:
        """Close when everything written has left, or when it takes too long to leave."""
        self._transport.close()
        self._end_after(SOCKET_CLOSE_SECONDS_MAX)
        self._finish()

    def _end_after(self, seconds: float, act: Callable[[], None] | None = None) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self._loop.call_later(seconds, act or self.give_up_waiting)

    def give_up_waiting(self) -> None:
        """The closing handshake took too long."""
        self._transport.abort()
        if self._heard_last:
            self._finish()

    def _let_go(self) -> None:
        self._reader.stop()
        self._last_word(_TRY_AGAIN_LATER, _SLOW, was_clean=False)
        self.close(_TRY_AGAIN_LATER, _SLOW)

    # --- in (FrameListener) ----------------------------------------------------------------------------------------
    def received(self, text: str | None, binary: bytes | None) -> None:
        self._listener.message(text, binary)
        self._pause_if_full()

    def pinged(self, payload: bytes) -> None:
        self._writer.pong(payload)

    def closed(self, code: int, reason: str) -> None:
        self._last_word(code, reason, was_clean=True)
        if self._writer.is_closed:
            self._end()
        else:
            self._end_after(SOCKET_CLOSE_ANSWER_SECONDS_MAX)

    def broken(self, code: int, description: str) -> None:
        """The client broke the protocol. The text is the platform's."""
        # The answers to what it said before go first, as they do where one task reads and answers in turn.
        self._violation = (code, description)
        self._end_after(SOCKET_VIOLATION_SECONDS_MAX, self.settled)
        self._heard_last = True
        self._listener.failed(
            f"WebSocket protocol error; protocolError.statusCode = {code}; protocolError.description = {description}"
        )

    def settled(self) -> None:
        """The actor has handled the last of what the client did, or takes too long for it."""
        if self._violation is None:
            return
        (code, description), self._violation = self._violation, None
        if not self._writer.is_closed and not self._transport.is_closing():
            self._writer.close(close_frame(code, description))
            # What the client is still sending is read and thrown away. Closing on unread bytes would reset the
            # connection, and the client would never see why.
            self._transport.write_eof()
        self._end_after(SOCKET_CLOSE_SECONDS_MAX)

    def overfull(self) -> None:
        if not self._stopped_reading:
            self._stopped_reading = True
            self._protocol.pause_reading()

    def ended(self) -> None:
        self._last_word(ABNORMAL, VANISHED, was_clean=False)
        self._finish()

    def _pause_if_full(self) -> None:
        wait = self._listener.pause()
        if wait is not None:
            self._reader.paused = True
            wait.add_done_callback(self._read_on)

    def _read_on(self, _: asyncio.Future[None]) -> None:
        self._reader.paused = False
        self._pause_if_full()
        if self._reader.paused:
            return
        self._reader.resume()
        if self._stopped_reading and not self._reader.paused:
            self._stopped_reading = False
            self._protocol.resume_reading()

    # --- unfinished messages ---------------------------------------------------------------------------------------
    def unfinished(self) -> None:
        self._reader.watched = True
        self._message_timer = self._loop.call_later(
            SOCKET_MESSAGE_STALL_SECONDS, self.check_message, self._reader.feeds
        )

    def check_message(self, feeds: int) -> None:
        """Whether a message that had begun when the client had sent `feeds` times has gone on since."""
        self._message_timer = None
        if not self._reader.is_waiting:
            self._reader.watched = False
        elif self._reader.feeds != feeds:
            self.unfinished()
        else:
            self._reader.stop()
            self.broken(POLICY_VIOLATION, "A message was begun and not continued")

    def _last_word(self, code: int, reason: str, *, was_clean: bool) -> None:
        if not self._heard_last:
            self._heard_last = True
            self._listener.closed(code, reason, was_clean)

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        self._violation = None
        if not self._over.done():
            self._over.set_result(None)
        self._reader.stop()
        self._writer.drop()
        if self._message_timer is not None:
            self._message_timer.cancel()
        self._listener.ended()


def _keep_alive(transport: asyncio.Transport) -> None:
    """Notice a client's machine that is gone; a client that is merely quiet is none of our business."""
    connection = transport.get_extra_info("socket")
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)  # not every system has them all
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
