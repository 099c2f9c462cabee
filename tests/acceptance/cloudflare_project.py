"""How a test meets a project of tests/cloudflare: started by `durable dev`, asked through HTTP and sockets."""

from __future__ import annotations

import http.client
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.acceptance.running_dev import WAIT_SECONDS, Dev

PROJECTS = Path(__file__).parents[1] / "cloudflare"
Starter = Callable[..., Dev]


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(dev: Dev, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
    """One request; `body` is sent as JSON."""
    connection = http.client.HTTPConnection(urlsplit(dev.url).netloc, timeout=WAIT_SECONDS)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        payload = None if body is None else json.dumps(body)
        connection.request(
            method, path, payload, sent if body is None else {**sent, "content-type": "application/json"}
        )
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.read().decode(), told)
    finally:
        connection.close()


def dial(dev: Dev, path: str, **options: Any) -> ClientConnection:
    return connect(dev.url.replace("http", "ws", 1) + path, open_timeout=WAIT_SECONDS, **options)


def heard(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=WAIT_SECONDS))


def anchors_told(dev: Dev) -> set[str]:
    """The places in docs/portability.md that were named: what of the project its own platform would do otherwise."""
    return set(re.findall(r"docs/portability\.md#([a-z0-9-]+)", dev.told))


@pytest.fixture
def start(tmp_path: Path, start_dev: Starter) -> Starter:
    """`start("chat")` is the project's `durable dev`, ready; further words are typed after it."""

    def start(project: str, *words: str, watch: bool = False) -> Dev:
        folder = tmp_path / project
        if not folder.exists():
            shutil.copytree(PROJECTS / project, folder)
        return start_dev(folder, *words, *([] if watch else ["--no-reload"])).wait_ready()

    return start
