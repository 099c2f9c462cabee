"""A client's bytes become messages (RFC 6455 §5, RFC 7692), strictly: what the standard forbids ends the connection.

The rules for a frame's first byte are a table; the others are a line each. Knows no transport and no actor: its owner
is told what was received. Stands where aiohttp's own reader would stand, which accepts unmasked frames, lengths that
are not in their shortest form and close codes that nobody may send.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable
from typing import Protocol

from aiohttp._websocket.helpers import websocket_mask  # compiled; Python's own arithmetic takes ten times as long

from durable.gateway.websocket_frames import BINARY, CLOSE, CONTINUATION, FIN, NO_CODE, PING, PONG, RSV1, TEXT
from durable.limits import (
    SOCKET_CONTROL_FRAMES_MAX,
    SOCKET_CONTROL_FRAMES_SECONDS,
    SOCKET_EMPTY_FRAGMENTS_MAX,
    SOCKET_FRAGMENTS_MAX,
    SOCKET_MESSAGE_BYTES_MAX,
    SOCKET_UNREAD_BYTES_MAX,
)

PROTOCOL_ERROR, INVALID_TEXT, POLICY_VIOLATION, MESSAGE_TOO_LARGE = 1002, 1007, 1008, 1009
TOO_LARGE = "Message is too large"
_CONTROL_BYTES_MAX = 125
_MASK_BIT, _LENGTH_BITS = 0x80, 0x7F
_FLUSH_TAIL = b"\x00\x00\xff\xff"
_GO_ON = (False, b"")


class FrameListener(Protocol):
    """Who wants to know what the client sent. After `broken` or `closed` it hears no more than `ended`."""

    def received(self, text: str | None, binary: bytes | None) -> None: ...
    def pinged(self, payload: bytes) -> None: ...
    def closed(self, code: int, reason: str) -> None: ...
    def broken(self, code: int, description: str) -> None: ...
    def unfinished(self) -> None:
        """The client has begun a message; told once, until `watched` of the reader is False again."""
        ...

    def overfull(self) -> None:
        """The reader is paused and has kept enough: read no more from the client."""
        ...

    def ended(self) -> None:
        """The client sends no more, and everything it sent has been told."""
        ...


def _problem(first: int, *, deflate: bool) -> str | None:
    """Why no frame may begin with this byte. The texts are the platform's (capnproto, kj/compat/http.c++)."""
    opcode = first & 0x0F
    if first & 0x30:
        return "Received frame had RSV bits 2 or 3 set"
    if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        return f"Unknown opcode {opcode}"
    if opcode >= CLOSE and not first & FIN:
        return "Received fragmented control frame"
    if first & RSV1 and not deflate:
        return (
            "Received a WebSocket frame whose compression bit was set, but the compression extension was not "
            "negotiated for this connection."
        )
    if first & RSV1 and opcode not in (TEXT, BINARY):
        return "Received a control frame or a continuation with its compression bit set"
    return None


_PROBLEMS = {deflate: tuple(_problem(first, deflate=deflate) for first in range(256)) for deflate in (False, True)}


