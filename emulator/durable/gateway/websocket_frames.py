"""WebSocket frames as bytes (RFC 6455 §5, RFC 7692), built once for many clients. No I/O.

A server's frames carry no mask, so the same bytes are right for every client: a broadcast is encoded once.
"""

from __future__ import annotations

import struct
import zlib

from durable.limits import SOCKET_CLOSE_REASON_BYTES_MAX

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1 = 0x80, 0x40

_DEFLATE_BYTES_MIN = 1024
"""Smaller payloads are sent as they are: deflate would cost more than it saves."""
_DEFLATE_BYTES_MAX = 256 * 1024
"""Larger ones too, as they would hold up everybody else for milliseconds; RFC 7692 §6 leaves us the choice."""
_FLUSH_TAIL = b"\x00\x00\xff\xff"

NO_CODE = 1005
"""How a close frame without a code is reported (RFC 6455 §7.1.5)."""
ABNORMAL = 1006
"""How a connection that ended without a close frame is reported."""
_NEVER_SENT = frozenset({1004, NO_CODE, ABNORMAL, 1015})


def close_code_allowed(code: int) -> bool:
    """Whether an actor may close with this code (platform: every code that RFC 6455 §7.4.1 does not forbid)."""
    return 1000 <= code <= 4999 and code not in _NEVER_SENT


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; code 0 or 1005 makes an empty one, a code that must not be sent becomes 1000."""
    if code in (0, NO_CODE):
        return bytes((FIN | CLOSE, 0))
    if not close_code_allowed(code):
        code = 1000
    text = reason.encode(errors="replace")[:SOCKET_CLOSE_REASON_BYTES_MAX].decode(errors="ignore").encode()
    return bytes((FIN | CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping."""
    return bytes((FIN | PONG, len(payload))) + payload


class Frame:
    """One message on its way to clients; each form is made when the first client needs it."""

    __slots__ = ("_deflated", "_opcode", "_plain", "payload")

    def __init__(self, text: str | None, binary: bytes | None) -> None:
        """Exactly one of the two is given."""
        if text is not None:
            self._opcode, self.payload = TEXT, text.encode()
        else:
            self._opcode, self.payload = BINARY, binary or b""
        self._plain: bytes | None = None
        self._deflated: dict[int, bytes] | None = None

    @property
    def is_text(self) -> bool:
        return self._opcode == TEXT

    @property
    def plain(self) -> bytes:
        if self._plain is None:
            self._plain = _header(FIN | self._opcode, len(self.payload)) + self.payload
        return self._plain

    def for_window(self, window_bits: int) -> bytes:
        """The bytes for a client that negotiated deflate with this window; 0 means that it did not.

        Every message starts a fresh stream. A client that keeps its window from message to message reads that as well,
        and a stream of our own per client would neither be shared nor cost less than 256 KiB of memory each.
        """
        # zlib makes no raw streams for a window of 8 bits (zlib.net/manual.html, deflateInit2).
        if window_bits < 9 or not _DEFLATE_BYTES_MIN <= len(self.payload) <= _DEFLATE_BYTES_MAX:
            return self.plain
        if self._deflated is None:
            self._deflated = {}
        made = self._deflated.get(window_bits)
        if made is None:
            deflater = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, -window_bits)
            data = deflater.compress(self.payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
            data = data.removesuffix(_FLUSH_TAIL)
            made = self._deflated[window_bits] = _header(FIN | RSV1 | self._opcode, len(data)) + data
        return made


def _header(first_byte: int, length: int) -> bytes:
    if length < 126:
        return bytes((first_byte, length))
    if length < 65536:
        return struct.pack("!BBH", first_byte, 126, length)
    return struct.pack("!BBQ", first_byte, 127, length)
