"""Framing: a four-byte little-endian length, then one MessagePack document. Knows bytes, not sockets.

On the wire, `Begun([7, 8])` is

    05 00 00 00 | 92 30 92 07 08
    length 5    | [48, [7, 8]]
"""

from __future__ import annotations

import struct
from typing import Any, Generic, TypeVar

import msgspec

from durable.errors import WireError
from durable.limits import FRAME_BYTES_MAX
from durable.wire.messages import Message

_LENGTH = struct.Struct("<I")

M = TypeVar("M")


class FrameWriter:
    """Collects frames until somebody takes the bytes."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self.pending = bytearray()

    def append(self, message: Message) -> None:
        """Raises `WireError` for a message that cannot be encoded or is too large; nothing of it stays behind."""
        pending = self.pending
        start = len(pending)
        pending += b"\0\0\0\0"
        try:
            self._encoder.encode_into(message, pending, start + 4)
            length = len(pending) - start - 4
            if length > FRAME_BYTES_MAX:
                raise WireError(f"a {type(message).__name__} of {length} bytes; the wire takes {FRAME_BYTES_MAX}")
        except (UnicodeEncodeError, OverflowError, TypeError, ValueError, WireError) as error:
            del pending[start:]
            if isinstance(error, WireError):
                raise
            raise WireError(f"{type(message).__name__} cannot be encoded: {error}") from error
        _LENGTH.pack_into(pending, start, length)

    def take(self) -> bytearray:
        """All bytes collected so far; the writer starts empty again."""
        taken, self.pending = self.pending, bytearray()
        return taken


class FrameReader(Generic[M]):
    """Turns what arrives, in whatever pieces, into messages of one union type."""

    def __init__(self, message_type: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(message_type)
        self._partial = bytearray()
        self._wanted = 4

    @property
    def is_inside_frame(self) -> bool:
        """Whether the rest of a frame is known to be on its way."""
        return self._wanted > 4

    def feed(self, data: bytes) -> list[M]:
        """The messages that `data` completes, in order. Raises `WireError` on anything that is not a frame."""
        if self._partial:
            self._partial += data
            # A large frame arrives in many pieces: look again only when the whole of it can be here.
            if len(self._partial) < self._wanted:
                return []
            data = bytes(self._partial)
            self._partial.clear()
        messages: list[M] = []
        end = len(data)
        at = 0
        view = memoryview(data)
        decode = self._decoder.decode
        self._wanted = 4
        while end - at >= 4:
            length: int = _LENGTH.unpack_from(data, at)[0]
            if length > FRAME_BYTES_MAX:
                raise WireError(f"a frame of {length} bytes announced; the limit is {FRAME_BYTES_MAX}")
            if end - at - 4 < length:
                self._wanted = length + 4
                break
            try:
                messages.append(decode(view[at + 4 : at + 4 + length]))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise WireError(f"a frame that is no message: {error}") from error
            at += 4 + length
        if at < end:
            self._partial += view[at:]
        return messages
