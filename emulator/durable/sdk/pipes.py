"""Bytes on their way from one task to another, within a bound."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from durable.limits import BODY_WINDOW_BYTES


class BytePipe(AsyncIterator[bytes]):
    """Bytes from one task to another. Iterated once; `aclose()`, or dropping it, tells the writer to stop."""

    def __init__(self, on_abandoned: Callable[[], object] | None = None) -> None:
        self._on_abandoned = on_abandoned
        self._chunks: deque[bytes] = deque()
        self._bytes_unread = 0
        self._ended = False
        self._error: BaseException | str | None = None
        self.abandoned = False
        """Whether the reader wants no more."""
        self._changed: list[asyncio.Future[None]] = []

    async def write(self, data: bytes) -> None:
        """Wait for room, then add. Raises OSError when the reader wants no more, and after the end."""
        while self._bytes_unread >= BODY_WINDOW_BYTES and not self.abandoned:
            await self._wait_change()
        self.put(data)

    def put(self, data: bytes) -> None:
        """Add without waiting."""
        if self.abandoned:
            raise OSError("whoever read this stream wants no more of it")
        if self._ended:
            raise OSError("this stream is closed: nothing can be written to it")
        if data:
            self._chunks.append(data)
            self._bytes_unread += len(data)
            self._tell()

    def end(self, error: BaseException | str | None = None) -> None:
        """Nothing follows; with an error the reader gets that after what was written."""
        if not self._ended:
            self._ended, self._error = True, error
            self._tell()

    def __aiter__(self) -> BytePipe:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self.abandoned or (self._ended and self._error is None):
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error if isinstance(self._error, BaseException) else OSError(self._error)
            await self._wait_change()
        data = self._chunks.popleft()
        self._bytes_unread -= len(data)
        self._tell()
        return data

    async def aclose(self) -> None:
        if not self.abandoned:
            self.abandoned = True
            self._chunks.clear()
            self._bytes_unread = 0
            self._tell()
            if self._on_abandoned is not None:
                self._on_abandoned()

    async def _wait_change(self) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.append(change)
        await change

    def _tell(self) -> None:
        waiting, self._changed = self._changed, []
        for change in waiting:
            if not change.done():
                change.set_result(None)

    @property
    def is_empty(self) -> bool:
        """Whether all that was written has been read."""
        return not self._chunks
