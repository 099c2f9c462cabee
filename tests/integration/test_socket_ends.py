"""Both ends of sockets in the hands of user code: worker and object, object and object, of one host and of two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from durable.gateway.events import UserCodeFailed
from tests.integration.running_emulator import Running, running
from tests.settings import settings

SETTINGS = (
    settings("Room", "ROOMS")
    + """
[dev]
port = 0
"""
)

PROGRAM = '''
import asyncio
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

UPGRADE = {"Upgrade": "websocket"}


class Room(DurableObject):
    """Says back what it hears: over a socket of its own, or over one that it opens to another room."""

    async def fetch(self, request):
        path = request.url.split("/")[3:]
        client, server = WebSocketPair()
        if path[0] == "hibernating":
            self.ctx.accept_web_socket(server)
            server.send("welcome")
        elif path[0] == "forwarding":
            other = await open_room(self.env, path[1], "/hibernating")
            other.add_event_listener("message", lambda event: server.send(f"{path[1]}: {event.data}"))
            server.accept()
            server.add_event_listener("message", lambda event: other.send(event.data))
            server.add_event_listener("close", lambda event: other.close(event.code, event.reason))
        else:
            server.accept()
            server.add_event_listener("message", lambda event: server.send("room: " + event.data))
        return Response(None, status=101, web_socket=client, headers={"X-Room": str(self.ctx.id.name)})

    def web_socket_message(self, ws, message):
        if message == "abort":
            self.ctx.abort("enough")
        if message == "bye":
            return ws.close(4001, "bye")
        ws.send(message if isinstance(message, bytes) else "heard " + message)

    def web_socket_close(self, ws, code, reason, was_clean):
        self.ctx.storage.kv.put("closed", [code, reason, was_clean])

    def closed(self):
        return self.ctx.storage.kv.get("closed")

    def sockets(self):
        return len(self.ctx.get_web_sockets())


async def open_room(env, name, path):
    response = await env.ROOMS.get_by_name(name).fetch("http://room" + path, headers=UPGRADE)
    assert response.status == 101
    response.web_socket.accept()
    return response.web_socket


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        kind, *rest = request.url.partition("//")[2].split("/")[1:]
        return await getattr(self, kind)(request, *rest)

    async def echo(self, request):
        """The worker is the server."""
        client, server = WebSocketPair()
        server.accept()

        async def reply(event):
            if event.data == "raise":
                raise ValueError("bad message")
            server.send(event.data)

        server.add_event_listener("message", reply)
        return Response(None, status=101, web_socket=client)

    async def talk(self, request, name, kind, *messages):
        """The worker is the client of a room, and answers with what it heard."""
        ws = await open_room(self.env, name, "/" + kind)
        heard, over = [], asyncio.Event()

        def close(event):
            heard.append([event.code, event.reason, event.was_clean, ws.ready_state])
            over.set()

        def message(event):
            heard.append(event.data if isinstance(event.data, str) else event.data.decode("latin-1"))
            if "end" in str(event.data):
                ws.close(1000, "done")

        ws.add_event_listener("message", message)
        ws.add_event_listener("close", close)
        for each in messages:
            ws.send(each.encode() if each == "binary" else each)
        await over.wait()
        return Response.json(heard)

    async def middle(self, request, name):
        """The worker is in between, and changes what passes."""
        ws = await open_room(self.env, name, "/hibernating")
        client, server = WebSocketPair()
        server.accept()
        server.add_event_listener("message", lambda event: ws.send(event.data.upper()))
        server.add_event_listener("close", lambda event: ws.close(event.code, event.reason))
        ws.add_event_listener("message", lambda event: server.send(f"[{event.data}]"))
        ws.add_event_listener("close", lambda event: server.close(event.code, event.reason))
        return Response(None, status=101, web_socket=client)

    async def room(self, request, name, *path):
        return await self.env.ROOMS.get_by_name(name).fetch("http://room/" + "/".join(path), headers=UPGRADE)

    async def pair(self, request):
        """Both ends are the worker's."""
        one, two = WebSocketPair()
        one.accept()
        one.send("before the other is accepted")
        heard, over = [], asyncio.Event()
        two.accept()
        two.add_event_listener("message", lambda event: heard.append(event.data))
        two.add_event_listener("close", lambda event: over.set())
        for n in range(100):
            one.send(str(n))
        one.close()
        await over.wait()
        return Response.json(heard)

    async def closed(self, request, name):
        return Response.json(await self.env.ROOMS.get_by_name(name).closed())

    async def sockets(self, request, name):
        return Response.json(await self.env.ROOMS.get_by_name(name).sockets())
