"""The client of `/__durable/*` against a server that is not ours: Python's own."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from durable.errors import MigrationError, NotFoundError, SqlError, UserInputError
from durable_cli.client import Client
from durable_cli.emulator_address import NotRunningError, RunningEmulator, find_emulator


class Answering(ThreadingHTTPServer):
    """Answers every request alike and keeps what was asked."""

    status = 200
    content = b"{}"
    drop = False
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str | None, bytes]] = []

    def emulator(self) -> RunningEmulator:
        return RunningEmulator(7, f"http://127.0.0.1:{self.server_port}", "secret")


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, self.headers["Authorization"], body))
        if self.server.drop:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_question_carries_the_token_and_comes_back_as_a_document(server: Answering) -> None:
    server.content = b'{"steps": []}'
    assert Client(server.emulator()).post("/__durable/migrate", {"dry_run": True}) == {"steps": []}
    assert Client(server.emulator()).get("/__durable/status") == {"steps": []}
    assert server.asked == [
        ("POST", "/__durable/migrate", "Bearer secret", b'{"dry_run": true}'),
        ("GET", "/__durable/status", "Bearer secret", b""),
    ]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "no_such_object", NotFoundError),
        (404, "no_such_class", NotFoundError),
        (400, "sql_error", SqlError),
        (400, "migration_error", MigrationError),
        (401, "unauthorized", UserInputError),
    ],
)
def test_a_refusal_is_one_of_our_exceptions(server: Answering, status: int, code: str, kind: type[Exception]) -> None:
    server.status = status
    server.content = json.dumps({"error": {"code": code, "message": "it is so", "fix": "do that"}}).encode()
    with pytest.raises(kind, match="it is so") as caught:
        Client(server.emulator()).post("/__durable/sql", {})
    assert type(caught.value) is kind
    assert getattr(caught.value, "fix", "do that") == "do that"


@pytest.mark.parametrize(("status", "content"), [(200, b"<html>"), (200, b"[1]"), (500, b"{}"), (404, b"not here")])
def test_whoever_else_took_the_port_is_not_taken_for_an_emulator(
    server: Answering, status: int, content: bytes
) -> None:
    server.status, server.content = status, content
    with pytest.raises(NotRunningError, match="is not an emulator of durable"):
        Client(server.emulator()).get("/__durable/status")


def test_an_answer_that_breaks_off_is_not_asked_for_again(server: Answering) -> None:
    server.drop = True
    with pytest.raises(UserInputError, match="went away before it answered") as caught:
        Client(server.emulator()).post("/__durable/sql", {})
    assert "look whether what you asked for was done" in caught.value.fix
    assert len(server.asked) == 1


def test_a_port_where_nobody_listens_means_not_running() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        emulator = RunningEmulator(7, f"http://127.0.0.1:{held.getsockname()[1]}", "secret")
        with pytest.raises(NotRunningError, match="no emulator answers at"):
            Client(emulator).get("/__durable/status")


def test_an_emulator_that_keeps_silent_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        emulator = RunningEmulator(7, f"http://127.0.0.1:{silent.getsockname()[1]}", "secret")
        with pytest.raises(UserInputError, match=r"\(pid 7\) did not answer within 0.1 s"):
            Client(emulator, timeout_seconds=0.1).get("/__durable/status")


def test_a_proxy_of_the_environment_never_sees_the_token(server: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert Client(server.emulator()).get("/__durable/status") == {}


def test_the_token_is_in_no_repr(server: Answering) -> None:
    assert "secret" not in repr(server.emulator())


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "url": "http://127.0.0.1:1", "token": "t"}', "[" * 100_000,
     '{"pid": 1, "url": "file:///etc/passwd", "token": "t"}'],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_no_address(tmp_path: Path, content: str) -> None:
    (tmp_path / "emulator.json").write_text(content)
    assert find_emulator(tmp_path) is None
    assert find_emulator(tmp_path / "nowhere") is None


def test_an_address_is_read(tmp_path: Path) -> None:
    content = '{"pid": 4711, "url": "http://127.0.0.1:8787", "token": "t", "started_ms": 1}'
    (tmp_path / "emulator.json").write_text(content)
    assert find_emulator(tmp_path) == RunningEmulator(4711, "http://127.0.0.1:8787", "t")
