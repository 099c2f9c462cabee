"""Two projects as Cloudflare's documentation has them, bound to each other, in one `durable dev`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.running_dev import Dev

FRONT = """\
from urllib.parse import urlparse

from js import WebSocketPair
from pyodide.ffi import to_js
from workers import DurableObject, Response, WorkerEntrypoint


class Visits(DurableObject):
    async def count(self):
        self.total = getattr(self, "total", 0) + 1
        return {"total": self.total, "greeting": await self.env.GREETER.greet("visitor")}


class Audit(WorkerEntrypoint):
    async def note(self, what):
        return f"{what} noted for {self.ctx.props.team}"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        if path == "/greet":
            return Response(await self.env.GREETER.greet("ada"))
        if path == "/proxy":
            return await self.env.GREETER.fetch(request)
        if path == "/post":
            answer = await self.env.GREETER.fetch("https://greeter/echo", method="POST", body="over there")
            return Response.json({"status": answer.status, "text": await answer.text()})
        if path == "/board":
            stub = self.env.BOARDS.get(self.env.BOARDS.idFromName("main"))
            row = await stub.add("one line")
            return Response.json({"n": row.n, "line": row.line})
        if path == "/socket":
            return await self.env.BOARDS.getByName("main").fetch(request)
        if path == "/count":
            seen = await self.env.VISITS.getByName("all").count()
            return Response.json({"total": seen.total, "greeting": seen.greeting})
        if path == "/exports":
            audit = self.ctx.exports.Audit({"props": {"team": "red"}})
            return Response(await audit.note("visit"))
        return Response("front")
"""

FRONT_CONFIG = {
    "name": "front",
    "main": "src/entry.py",
    "compatibility_date": "2026-08-01",
    "compatibility_flags": ["python_workers"],
    "services": [{"binding": "GREETER", "service": "greeter"}],
    "durable_objects": {
        "bindings": [
            {"name": "VISITS", "class_name": "Visits"},
            {"name": "BOARDS", "class_name": "Board", "script_name": "greeter"},
        ]
    },
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["Visits"]}],
}

GREETER = """\
from js import WebSocketPair
from workers import DurableObject, Response, WorkerEntrypoint


class Board(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS lines(n INTEGER PRIMARY KEY, line TEXT)")

    async def add(self, line):
        return self.ctx.storage.sql.exec("INSERT INTO lines(line) VALUES(?) RETURNING n, line", line).one()

    async def fetch(self, request):
        client, server = WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server)
        return Response(None, status=101, web_socket=client)

    async def webSocketMessage(self, ws, message):
        ws.send(f"{message} from {self.env.NAME}")


class Default(WorkerEntrypoint):
    async def greet(self, who):
        return f"hello {who} from {self.env.NAME}"

    async def fetch(self, request):
        return Response(f"{request.method} {await request.text()}", status=202)
"""

GREETER_CONFIG = {
    "name": "greeter",
    "main": "src/entry.py",
    "compatibility_date": "2026-08-01",
    "compatibility_flags": ["python_workers"],
    "vars": {"NAME": "greeter"},
    "durable_objects": {"bindings": [{"name": "BOARDS", "class_name": "Board"}]},
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["Board"]}],
}


def project(folder: Path, config: object, program: str) -> str:
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "entry.py").write_text(program)
    (folder / "wrangler.jsonc").write_text(json.dumps(config, indent=2))
    return str(folder / "wrangler.jsonc")


@pytest.fixture
def dev(tmp_path: Path, start_dev: Callable[..., Dev]) -> Dev:
    front, greeter = (
        project(tmp_path / "front", FRONT_CONFIG, FRONT),
        project(tmp_path / "greeter", GREETER_CONFIG, GREETER),
    )
    return start_dev(tmp_path, "-c", front, "-c", greeter, "--no-reload").wait_ready()


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("/", 200, "front"),
        ("/greet", 200, "hello ada from greeter"),
        ("/proxy", 202, "GET "),
        ("/post", 200, '{"status": 202, "text": "POST over there"}'),
        ("/board", 200, '{"n": 1, "line": "one line"}'),
        ("/count", 200, '{"total": 1, "greeting": "hello visitor from greeter"}'),
        ("/exports", 200, "visit noted for red"),
    ],
)
def test_both_run_unmodified(dev: Dev, path: str, status: int, answer: str):
    got_status, got = dev.get(path)
    assert got_status == status, got
    assert (json.loads(got) == json.loads(answer)) if answer.startswith("{") else got == answer


async def test_a_hibernating_socket_of_the_other_one_is_reached_through_the_first(dev: Dev):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(dev.url.replace("http", "ws") + "/socket") as socket,
    ):
        await socket.send_str("hi")
        assert await socket.receive_str(timeout=20) == "hi from greeter"
