"""Streams that functions make, as the platform has them: `start`, `pull` and `cancel` with a controller."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from durable.sdk.aliases import CamelCase
from durable.sdk.contents import bytes_of
from durable.sdk.pipes import BytePipe

FUNCTIONS = ("start", "pull", "cancel")


class StreamController(CamelCase):
    """What the functions of a stream's source are given."""

    def __init__(self, pipe: BytePipe) -> None:
        self._pipe = pipe
        self.wanted = True
        """Whether the source has neither closed nor failed."""

    def enqueue(self, chunk: Any) -> None:
        """Raises OSError after `close()`."""
        self._pipe.put(bytes_of(chunk))

    def close(self) -> None:
        self.wanted = False
        self._pipe.end()

    def error(self, reason: Any = None) -> None:
        """The reader gets this as an OSError, or as the exception that it is."""
        self.wanted = False
        self._pipe.end(reason if isinstance(reason, BaseException) else f"the stream failed: {reason}")


def functions_of(source: Any, named: Mapping[str, Any]) -> dict[str, Callable[..., Any]] | None:
    """The source's functions, out of a mapping, an object or keywords; None when it has none of them."""
    given: Mapping[str, Any] = (
        cast("Mapping[str, Any]", source)
        if isinstance(source, Mapping)
        else {name: getattr(source, name, None) for name in FUNCTIONS}
    )
    found: dict[str, Callable[..., Any]] = {}
    for name in FUNCTIONS:
        function = named.get(name) or given.get(name)
        if callable(function):
            found[name] = function
    return found or None


async def made_by(functions: Mapping[str, Callable[..., Any]]) -> AsyncIterator[bytes]:
    """The chunks of a source's functions; `pull` is called whenever all that they gave has been read."""
    pipe = BytePipe()
    controller = StreamController(pipe)
    start, pull, cancel = (functions.get(name) for name in FUNCTIONS)
    starting: asyncio.Future[Any] | None = None
    finished = False
    try:
        if start is not None and inspect.isawaitable(started := start(controller)):
            # It may write for as long as it likes, and is read meanwhile.
            starting = asyncio.ensure_future(started)
            starting.add_done_callback(lambda task: _started(task, controller))
        while True:
            if pull is not None and controller.wanted and pipe.is_empty and (starting is None or starting.done()):
                pulled = pull(controller)
                if inspect.isawaitable(pulled):
                    await pulled
            data = await anext(pipe, None)
            if data is None:
                finished = True
                return
            yield data
    finally:
        if starting is not None and not starting.done():
            starting.cancel()
        if not finished and controller.wanted and cancel is not None and inspect.isawaitable(ended := cancel(None)):
            await ended


def _started(task: asyncio.Future[Any], controller: StreamController) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        controller.error(error)
