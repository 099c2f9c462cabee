"""One stream read twice: what only one of two readers has read waits for the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, cast

from durable.limits import HTTP_BODY_BYTES_MAX
from durable.sdk.contents import Content, chunks_of, close


def tee(content: Content) -> tuple[Branch, Branch]:
    """Two iterators of the same bytes, each read at its own pace."""
    source = _Source(content)
    return source.branches


class Branch(AsyncIterator[bytes]):
    """One of two readers."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self.waiting: deque[bytes] = deque()
        self.bytes_waiting = 0
        self.closed = False

    def __aiter__(self) -> Branch:
        return self

    async def __anext__(self) -> bytes:
        while not self.waiting:
            if self.closed or not await self._source.pull():
                raise StopAsyncIteration
        data = self.waiting.popleft()
        self.bytes_waiting -= len(data)
        return data

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self.waiting.clear()
            self.bytes_waiting = 0
            await self._source.left()


class _Source:
    """What both read from; each piece is read once, in a task of its own so that no reader's end cuts it short."""

    def __init__(self, content: Content) -> None:
        self._chunks = chunks_of(content)
        self._reading: asyncio.Task[bool] | None = None
        self._ended = False
        self.branches = Branch(self), Branch(self)

    async def pull(self) -> bool:
        """Read on for both; False at the end. Raises what the source raises, to both."""
        if self._reading is None:
            if self._ended:
                return False
            self._reading = asyncio.ensure_future(self._read())
        return await asyncio.shield(self._reading)

    async def _read(self) -> bool:
        data = await anext(self._chunks, None)
        if data is None:
            self._ended = True
        else:
            for branch in self.branches:
                if not branch.closed:
                    self._give(branch, data)
        # A failure stays, so that the other reader gets it as well.
        self._reading = None
        return data is not None

    def _give(self, branch: Branch, data: bytes) -> None:
        if branch.bytes_waiting > HTTP_BODY_BYTES_MAX:
            raise OSError(
                f"one reader of a cloned body is {branch.bytes_waiting} bytes behind the other, "
                f"and {HTTP_BODY_BYTES_MAX} are kept at most: read both at the same time"
            )
        branch.waiting.append(data)
        branch.bytes_waiting += len(data)

    async def left(self) -> None:
        """One reader wants no more; when neither does, the source need not go on."""
        if all(branch.closed for branch in self.branches):
            self._ended = True
            if self._reading is not None and not self._reading.done():
                self._reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await self._reading
            await close(cast("Any", self._chunks))
