"""One round of an ASGI app's lifespan: started before a request, ended after it, as the platform does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[..., Awaitable[None]]

ASGI: Final = {"version": "3.0", "spec_version": "2.0"}


class Lifespan:
    """An app without a lifespan is fine. `state` is what the app put there, for the scope of its request."""

    def __init__(self, app: App) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def start(self) -> None:
        """Raises RuntimeError with the app's message when its start-up fails."""
        self._to_app.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.ensure_future(self._run())
        answer = await self._from_app.get()
        if answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(answer.get("message") or "the start-up of the ASGI app's lifespan failed")
        if answer["type"] != "lifespan.startup.complete":
            self._task = None

    async def end(self) -> None:
        """Raises RuntimeError with the app's message when its shutdown fails."""
        task, self._task = self._task, None
        if task is None:
            return
        self._to_app.put_nowait({"type": "lifespan.shutdown"})
        answer = await self._from_app.get()
        if answer["type"] == "lifespan.shutdown.failed":
            raise RuntimeError(answer.get("message") or "the shutdown of the ASGI app's lifespan failed")
        if self._error is not None:
            raise self._error

    async def _run(self) -> None:
        started = False

        async def send(message: Message) -> None:
            nonlocal started
            started = True
            self._from_app.put_nowait(message)

        try:
            await self._app({"type": "lifespan", "asgi": ASGI, "state": self.state}, self._to_app.get, send)
        except Exception as error:
            # Before the start-up is answered this is how an app says that it has no lifespan.
            self._error = error if started else None
        self._from_app.put_nowait({"type": "over"})