def received_close_code_allowed(code: int) -> bool:
    """Whether a client may send this code (RFC 6455 §7.4; IANA's registry for what it leaves open)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class FrameReader:
    """`feed_data` and `feed_eof` are aiohttp's names for what a protocol does with bytes after an upgrade."""

    __slots__ = (
        "_controls",
        "_controls_since",
        "_deflated",
        "_done",
        "_empty_fragments",
        "_eof",
        "_fragments",
        "_listener",
        "_message",
        "_now",
        "_opcode",
        "_problems",
        "_rest",
        "_utf8",
        "_wanted",
        "feeds",
        "paused",
        "watched",
    )

    def __init__(self, listener: FrameListener, *, deflate: bool, now: Callable[[], float]) -> None:
        """`deflate`: permessage-deflate was negotiated, without a context that outlives a message."""
        self._listener = listener
        self._now = now
        self._problems = _PROBLEMS[deflate]
        self.paused = False
        """Whether to keep what comes instead of telling it."""
        self.watched = False
        """Whether somebody watches that an unfinished message goes on."""
        self.feeds = 0
        """How often bytes came: one that has not changed means that nothing came."""
        self._done = False
        self._eof = False
        self._rest = bytearray()  # an incomplete frame, or whatever came while paused
        self._wanted = 2  # bytes of the rest before it is worth another look
        self._opcode = CONTINUATION  # of the message whose fragments are coming; CONTINUATION when there is none
        self._message = bytearray()
        self._deflated = False
        self._utf8: codecs.IncrementalDecoder | None = None
        self._fragments = self._empty_fragments = 0
        self._controls = 0
        self._controls_since = 0.0

    # --- from the connection ---------------------------------------------------------------------------------------
    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._done:
            return _GO_ON
        self.feeds += 1
        if self._rest or self.paused:
            self._rest += data
            if self.paused:
                if len(self._rest) > SOCKET_UNREAD_BYTES_MAX:
                    self._listener.overfull()
            elif len(self._rest) >= self._wanted:
                self._take_rest()
        else:
            position = self._take_frames(data)
            if position < len(data) and not self._done:
                self._rest += data[position:]
        if (self._rest or self._opcode) and not (self.watched or self.paused):
            self._listener.unfinished()
        return _GO_ON

    def feed_eof(self) -> None:
        self._eof = True
        if not self.paused or self._done:
            self._listener.ended()

    # --- from the owner --------------------------------------------------------------------------------------------
    def resume(self) -> None:
        """Tell what was kept, until the next pause."""
        self.paused = False
        if self._rest:
            self._take_rest()
        if self.paused:
            return
        if self._eof:
            self._listener.ended()
        elif self.is_waiting and not self.watched:
            self._listener.unfinished()

    def stop(self) -> None:
        """Nothing of what comes is wanted any more."""
        self._done = True
        self._rest = bytearray()
        self._message = bytearray()
        self._opcode = CONTINUATION

    @property
    def is_waiting(self) -> bool:
        """Whether a message has begun of which more must come."""
        return not self._done and not self.paused and bool(self._rest or self._opcode)

    # --- frames ----------------------------------------------------------------------------------------------------
    def _take_rest(self) -> None:
        position = self._take_frames(self._rest)
        del self._rest[:position]

    def _take_frames(self, data: bytes | bytearray) -> int:
        """Take whole frames; returns where the first one begins that is incomplete, or unwanted for now."""
        position, end = 0, len(data)
        self._wanted = 2
        while end - position >= 2 and not self.paused:
            first, second = data[position], data[position + 1]
            problem = self._problems[first]
            opcode = first & 0x0F
            if problem is not None or second < _MASK_BIT or (opcode < CLOSE and bool(opcode) is bool(self._opcode)):
                self._break(PROTOCOL_ERROR, problem or self._order_problem(opcode, second))
                return end
            length, start = second & _LENGTH_BITS, position + 6
            if length > _CONTROL_BYTES_MAX:
                size = 2 if length == 126 else 8
                if opcode >= CLOSE:
                    self._break(PROTOCOL_ERROR, "Control frame payload cannot be larger than 125 bytes")
                    return end
                start += size
                if end < start - 4:
                    self._wanted = start - 4 - position
                    return position
                length = int.from_bytes(data[position + 2 : start - 4], "big")
                if length < (126 if size == 2 else 65536):
                    self._break(PROTOCOL_ERROR, "The length of a frame is not in its shortest form")
                    return end
                if length > SOCKET_MESSAGE_BYTES_MAX - len(self._message):
                    self._break(MESSAGE_TOO_LARGE, TOO_LARGE)
                    return end
            stop = start + length
            if end < stop:
                self._wanted = stop - position
                return position
            payload = bytearray(data[start:stop])
            websocket_mask(bytes(data[start - 4 : start]), payload)
            position = stop
            if opcode >= CLOSE:
                self._take_control(opcode, payload)
            elif first & FIN and opcode:
                self._finish(opcode, payload, deflated=bool(first & RSV1))
            else:
                self._take_fragment(first, payload)
            if self._done:
                return end
        return position

    def _order_problem(self, opcode: int, second: int) -> str:
        if second < _MASK_BIT:
            return "Received an unmasked frame"
        return "Missing continuation frame" if opcode else "Unexpected continuation frame"

    def _take_fragment(self, first: int, payload: bytearray) -> None:
        if first & 0x0F:
            self._opcode = first & 0x0F
            self._deflated = bool(first & RSV1)
            self._fragments = self._empty_fragments = 0
            self._utf8 = None
            if self._opcode == TEXT and not self._deflated:
                self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._fragments += 1
        self._empty_fragments += not payload
        if self._fragments > SOCKET_FRAGMENTS_MAX or self._empty_fragments > SOCKET_EMPTY_FRAGMENTS_MAX:
            self._break(POLICY_VIOLATION, "Too many fragments in one message")
            return
        if len(payload) > SOCKET_MESSAGE_BYTES_MAX - len(self._message):
            self._break(MESSAGE_TOO_LARGE, TOO_LARGE)
            return
        if self._utf8 is not None:
            try:
                self._utf8.decode(payload, final=bool(first & FIN))
            except UnicodeDecodeError:
                self._break(INVALID_TEXT, "Invalid UTF-8 text message")
                return
        self._message += payload
        if first & FIN:
            opcode, message = self._opcode, self._message
            self._opcode, self._message, self._utf8 = CONTINUATION, bytearray(), None
            self._finish(opcode, message, deflated=self._deflated)

    def _finish(self, opcode: int, message: bytes | bytearray, *, deflated: bool) -> None:
        """A message is complete."""
        if deflated:
            inflated = self._inflate(message)
            if inflated is None:
                return
            message = inflated
        if opcode == BINARY:
            self._listener.received(None, bytes(message))
            return
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self._break(INVALID_TEXT, "Invalid UTF-8 text message")
            return
        self._listener.received(text, None)

    def _inflate(self, message: bytes | bytearray) -> bytes | None:
        # Never more than one byte beyond the bound is made, however much the client's bytes would expand to.
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            inflated = inflater.decompress(message + _FLUSH_TAIL, SOCKET_MESSAGE_BYTES_MAX + 1)
        except zlib.error:
            self._break(INVALID_TEXT, "Invalid compressed message")
            return None
        if len(inflated) > SOCKET_MESSAGE_BYTES_MAX:
            self._break(MESSAGE_TOO_LARGE, TOO_LARGE)
            return None
        return inflated

    def _take_control(self, opcode: int, payload: bytearray) -> None:
        now = self._now()
        if not self._controls or now - self._controls_since >= SOCKET_CONTROL_FRAMES_SECONDS:
            self._controls, self._controls_since = 0, now
        self._controls += 1
        if opcode == CLOSE:
            self._take_close(payload)
        elif self._controls > SOCKET_CONTROL_FRAMES_MAX:
            self._break(POLICY_VIOLATION, "Too many control frames")
        elif opcode == PING:
            self._listener.pinged(bytes(payload))

    def _take_close(self, payload: bytearray) -> None:
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or (payload and not received_close_code_allowed(code)):
            self._break(PROTOCOL_ERROR, f"Invalid close code: {code}")
            return
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            self._break(INVALID_TEXT, "Invalid UTF-8 in the reason of a close frame")
            return
        self.stop()
        self._listener.closed(code if payload else NO_CODE, reason)

    def _break(self, code: int, description: str) -> None:
        self.stop()
        self._listener.broken(code, description)
