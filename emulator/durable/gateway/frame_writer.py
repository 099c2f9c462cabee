"""Frames on their way out to one client: those of one loop turn leave together, and who does not read is let go.

Knows bytes and bounds, no handshake and no message. Sending never waits: the actor has gone on long ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable.gateway.websocket_frames import Frame, pong_frame
from durable.limits import (
    SOCKET_HELD_BYTES_MAX,
    SOCKET_SEND_BUFFER_BYTES_MAX,
    SOCKET_SEND_BURST_BYTES_MAX,
    SOCKET_SEND_UNTAKEN_BYTES_MAX,
    SOCKET_STALL_SECONDS,
)


class Outbox:
    """The writers that hold frames. One for all clients of a gateway."""

    def __init__(self) -> None:
        self._writers: list[FrameWriter] = []

    def add(self, writer: FrameWriter) -> None:
        # A host's messages arrive in batches: a room that is spoken to eight times in one of them costs each member
        # one system call instead of eight, which is most of what a broadcast costs.
        if not self._writers:
            asyncio.get_running_loop().call_soon(self.flush)
        self._writers.append(writer)

    def flush(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.flush()


class FrameWriter:
    """One client's."""

    __slots__ = (
        "_held",
        "_held_bytes",
        "_on_slow",
        "_outbox",
        "_stall_timer",
        "_taken_at_first",
        "_taken_before",
        "_transport",
        "_window_bits",
        "_written",
        "is_closed",
    )

    def __init__(
        self, transport: asyncio.Transport, window_bits: int, outbox: Outbox, on_slow: Callable[[], None]
    ) -> None:
        """`window_bits` of the deflate that was negotiated, or 0. `on_slow` is called for a client that is let go."""
        self._transport = transport
        self._window_bits = window_bits
        self._outbox = outbox
        self._on_slow = on_slow
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._written = 0
        self._taken_at_first = self._taken_before = 0
        self._stall_timer: asyncio.TimerHandle | None = None
        self.is_closed = False
        """Whether nothing may follow: a close frame was written, or nobody is there."""

    @property
    def waiting(self) -> int:
        """Bytes that the client has not taken."""
        return self._transport.get_write_buffer_size() + self._held_bytes

    def send(self, frame: Frame) -> None:
        """Write one message; after a close frame, or to a connection that is gone, it goes nowhere."""
        transport = self._transport
        if self.is_closed or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size() + self._held_bytes
        if waiting > SOCKET_SEND_BUFFER_BYTES_MAX and not self._keeps_up(waiting):
            return
        data = frame.for_window(self._window_bits) if self._window_bits else frame.plain
        if not self._held:
            self._outbox.add(self)
        self._held.append(data)
        self._held_bytes += len(data)
        self._written += len(data)
        if self._held_bytes > SOCKET_HELD_BYTES_MAX:
            self.flush()

    def pong(self, payload: bytes) -> None:
        """Answer a ping, unless the client has not read so much that it can wait for none."""
        if self.is_closed or self._transport.is_closing():
            return
        waiting = self.waiting
        if waiting <= SOCKET_SEND_BUFFER_BYTES_MAX:
            frame = pong_frame(payload)
            self._written += len(frame)
            self._transport.write(frame)
        else:
            # RFC 6455 §5.5.3 asks for an answer to the latest ping only; this client has not read the ones before.
            self._keeps_up(waiting)

    def close(self, frame: bytes) -> None:
        """Write the close frame, the last."""
        self.flush()
        self.is_closed = True
        if not self._transport.is_closing():
            self._transport.write(frame)

    def drop(self) -> None:
        """Write no more, not even what was to be written."""
        self.is_closed = True
        self._held = []
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def flush(self) -> None:
        held = self._held
        if not held:
            return
        self._held = []
        self._held_bytes = 0
        if not self._transport.is_closing():
            if len(held) == 1:
                self._transport.write(held[0])
            else:
                self._transport.writelines(held)

    # --- slow readers ----------------------------------------------------------------------------------------------
    def _keeps_up(self, waiting: int) -> bool:
        if self._stall_timer is None:
            self._taken_at_first = self._written - waiting
            self._watch_progress(waiting)
        taken = self._written - waiting - self._taken_at_first
        if waiting > min(SOCKET_SEND_UNTAKEN_BYTES_MAX + taken, SOCKET_SEND_BURST_BYTES_MAX):
            self._on_slow()
            return False
        return True

    def _watch_progress(self, waiting: int) -> None:
        self._taken_before = self._written - waiting
        self._stall_timer = asyncio.get_running_loop().call_later(SOCKET_STALL_SECONDS, self.check_progress)

    def check_progress(self) -> None:
        """A burst may exceed the buffer's bound as long as the client takes as much in the time it gets."""
        self._stall_timer = None
        if self.is_closed or self._transport.is_closing():
            return
        waiting = self.waiting
        if waiting <= SOCKET_SEND_BUFFER_BYTES_MAX:
            return
        if self._written - waiting - self._taken_before < SOCKET_SEND_BUFFER_BYTES_MAX:
            self._on_slow()
        else:
            self._watch_progress(waiting)
