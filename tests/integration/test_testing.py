"""`durable.testing`: a project under test, seen from plain functions."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from durable.errors import ConfigError, LoadFailedError, NotFoundError, StorageError
from durable.testing import App, SocketClosedError, SocketRefusedError, run
from tests.settings import settings

SETTINGS = (
    settings("Room", "ROOM")
    + """
[vars]
WORD = "from the file"
"""
)

PROGRAM = """\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS said(words TEXT)")

    async def fetch(self, request):
        if request.headers.get("Upgrade"):
            client, server = WebSocketPair()
            self.ctx.accept_web_socket(server)
            return Response(None, status=101, web_socket=client)
        self.ctx.storage.sql.exec("INSERT INTO said VALUES (?)", await request.text())
        return Response("said", status=201, headers={"X-Words": "yes"})

    def web_socket_message(self, ws, message):
        if message == "bye":
            ws.close(4000, "as you wish")
        else:
            ws.send(message)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.partition("//")[2].partition("/")[2]
        if path == "word":
            return Response.json({"word": self.env.WORD})
        if path == "away":
            return Response.redirect(request.url + "/there")
        if path == "raise":
            raise ValueError("on purpose")
        return await self.env.ROOM.get_by_name(path).fetch(request)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def test_requests_are_answered_with_replies_whatever_their_status(project: Path):
    with run(project / "durable.toml") as app:
        said = app.post("/hall", data="hello")
        away = app.get("/away")
        raised = app.get("/raise", headers={"Accept": "application/json"})

        assert app.url.startswith("http://127.0.0.1:")
        assert (said.status, said.text, said.headers["x-words"]) == (201, "said", "yes")
        assert (away.status, away.headers["Location"]) == (302, app.url + "/away/there")
        assert raised.status == 500
        assert raised.json()["error"]["message"] == "on purpose"
        assert app.get("/word").json() == {"word": "from the file"}


def test_variables_can_be_laid_over_those_of_the_file(project: Path):
    with run(project / "durable.toml", vars={"WORD": 0.5}) as app:
        assert app.get("/word").json() == {"word": 0.5}


def test_rows_of_an_object_can_be_looked_at(project: Path):
    with run(project / "durable.toml") as app:
        app.post("/hall", data="hello")

        assert app.sql("Room", "hall", "SELECT words FROM said") == [{"words": "hello"}]
        with pytest.raises(NotFoundError, match='no such object: Room "cellar"'):
            app.sql("Room", "cellar", "SELECT 1")
        with pytest.raises(StorageError, match="no such table: nowhere"):
            app.sql("Room", "hall", "SELECT * FROM nowhere")
        assert app.sql("ROOM", "hall", "DELETE FROM said RETURNING words", write=True) == [{"words": "hello"}]


def test_sockets_send_and_receive_text_and_bytes(project: Path):
    with run(project / "durable.toml") as app, app.websocket("/hall") as socket:
        socket.send("hello")
        socket.send(b"\x00\x01")

        assert socket.receive() == "hello"
        assert socket.receive() == b"\x00\x01"
        with pytest.raises(TimeoutError):
            socket.receive(timeout=0.01)


def test_a_socket_that_the_server_closes_says_with_which_code(project: Path):
    with run(project / "durable.toml") as app, app.websocket("/hall") as socket:
        socket.send("bye")

        with pytest.raises(SocketClosedError, match=r"^the server closed the WebSocket with code 4000: as you wish$"):
            socket.receive()


def test_a_refused_handshake_says_its_status(project: Path):
    with run(project / "durable.toml") as app:
        with pytest.raises(
            SocketRefusedError, match=r"^ws://127\.0\.0\.1:\d+/word refused the WebSocket with status 200$"
        ):
            app.websocket("/word")


def test_sockets_and_what_was_stored_survive_a_reload(project: Path):
    with run(project / "durable.toml") as app, app.websocket("/hall") as socket:
        app.post("/hall", data="hello")
        (project / "main.py").write_text(PROGRAM.replace("ws.send(message)", 'ws.send("new: " + message)'))

        app.reload()
        socket.send("hello")

        assert socket.receive() == "new: hello"
        assert app.sql("Room", "hall", "SELECT words FROM said") == [{"words": "hello"}]
        assert app.status()["generation"] == 2


def test_each_run_begins_with_nothing_unless_a_state_is_named(project: Path, tmp_path: Path):
    for _ in range(2):
        with run(project / "durable.toml") as app:
            app.post("/hall", data="hello")
            assert app.sql("Room", "hall", "SELECT count(*) AS n FROM said") == [{"n": 1}]

    for expected in (1, 2):
        with run(project / "durable.toml", state=tmp_path / "kept" / "state") as app:
            app.post("/hall", data="hello")
            assert app.sql("Room", "hall", "SELECT count(*) AS n FROM said") == [{"n": expected}]


def test_a_program_that_cannot_be_loaded_raises_its_traceback(project: Path):
    (project / "main.py").write_text("import missing_package\n")

    with (
        pytest.raises(LoadFailedError, match="No module named 'missing_package'") as caught,
        run(project / "durable.toml"),
    ):
        pass

    assert str(project / "main.py") in str(caught.value)


def test_a_class_that_is_missing_raises_what_to_write(project: Path):
    (project / "main.py").write_text("x = 1\n")

    with pytest.raises(LoadFailedError, match=r"main\.py defines no class Room"), run(project / "durable.toml"):
        pass


def test_a_configuration_that_cannot_be_read_is_raised_as_it_is(project: Path):
    (project / "durable.toml").write_text("main = \n")

    with pytest.raises(ConfigError, match=r"durable\.toml:1:"), run(project / "durable.toml"):
        pass


def test_nothing_is_left_when_the_block_ends(project: Path):
    threads = threading.active_count()

    with run(project / "durable.toml") as app, app.websocket("/hall"):
        pids = [host["pid"] for host in app.status()["hosts"]]

    assert threading.active_count() == threads
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_pytest_plugin_runs_the_project_of_the_test_file_on_fresh_state_for_each_test(project: Path):
    (project / "tests").mkdir()
    (project / "tests" / "test_room.py").write_text(
        "def test_first(durable_app):\n"
        "    assert durable_app.post('/hall', data='hello').status == 201\n"
        "    assert durable_app.sql('Room', 'hall', 'SELECT count(*) AS n FROM said') == [{'n': 1}]\n"
        "test_second = test_first\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-W", "error", "tests"]

    result = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)

    assert "2 passed" in result.stdout, result.stdout + result.stderr


def test_the_plugin_costs_a_session_that_does_not_use_it_nothing_heavy():
    code = (
        "import sys, durable.testing.plugin as _\nprint([m for m in ('aiohttp', 'apsw', 'uvloop') if m in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "[]\n"


def test_an_app_can_be_annotated():
    assert run.__annotations__["return"] == "Generator[App]"
    assert App.__doc__