'''


NAMES = "abcdefgh"
"""Objects of both hosts: which of them is whose is a hash's business."""


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PROGRAM, SETTINGS, hosts=2, watch=False) as run:
        yield run


def connect(run: Running, path: str) -> Any:
    return run.client.ws_connect(run.emulator.url + path)


async def answer(run: Running, path: str) -> Any:
    async with run.client.get(run.emulator.url + path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_a_worker_is_the_server_of_its_own_socket(run: Running) -> None:
    async with connect(run, "/echo") as socket:
        await socket.send_str("hello")
        await socket.send_bytes(b"\x00\x01")
        assert (await socket.receive()).data == "hello"
        assert (await socket.receive()).data == b"\x00\x01"
        await socket.close(code=4000)
        assert socket.close_code == 4000


async def test_a_listener_that_raises_is_logged_with_its_line_and_the_socket_goes_on(run: Running) -> None:
    async with connect(run, "/echo") as socket:
        await socket.send_str("raise")
        await socket.send_str("still")
        assert (await socket.receive()).data == "still"
    report = (await run.event(UserCodeFailed)).report
    assert (report.message, report.method) == ("bad message", "message listener")
    frame = [frame for frame in report.frames if frame.user][-1]
    assert (Path(frame.file).name, frame.source) == ("main.py", 'raise ValueError("bad message")')


async def test_a_worker_is_the_client_of_an_object(run: Running) -> None:
    for name in NAMES:
        assert await answer(run, f"/talk/{name}/hibernating/hello/binary/end") == [
            "welcome", "heard hello", "binary", "heard end", [1000, "done", True, 3],
        ]  # fmt: skip
        assert await answer(run, f"/closed/{name}") == [1000, "done", True]
        assert await answer(run, f"/sockets/{name}") == 0
        assert await answer(run, f"/talk/{name}/memory/hello/end") == [
            "room: hello", "room: end", [1000, "done", True, 3],
        ]  # fmt: skip


async def test_a_worker_hears_that_the_object_closes_or_is_reset(run: Running) -> None:
    assert await answer(run, "/talk/a/hibernating/bye") == ["welcome", [4001, "bye", True, 3]]
    assert await answer(run, "/talk/b/hibernating/abort") == [
        "welcome", [1006, "WebSocket disconnected without sending Close frame.", False, 3],
    ]  # fmt: skip


async def test_a_worker_in_the_middle_changes_what_passes(run: Running) -> None:
    for name in NAMES:
        async with connect(run, f"/middle/{name}") as socket:
            assert (await socket.receive()).data == "[welcome]"
            for n in range(20):
                await socket.send_str(f"m{n}")
            assert [(await socket.receive()).data for _ in range(20)] == [f"[heard M{n}]" for n in range(20)]
            await socket.close(code=4002, message=b"over")
            assert socket.close_code == 4002


async def test_an_object_is_the_client_of_another_object(run: Running) -> None:
    for other in NAMES:
        async with connect(run, f"/room/first/forwarding/{other}") as socket:
            assert (await socket.receive()).data == f"{other}: welcome"
            await socket.send_str("hello")
            assert (await socket.receive()).data == f"{other}: heard hello"
            await socket.close(code=4003, message=b"done")


async def test_an_end_is_handed_from_object_to_worker_to_client_with_its_headers(run: Running) -> None:
    async with connect(run, "/room/a/hibernating") as socket:
        assert socket._response.headers["x-room"] == "a"
        assert (await socket.receive()).data == "welcome"


async def test_messages_cross_a_pair_in_one_program_in_order(run: Running) -> None:
    assert await answer(run, "/pair") == ["before the other is accepted", *(str(n) for n in range(100))]


async def test_no_socket_is_left_in_the_gateway(run: Running) -> None:
    await answer(run, "/pair")
    await answer(run, "/talk/a/hibernating/end")
    await answer(run, "/talk/b/hibernating/abort")
    async with connect(run, "/middle/c") as socket:
        await socket.receive()
    await run.until(lambda: run.emulator.status()["sockets"] == 0)


async def test_a_reload_ends_what_user_code_holds_and_the_other_end_hears_of_it(run: Running) -> None:
    async with connect(run, "/middle/a") as socket, connect(run, "/room/a/hibernating") as kept:
        await socket.receive()
        await kept.receive()
        await run.emulator.reload()
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        await kept.send_str("still")
        assert (await kept.receive()).data == "heard still"
    assert await answer(run, "/sockets/b") == 0
