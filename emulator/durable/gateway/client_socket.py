"""One client's WebSocket connection: frames in and out, the closing handshake, and a client that does not read.

Knows no actor, no host and no event numbers. aiohttp makes the handshake and parses; closing is ours, because who
answers a client's close frame is the actor, and writing is ours, because one frame goes to many clients as it is.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import WSMsgType, web
from aiohttp.http import WebSocketError

from durable.gateway.websocket_frames import ABNORMAL, NO_CODE, Frame, MaskGuard, close_code_allowed, close_frame
from durable.limits import (
    SOCKET_CLOSE_ANSWER_SECONDS_MAX,
    SOCKET_CLOSE_SECONDS_MAX,
    SOCKET_MESSAGE_BYTES_MAX,
    SOCKET_SEND_BUFFER_BYTES_MAX,
    SOCKET_SEND_BURST_BYTES_MAX,
    SOCKET_STALL_SECONDS,
)

VANISHED = "WebSocket disconnected without sending Close frame."
_TOO_LARGE = "Message is too large"
_SLOW = "the client reads too slowly"
_PROTOCOL_ERROR, _MESSAGE_TOO_LARGE, _TRY_AGAIN_LATER = 1002, 1009, 1013


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


class Upgrade(web.WebSocketResponse):
    """aiohttp's handshake and parser, without its closing handshake."""

    def __init__(self, protocol: str | None) -> None:
        # The parser refuses messages of exactly `max_msg_size`; the platform delivers those of exactly 32 MiB.
        super().__init__(
            autoclose=False,
            autoping=True,
            max_msg_size=SOCKET_MESSAGE_BYTES_MAX + 1,
            protocols=() if protocol is None else (protocol,),
        )

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """aiohttp calls this on errors and at the end; `ClientSocket` has decided by then."""
        return False


