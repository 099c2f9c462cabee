"""What a stub's method returns: already under way, awaitable once, and a coroutine to everything that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class PendingCall(Coroutine[Any, Any, Any]):
    """A call that was delivered when it was made. Cancelling whoever awaits it cancels the call.

    A real coroutine would start only when awaited and would warn when it is not; a future cannot be given to
    `asyncio.create_task`. This is both.
    """

    __slots__ = ("_cancel", "_iterator", "future")

    def __init__(self, future: asyncio.Future[Any], cancel: Callable[[], None]) -> None:
        self.future = future
        self._cancel = cancel
        self._iterator: Generator[Any, Any, Any] | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            return (yield from self.future.__await__())
        except (asyncio.CancelledError, GeneratorExit):
            self._cancel()
            raise

    def send(self, value: Any) -> Any:
        if self._iterator is None:
            self._iterator = self.__await__()
        return self._iterator.send(value)

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        if self._iterator is None:
            self._iterator = self.__await__()
            self._iterator.send(None)
        return self._iterator.throw(error)

    def close(self) -> None:
        if self._iterator is not None:
            self._iterator.close()
