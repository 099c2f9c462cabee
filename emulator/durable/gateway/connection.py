"""One client's connection: aiohttp's HTTP/1.1, and the patience that it lacks. Knows no request's meaning.

aiohttp bounds each header and the queue of pipelined requests, and waits for ever in three places: for the rest of a
head that comes byte by byte, for the rest of a body whose framing is broken, and for a client that takes nothing of its
response. Each has its bound here, beside the path that every request takes: two attribute tests are all it pays.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import cast

from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from durable.limits import BODY_STALL_SECONDS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_SECONDS_MAX, KIB


class ClientConnection(RequestHandler):
    """Made by the server for every connection."""

    __slots__ = ("_head_bytes", "_head_number", "_head_timer", "_stall_timer", "_untaken", "_wire")

    _wire: asyncio.Transport
    """aiohttp forgets its transport when it closes it; ours is kept until the connection is really over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)
        self._head_bytes = 0
        self._head_number = -1
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._untaken = 0
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._head_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._stall_timer = None
        super().connection_lost(exc)

    # --- in ---------------------------------------------------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        if self._payload_parser is not None:
            # A WebSocket's. aiohttp reads nothing more when it stops, and would wait for close frames in vain.
            over, _ = self._payload_parser.feed_data(data)
            if over:
                self.close()
            return
        super().data_received(data)
        waiter = self._waiter
        if waiter is None:
            if self._messages:
                self._tell_broken_body()
        elif not waiter.done():
            self._head_goes_on(len(data))

    def _head_goes_on(self, size: int) -> None:
        """Something came, and it is no whole request yet."""
        if self._head_number != self._request_count:
            self._head_number = self._request_count
            self._head_bytes = 0
            if self._head_timer is not None:
                self._head_timer.cancel()
            self._head_timer = self._loop.call_later(HTTP_HEAD_SECONDS_MAX, self.give_up_head)
        self._head_bytes += size
        if self._head_bytes > HTTP_HEAD_BYTES_MAX:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the headers of a request are longer than {HTTP_HEAD_BYTES_MAX // KIB} KiB",
            )

    def give_up_head(self) -> None:
        """The head had its time; runs by itself."""
        self._head_timer = None
        waiting = self._waiter is not None and not self._waiter.done()
        if waiting and self._head_number == self._request_count:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT, f"the headers of a request took more than {HTTP_HEAD_SECONDS_MAX:g} seconds"
            )

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer a request that never became one, and end the connection."""
        if self._force_close:
            return
        self.logger.warning(why)
        self._wire.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        self.force_close()

    def _tell_broken_body(self) -> None:
        """The parser in C reports broken framing as a request of its own, and leaves whoever reads the body waiting."""
        error = getattr(self._messages[-1][0], "exc", None)
        request = self._current_request
        if isinstance(error, Exception) and request is not None and not request.content.is_eof():
            request.content.set_exception(RequestPayloadError(str(error)))

    # --- out --------------------------------------------------------------------------------------------------------
    def pause_writing(self) -> None:
        super().pause_writing()
        if self._payload_parser is None:  # a WebSocket has patience of its own
            self._watch_taking()

    def resume_writing(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            # Closed, but not over: what was written last has not left.
            if self._stall_timer is None and self._payload_parser is None and self._wire.get_write_buffer_size():
                self._watch_taking()

    def _watch_taking(self) -> None:
        self._untaken = self._wire.get_write_buffer_size()
        self._stall_timer = self._loop.call_later(BODY_STALL_SECONDS_MAX, self.check_taking)

    def check_taking(self) -> None:
        """End the connection of a client that took nothing all the time; runs by itself."""
        self._stall_timer = None
        size = self._wire.get_write_buffer_size()
        if size < self._untaken:
            self._watch_taking()
        elif size:
            self._wire.abort()
