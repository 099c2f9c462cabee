"""docs/websockets.md as a program: its blocks, and the project that its classes and its worker make."""

from __future__ import annotations

import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection

from durable.testing import App
from tests.acceptance.test_docs_storage import PROGRAM, ask, method

REPO = Path(__file__).parents[2]
DOCUMENT = (REPO / "docs" / "websockets.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
CLASSES = {match[1]: block for block in BLOCKS if (match := re.match(r"class (\w+)\(DurableObject\)", block))}
(WORKER,) = (block for block in BLOCKS if "class Default(WorkerEntrypoint)" in block)
(CLIENT,) = (block for block in BLOCKS if block.startswith("class Client:"))
(TESTS,) = (block for block in BLOCKS if block.startswith("def test_"))
SNIPPETS = [block for block in BLOCKS if block not in (*CLASSES.values(), WORKER, CLIENT, TESTS)]
(BROWSER,) = re.findall(r"^```js\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
(CONSOLE,) = re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
DURABLE = str(Path(sys.executable).with_name("durable"))
SECRET = "only for tests"
WAIT_SECONDS = 20.0

IMPORTS = """
import asyncio
import hmac
import json
import os
import time
from urllib.parse import parse_qs, urlsplit

from durable import (
    DurableObject, Headers, Request, Response, WebSocket, WebSocketPair, WebSocketRequestResponsePair, WorkerEntrypoint,
)
"""

REPORTER = '''
class Reporter(DurableObject):
    """Writes down how its sockets end; its clients' words are orders."""

    def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server, ["tag"])
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        if message == "bye":
            ws.close(4002, "out")
        if message == "flood":
            for _ in range(64):
                ws.send(bytes(1024 * 1024))
        if message == "wait":
            self.ctx.storage.kv.put("began", True)
            await self.ctx.storage.sync()
            await asyncio.sleep(3600)
        if message == "again":
            ws.send("heard")

    def web_socket_close(self, ws, code, reason, was_clean):
        self.ctx.storage.kv.put("ended", ["web_socket_close", f"{code}, {reason!r}, {was_clean}"])

    def web_socket_error(self, ws, error):
        self.ctx.storage.kv.put("ended", ["web_socket_error", f"{type(error).__name__}: {error}"])

    def ended(self):
        return self.ctx.storage.kv.get("ended")

    def remember(self):
        (ws,) = self.ctx.get_web_sockets()
        ws.serialize_attachment({"name": "Ada"})
        self.ctx.set_web_socket_auto_response(WebSocketRequestResponsePair("ping", "pong"))
        self.memory = True
        self.ctx.storage.kv.put("stored", True)

    def left(self):
        sockets = self.ctx.get_web_sockets()
        return {
            "memory": hasattr(self, "memory"),
            "connection": [[self.ctx.get_tags(ws), ws.deserialize_attachment()] for ws in sockets],
            "auto-response": self.ctx.get_web_socket_auto_response() is not None,
            "storage": self.ctx.storage.kv.get("stored"),
        }

    def abort(self):
        self.ctx.abort("enough")

    def hand_over(self):
        return WebSocketPair().client

    def began(self):
        return self.ctx.storage.kv.get("began")


def drop(self, code):
    for ws in self.ctx.get_web_sockets():
        ws.close(code)


Channel.drop = drop
'''

DEFAULT = """

class Default(Page):
    async def fetch(self, request):
        if request.method == "POST":
            return await Calls.fetch(self, request)
        kind, name, *rest = urlsplit(request.url).path.split("/")[1:]
        if hasattr(self.env, kind):
            return await getattr(self.env, kind).get_by_name(name).fetch(request)
        return await super().fetch(request)
"""


def program() -> str:
    examples = "".join(method(number, block) for number, block in enumerate(SNIPPETS))
    examples = examples.replace("storage, sql =", "ctx, storage, sql = self.ctx,")
    before, calls = PROGRAM.split("\nclass Default")
    tools = before[before.index("\n\ndef check") :]
    classes = "\n\n".join(CLASSES.values())
    page = WORKER.replace("class Default", "class Page")
    # The page's five seconds are long for a test.
    classes = classes.replace("+ 5_000)", "+ 100)")
    return f"{IMPORTS}{tools}{examples}\n\n{classes}\n\n{REPORTER}\n\n{page}\n\nclass Calls{calls}{DEFAULT}"


def write_project(folder: Path) -> None:
    """Every class of the page, with its worker, as a project."""
    (folder / "main.py").write_text(program(), "utf-8")
    names = ["Examples", "Reporter", *CLASSES]
    bound = {**{name: name for name in names}, "ROOMS": "Room", "LOBBIES": "Lobby", "CHANNELS": "Channel"}
    (folder / "durable.toml").write_text(
        'name = "websockets"\nmain = "main.py"\ncompatibility_date = "2026-11-01"\n'
        f'[vars]\nSECRET = "{SECRET}"\n'
        + "".join(f'[[durable_objects.bindings]]\nname = "{name}"\nclass_name = "{to}"\n' for name, to in bound.items())
        + f'[[migrations]]\ntag = "v1"\nnew_sqlite_classes = {json.dumps(names)}\n',
        "utf-8",
    )


def sign(user: str) -> str:
    scope: dict[str, Any] = {"hmac": hmac}
    exec(WORKER[: WORKER.index("\n\nclass Default")], scope)
    token: str = scope["sign"](user, SECRET)
    return token


def address(app: App, path: str, user: str = "ada") -> str:
    return f"ws{app.url.removeprefix('http')}{path}?token={sign(user)}"


def heard(client: ClientConnection) -> Any:
    return json.loads(client.recv(WAIT_SECONDS))


def result(app: App, class_name: str, name: str, method_name: str, *arguments: Any) -> Any:
    answer = ask(app, class_name, name, method_name, *arguments)
    assert "error" not in answer, answer
    return answer["result"]


def until(look: Callable[[], Any]) -> Any:
    """What `look` sees as soon as it is something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)
    return found


def objects(project: Path, *words: str) -> str:
    """What `durable objects` prints for these words."""
    command = [DURABLE, "objects", *words, "--persist-to", str(project)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def kill_the_host(app: App) -> None:
    deaths = app.status()["host_deaths"]
    os.kill(app.status()["hosts"][0]["pid"], signal.SIGKILL)
    until(lambda: app.status()["host_deaths"] > deaths)
