"""The stage of facts about sockets to the outside: a host behind its room, and a server that is not ours."""

from __future__ import annotations

import contextlib
import http
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from durable import WebSocket, fetch
from tests.conformance.stage import Stage, Thing
from tests.conformance.wired import Wired, wired


class Server:
    """What the server outside saw: every connection, and what came on it."""

    def __init__(self) -> None:
        self.url = ""
        self.connections: list[ServerConnection] = []
        self.heard: list[str | bytes] = []
        self.closed: list[tuple[int | None, str | None]] = []
        self.echoes = True

    async def handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            async for message in connection:
                self.heard.append(message)
                if self.echoes:
                    await connection.send(message)
        except ConnectionClosed:
            pass
        self.closed.append((connection.close_code, connection.close_reason))

    def choose(self, connection: ServerConnection, offered: Any) -> Any:
        return offered[0] if offered else None

    def refuse(self, connection: ServerConnection, request: Any) -> Any:
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not you") if request.path == "/refused" else None


@contextlib.asynccontextmanager
async def outside(stage: Stage, actor: type[Thing], **options: Any) -> AsyncIterator[tuple[Wired, Server]]:
    """A host behind its room, and a server outside of both."""
    server = Server()
    async with serve(
        server.handle, "127.0.0.1", 0, process_request=server.refuse, select_subprotocol=server.choose, max_size=None,
    ) as running:  # fmt: skip
        port = next(iter(running.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/"
        async with wired(stage, actor, **options) as room:
            try:
                yield room, server
            finally:
                for connection in server.connections:
                    connection.transport.abort()


class Caller(Thing):
    """Opens sockets to the outside and writes down what their listeners hear."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.journal: list[Any] = []
        self.ws: Any = None

    def open(self, url: str, *protocols: Any) -> int:
        self.ws = WebSocket(url, *protocols)
        self.listen(self.ws)
        return self.ws.ready_state

    async def fetch_socket(self, url: str, headers: dict[str, str] | None = None) -> int:
        response = await fetch(url.replace("ws", "http", 1), headers={"Upgrade": "websocket", **(headers or {})})
        self.ws = response.web_socket
        if self.ws is not None:
            self.ws.accept()
            self.listen(self.ws)
        return response.status

    def listen(self, ws: Any) -> None:
        ws.add_event_listener("open", lambda event: self.journal.append(["open", ws.ready_state, ws.protocol]))
        ws.add_event_listener("message", lambda event: self.journal.append(event.data))
        ws.add_event_listener(
            "error", lambda event: self.journal.append(["error", event.message.partition(":")[0], ws.ready_state])
        )
        ws.add_event_listener(
            "close",
            lambda event: self.journal.append(["close", event.code, event.reason, event.was_clean, ws.ready_state]),
        )


def journal(thing: Any) -> list[Any]:
    return list(thing.journal)


async def hear(room: Wired, *expected: Any) -> None:
    await room.until_run(journal, lambda found: len(found) >= len(expected))
    assert await room.run(journal) == list(expected)
