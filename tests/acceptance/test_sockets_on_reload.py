"""What `durable dev` does to open WebSockets at a save, by the option that was typed, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.acceptance.running_dev import WAIT_SECONDS, Dev, typed
from tests.settings import settings

CONFIG = settings("Room", "ROOMS")

PROGRAM = """\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

VERSION = "one"


class Room(DurableObject):
    def fetch(self, request):
        client, server = WebSocketPair()
        if request.url.endswith("/sleep"):
            self.ctx.accept_web_socket(server)
        else:
            server.accept()
            server.add_event_listener("message", lambda event: server.send(f"{VERSION} {event.data}"))
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws, message):
        ws.send(f"{VERSION} {message}")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOMS.get_by_name("general").fetch(request)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def after_the_save(ws: ClientConnection) -> str | int | None:
    """What the new code says, or the code that the connection ended with."""
    try:
        ws.send("hello")
        answer = ws.recv(WAIT_SECONDS)
    except ConnectionClosed as closed:
        return 1006 if closed.rcvd is None else closed.rcvd.code
    assert isinstance(answer, str)
    return answer


@pytest.mark.parametrize(
    ("words", "sleeping", "holding", "line"),
    [
        pytest.param(
            (), "two hello", 1012,
            'closed with 1012: 1 accepted socket (1 of Room "general"); dev --keep-accepted keeps them',
            id="by default",
        ),
        pytest.param(
            ("--keep-accepted",), "two hello", "two hello",
            "1 accepted socket was rebound to the new code", id="--keep-accepted",
        ),
        pytest.param(
            ("--drop-sockets",), 1006, 1006,
            "--drop-sockets: 2 sockets dropped", id="--drop-sockets",
        ),
    ],
)  # fmt: skip
def test_a_save_keeps_rebinds_or_drops_sockets(
    start_dev: Callable[..., Dev],
    app: Path,
    words: tuple[str, ...],
    sleeping: str | int,
    holding: str | int,
    line: str,
):
    run = start_dev(app, *words).wait_ready()
    url = "ws" + run.url.removeprefix("http")
    with connect(f"{url}/sleep") as asleep, connect(f"{url}/hold") as held:
        assert after_the_save(asleep) == after_the_save(held) == "one hello"
        (app / "main.py").write_text(PROGRAM.replace('"one"', '"two"'))
        run.wait_told("reloaded in ")
        assert after_the_save(asleep) == sleeping
        assert after_the_save(held) == holding
        assert run.wait_told(line).endswith(line)
    assert run.end() == 0


def test_the_two_options_exclude_each_other(app: Path):
    refused = typed(app, "dev", "--port", "0", "--drop-sockets", "--keep-accepted")
    assert refused.returncode == 2
    assert "--drop-sockets and --keep-accepted exclude each other" in refused.stderr
