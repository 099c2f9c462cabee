"""Sockets to a server outside of the emulator, from workers and through them; the host is a process of its own."""

from __future__ import annotations

import contextlib
import http
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from durable.gateway.events import UserCodeFailed
from tests.integration.running_emulator import Running, running
from tests.integration.test_socket_ends import SETTINGS

PROGRAM = '''
import asyncio
from durable import DurableObject, Response, WebSocket, WebSocketPair, WorkerEntrypoint, fetch

UPGRADE = {"Upgrade": "websocket"}


class Room(DurableObject):
    """Hands on what the server outside says; its client never speaks to that server itself."""

    async def fetch(self, request):
        outside = WebSocket(request.headers["x-outside"])
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        outside.add_event_listener("message", lambda event: server.send("object: " + event.data))
        outside.add_event_listener("close", lambda event: server.close(event.code, event.reason))
        outside.add_event_listener("open", lambda event: outside.send("hello"))
        self.outside = outside
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws, message):
        self.outside.send(message)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        kind = request.url.partition("//")[2].split("/")[1]
        url = self.env.OUTSIDE
        if kind == "proxy":
            return await fetch(url.replace("ws", "http"), headers={**UPGRADE, "Sec-WebSocket-Protocol": "chat"})
        if kind == "object":
            return await self.env.ROOMS.get_by_name("a").fetch(request.url, headers={**UPGRADE, "x-outside": url})
        if kind == "refused":
            response = await fetch(url.replace("ws", "http") + "refused", headers=UPGRADE)
            return Response.json([response.status, response.web_socket is None])
        return Response.json(await self.talk(kind, url))

    async def talk(self, kind, url):
        heard, over = [], asyncio.Event()
        if kind == "fetched":
            ws = (await fetch(url.replace("ws", "http"), headers=UPGRADE)).web_socket
            ws.accept()
            ws.send("hello")
        else:
            ws = WebSocket(url, ["superchat"])
            ws.add_event_listener("open", lambda event: ws.send("hello"))
        ws.add_event_listener("message", lambda event: (heard.append(event.data), ws.close(4000, "bye")))
        ws.add_event_listener("close", lambda event: (heard.append([event.code, event.reason]), over.set()))
        await over.wait()
        return [*heard, ws.protocol, ws.ready_state]
'''


class Echo:
    """The server outside."""

    def __init__(self) -> None:
        self.url = ""
        self.closed: list[tuple[int | None, str | None]] = []

    async def handle(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                if message == "bye":
                    await connection.close(4005, "from outside")
                await connection.send(message)
        self.closed.append((connection.close_code, connection.close_reason))

    def refuse(self, connection: ServerConnection, request: Any) -> Any:
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not you") if request.path == "/refused" else None


@pytest.fixture
async def outside() -> AsyncIterator[Echo]:
    echo = Echo()
    async with serve(
        echo.handle, "127.0.0.1", 0, process_request=echo.refuse,
        select_subprotocol=lambda connection, offered: offered[0] if offered else None,
    ) as server:  # fmt: skip
        echo.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        yield echo


@pytest.fixture
async def run(tmp_path: Path, outside: Echo) -> AsyncIterator[Running]:
    settings = SETTINGS + f'\n[vars]\nOUTSIDE = "{outside.url}"\n'
    async with running(tmp_path, PROGRAM, settings, watch=False) as run:
        yield run


async def answer(run: Running, path: str) -> Any:
    async with run.client.get(run.emulator.url + path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_a_worker_talks_to_a_server_outside(run: Running, outside: Echo) -> None:
    assert await answer(run, "/fetched") == ["hello", [4000, "bye"], "", 3]
    assert await answer(run, "/constructed") == ["hello", [4000, "bye"], "superchat", 3]
    assert await answer(run, "/refused") == [403, True]
    await run.until(lambda: outside.closed == [(4000, "bye")] * 2)
    assert run.told(UserCodeFailed) == []


async def test_a_worker_returns_the_socket_of_a_server_outside_to_its_client(run: Running, outside: Echo) -> None:
    async with run.client.ws_connect(run.emulator.url + "/proxy", protocols=["chat"]) as socket:
        assert socket.protocol == "chat"
        for message in ("x", "y" * 300_000):
            await socket.send_str(message)
            assert (await socket.receive()).data == message
        await socket.send_bytes(b"\x00")
        assert (await socket.receive()).data == b"\x00"
        await socket.close(code=4001, message=b"done")
    await run.until(lambda: outside.closed == [(4001, "done")])
    async with run.client.ws_connect(run.emulator.url + "/proxy") as socket:
        await socket.send_str("bye")
        said = await socket.receive()
        assert (said.data, said.extra) == (4005, "from outside")
    await run.until(lambda: run.emulator.status()["sockets"] == 0)


async def test_a_client_that_vanishes_takes_the_connection_outside_with_it(run: Running, outside: Echo) -> None:
    async with run.client.ws_connect(run.emulator.url + "/proxy") as socket:
        await socket.send_str("x")
        await socket.receive()
        connection = socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        await run.until(lambda: outside.closed == [(1006, "")])


async def test_an_object_stands_between_its_client_and_a_server_outside(run: Running, outside: Echo) -> None:
    async with run.client.ws_connect(run.emulator.url + "/object") as socket:
        assert (await socket.receive()).data == "object: hello"
        await socket.send_str("bye")
        said = await socket.receive()
        assert (said.data, said.extra) == (4005, "from outside")


async def test_a_reload_ends_the_connections_outside(run: Running, outside: Echo) -> None:
    async with run.client.ws_connect(run.emulator.url + "/object") as socket:
        await socket.receive()
        await run.emulator.reload()
        await run.until(lambda: outside.closed == [(1006, "")])