class ClientSocket:
    """`run` it until the connection is over. Sending never waits: a client that does not keep up is let go."""

    def __init__(
        self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport, response: Upgrade, listener: SocketListener
    ) -> None:
        """`response` is prepared; `protocol` and `transport` are its request's."""
        self._transport = transport
        self._response = response
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._window_bits = int(response.compress)
        self._written = 0
        self._taken_before = 0
        self._stall_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._close_sent = False
        self._heard_last = False  # the listener was told closed or failed
        self._unmasked = False
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._reading: asyncio.Task[None] | None = None
        self._guard_masks(protocol)

    def _guard_masks(self, protocol: Any) -> None:
        # aiohttp offers no place for this; without the attribute the check is missed by a test, not by users.
        parser = getattr(protocol, "_payload_parser", None)
        if parser is not None:
            protocol._payload_parser = MaskGuard(parser, self._saw_unmasked)

    def _saw_unmasked(self) -> None:
        self._unmasked = True

    # --- out -------------------------------------------------------------------------------------------------------
    def send(self, frame: Frame) -> None:
        """Write one message; after a close frame, or to a connection that is gone, it goes nowhere."""
        transport = self._transport
        if self._close_sent or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        if waiting > SOCKET_SEND_BUFFER_BYTES_MAX and not self._keeps_up(waiting):
            return
        data = frame.for_window(self._window_bits) if self._window_bits else frame.plain
        self._written += len(data)
        transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame (0: without a code) and end the connection when the client has sent one, too.

        1006 ends it at once, without a frame. A second close does nothing.
        """
        if code == ABNORMAL:
            self.abort()
        elif not self._close_sent:
            self._close_sent = True
            if not self._transport.is_closing():
                self._transport.write(close_frame(code, reason))
            if self._heard_last:
                self._end()
            else:
                self._end_after(SOCKET_CLOSE_SECONDS_MAX)

    def abort(self) -> None:
        """Drop the connection. The client sees 1006; the listener hears only `ended`."""
        self._heard_last = True
        self._close_sent = True
        self._transport.abort()
        self._finish()

    def _end(self) -> None:
        """Close when everything written has left, or when it takes too long to leave."""
        self._transport.close()
        self._end_after(SOCKET_CLOSE_SECONDS_MAX)
        self._finish()

    def _end_after(self, seconds: float) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self._loop.call_later(seconds, self.give_up_waiting)

    def give_up_waiting(self) -> None:
        """The closing handshake took too long."""
        self._transport.abort()
        if self._heard_last:
            self._finish()

    # --- slow readers ----------------------------------------------------------------------------------------------
    def _keeps_up(self, waiting: int) -> bool:
        if waiting > SOCKET_SEND_BURST_BYTES_MAX:
            self._let_go()
            return False
        if self._stall_timer is None:
            self._watch_progress(waiting)
        return True

    def _watch_progress(self, waiting: int) -> None:
        self._taken_before = self._written - waiting
        self._stall_timer = self._loop.call_later(SOCKET_STALL_SECONDS, self.check_progress)

    def check_progress(self) -> None:
        """A burst may exceed the buffer's bound as long as the client takes as much in the time it gets."""
        self._stall_timer = None
        if self._close_sent or self._transport.is_closing():
            return
        waiting = self._transport.get_write_buffer_size()
        if waiting <= SOCKET_SEND_BUFFER_BYTES_MAX:
            return
        if self._written - waiting - self._taken_before < SOCKET_SEND_BUFFER_BYTES_MAX:
            self._let_go()
        else:
            self._watch_progress(waiting)

    def _let_go(self) -> None:
        self._last_word(_TRY_AGAIN_LATER, _SLOW, was_clean=False)
        self.close(_TRY_AGAIN_LATER, _SLOW)

    # --- in --------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Read until the connection is over. aiohttp cancels this when the connection is lost; what the client sent
        before that is delivered all the same."""
        self._reading = self._loop.create_task(self._read(), name="client socket")
        try:
            await asyncio.shield(self._over)
        except asyncio.CancelledError:
            if self._heard_last:
                self._finish()
            raise

    async def _read(self) -> None:
        try:
            while not self._heard_last:
                pause = self._listener.pause()
                if pause is not None:
                    await pause
                    continue
                message = await self._response.receive()
                if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                    self._take(message.data)
                elif message.type is WSMsgType.CLOSE:
                    self._client_closed(message.data, message.extra or "")
                elif message.type is WSMsgType.ERROR and isinstance(message.data, WebSocketError):
                    self._fail(message.data.code, str(message.data))
                elif self._unmasked:
                    self._fail(_PROTOCOL_ERROR, "Received an unmasked frame")
                else:
                    self._vanish()
        except ConnectionError:
            self._vanish()  # a pong met a connection that was just lost
        except BaseException:
            self._vanish()
            raise

    def _take(self, data: str | bytes) -> None:
        if len(data) > SOCKET_MESSAGE_BYTES_MAX:
            self._fail(_MESSAGE_TOO_LARGE, _TOO_LARGE)
        elif isinstance(data, str):
            self._listener.message(data, None)
        else:
            self._listener.message(None, data)

    def _vanish(self) -> None:
        self._last_word(ABNORMAL, VANISHED, was_clean=False)
        self._transport.abort()
        self._finish()

    def _client_closed(self, code: int, reason: str) -> None:
        if code and not close_code_allowed(code):
            self._fail(_PROTOCOL_ERROR, f"Invalid close code: {code}")
            return
        self._last_word(code or NO_CODE, reason, was_clean=True)
        if self._close_sent:
            self._end()
        else:
            self._end_after(SOCKET_CLOSE_ANSWER_SECONDS_MAX)

    def _fail(self, code: int, description: str) -> None:
        """The client broke the protocol. The texts are the platform's."""
        too_large = code == _MESSAGE_TOO_LARGE
        if too_large:
            description = _TOO_LARGE
        self._heard_last = True
        self._listener.failed(
            f"WebSocket protocol error; protocolError.statusCode = {code}; protocolError.description = {description}"
        )
        if not self._close_sent and not self._transport.is_closing():
            self._close_sent = True
            self._transport.write(close_frame(code, description))
            # What the client is still sending is read and thrown away by aiohttp. Closing on unread bytes would reset
            # the connection, and the client would never see why.
            self._transport.write_eof()
        self._end_after(SOCKET_CLOSE_SECONDS_MAX)

    def _last_word(self, code: int, reason: str, *, was_clean: bool) -> None:
        if not self._heard_last:
            self._heard_last = True
            self._listener.closed(code, reason, was_clean)

    def _finish(self) -> None:
        if self._over.done():
            return
        self._over.set_result(None)
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        self._listener.ended()
