"""A duplex channel of messages over one stream socket. Knows nothing of what the messages mean.

What is sent during one turn of the event loop leaves together, at the end of that turn or as soon as it is worth a
system call; what the kernel does not take waits here, in order. The socket is used directly rather than through a
transport because the moment of leaving is part of the contract: a frame sent before a task was created has left before
that task first runs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from durable.errors import WireError
from durable.limits import CHANNEL_HIGH_WATER_BYTES
from durable.wire.codec import FrameReader, FrameWriter
from durable.wire.messages import Message
from durable.wire.socket_pair import BUFFER_BYTES

_SLICE_BYTES = 2 * 1024
"""Bytes handed over, or taken in, at a time while frames are small: some ten requests.

Both processes then work at once. With everything in one piece, the host would idle while the gateway collects what
sixty-four clients ask, and the gateway while the host runs it all.
"""

M = TypeVar("M")


class Channel(Generic[M]):
    """`on_messages` gets each read's messages as one list; `on_closed` is called once, with None at a plain end."""

    def __init__(
        self,
        sock: socket.socket,
        message_type: Any,
        *,
        on_messages: Callable[[list[M]], None],
        on_closed: Callable[[BaseException | None], None],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._socket = sock
        self._loop = loop or asyncio.get_running_loop()
        self._reader: FrameReader[M] = FrameReader(message_type)
        self._writer = FrameWriter()
        self._on_messages = on_messages
        self._on_closed = on_closed
        self._unsent = bytearray()
        self._flush_planned = False
        self._drained: asyncio.Event | None = None
        self.closed = False
        self.reads = 0
        """How often something was read: a sign of life from the other side."""
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    def send(self, message: Message) -> None:
        """Queue one message; it leaves at the end of this turn or before. A closed channel drops it."""
        if self.closed:
            return
        self._writer.append(message)
        if len(self._writer.pending) >= _SLICE_BYTES:
            self.flush()
        elif not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._planned_flush)

    def _planned_flush(self) -> None:
        self._flush_planned = False
        self.flush()

    def flush(self) -> None:
        """Hand everything queued to the kernel now."""
        if self.closed or not self._writer.pending:
            return
        data = self._writer.take()
        if self._unsent:
            self._unsent += data
            return
        sent = self._send_some(data)
        if sent < len(data) and not self.closed:
            self._unsent = data
            del self._unsent[:sent]
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def push(self) -> None:
        """Hand over as much as the kernel takes, for whoever keeps the loop from doing it."""
        self.flush()
        if self._unsent and not self.closed:
            self._writable()

    @property
    def unsent_bytes(self) -> int:
        return len(self._unsent) + len(self._writer.pending)

    async def drain(self) -> None:
        """Wait while the other side is far behind; returns at once when the channel is closed."""
        while len(self._unsent) > CHANNEL_HIGH_WATER_BYTES and not self.closed:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def read_rest(self) -> None:
        """Deliver what the kernel still holds: a dead process's last words count."""
        while not self.closed and self._readable():
            pass

    def close(self) -> None:
        """Flush what the kernel takes and close; `on_closed` is not called for our own closing."""
        if self.closed:
            return
        self.flush()
        self._shut()

    def _send_some(self, data: bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            # The reader learns of the end by itself, after it has read what was still underway.
            return len(data)

    def _writable(self) -> None:
        sent = self._send_some(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())
        if self._drained is not None and len(self._unsent) <= CHANNEL_HIGH_WATER_BYTES:
            self._drained.set()
            self._drained = None

    def _readable(self) -> bool:
        """Read once; False when nothing was there."""
        try:
            data = self._socket.recv(BUFFER_BYTES if self._reader.is_inside_frame else _SLICE_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            # A killed process resets the connection when it had something unread: an end like any other.
            data = b""
        if not data:
            self._end(None)
            return False
        self.reads += 1
        try:
            messages = self._reader.feed(data)
        except WireError as error:
            self._end(error)
            return False
        if messages:
            self._on_messages(messages)
        return True

    def _end(self, error: BaseException | None) -> None:
        if not self.closed:
            self._shut()
            self._on_closed(error)

    def _shut(self) -> None:
        self.closed = True
        descriptor = self._socket.fileno()
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        self._socket.close()
        if self._drained is not None:
            self._drained.set()
            self._drained = None
