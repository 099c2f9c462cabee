"""`durable objects show` and `evict` with a real emulator: what pins an object is named, and looking wakes nobody."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from tests.acceptance.running_dev import Dev, typed
from tests.settings import settings

CONFIG = settings("Room", "ROOMS")
PROGRAM = """\
import asyncio

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

CONSTRUCTED = []


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTED.append(ctx.id.name)
        if ctx.id.name == "broken":
            raise ValueError("boom")

    async def fetch(self, request):
        what = request.url.rpartition("/")[2]
        loop = asyncio.get_running_loop()
        if what == "put":
            await self.ctx.storage.put("n", 1)
        elif what == "timer":
            loop.call_later(3600, print)  # timer
        elif what == "task":
            self.task = loop.create_task(self.work())
        elif what == "background":
            self.ctx.wait_until(self.work())
        elif what == "hang":
            await self.work()
        elif what in ("socket", "hibernatable"):
            client, server = WebSocketPair()
            if what == "socket":
                server.accept()
            else:
                self.ctx.accept_web_socket(server)
            return Response(None, status=101, web_socket=client)
        return Response("ok")

    async def work(self):
        await asyncio.sleep(3600)  # work


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.split("/")[3]
        if name == "constructed":
            return Response(",".join(CONSTRUCTED))
        return await self.env.ROOMS.get_by_name(name).fetch(request)
"""

LINES = PROGRAM.splitlines()
TIMER, WORK = (
    next(number for number, line in enumerate(LINES, 1) if line.endswith(f"# {mark}")) for mark in ("timer", "work")
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def shown(folder: Path, name: str) -> dict[str, Any]:
    result = typed(folder, "objects", "show", "Room", name, "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_what_pins_an_object_is_named_with_its_line(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    for what in ("put", "timer", "task", "background"):
        assert dev.get(f"/a/{what}") == (200, "ok")
    with connect(dev.url.replace("http", "ws") + "/a/socket"):
        answer = shown(project, "a")
        assert (answer["class"], answer["name"], answer["state"], answer["sockets"]) == ("Room", "a", "pinned", 1)
        assert answer["created_ms"] > 0
        pins = {pin["kind"]: (pin["text"], pin.get("place")) for pin in answer["pins"]}
        assert set(pins) == {"timer", "task", "wait_until", "socket"}
        assert re.fullmatch(rf"timer due in 3\d{{3}} s at main\.py:{TIMER}", pins["timer"][0])
        assert re.fullmatch(rf"task at main\.py:{WORK}, asleep for another 3\d{{3}} s", pins["task"][0])
        assert re.fullmatch(
            rf"wait_until task at main\.py:{WORK}, asleep for another 3\d{{3}} s", pins["wait_until"][0]
        )
        assert pins["socket"] == ("1 accept()ed socket", None)

        text = typed(project, "objects", "show", "ROOMS", "a").stdout
        assert re.search(r"^state +in memory, and pinned$", text, re.MULTILINE)
        assert re.search(r"^pinned by +.*\n {11}.*\n {11}", text, re.MULTILINE)
        refused = typed(project, "objects", "evict", "Room", "a")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert 'Room "a" cannot leave memory: ' in refused.stderr
        assert "1 accept()ed socket" in refused.stderr
        assert "fix: let that end" in refused.stderr
    assert dev.get("/constructed/") == (200, "a")


def test_a_running_event_is_named_with_its_method_and_line(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    hanging = http.client.HTTPConnection(urlsplit(dev.url).netloc)
    with closing(hanging):
        hanging.request("GET", "/a/hang")
        dev.wait_for(lambda: typed(project, "objects", "show", "Room", "a").returncode == 0, "object in memory")
        answer = shown(project, "a")
        assert answer["state"] == "active"
        assert [re.sub(r"\d+ s", "N s", pin["text"]) for pin in answer["pins"]] == [
            f"1 running event: fetch, N s at main.py:{WORK}"
        ]


def test_an_object_that_nothing_pins_leaves_memory_and_its_sockets_stay(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/a/put") == (200, "ok")
    with connect(dev.url.replace("http", "ws") + "/a/hibernatable") as socket:
        assert shown(project, "a")["state"] == "idle"
        done = typed(project, "objects", "evict", "Room", "a")
        assert (done.returncode, done.stderr) == (0, 'Room "a" has left memory; 1 web socket stays connected\n')
        assert shown(project, "a")["state"] == "hibernated"
        assert socket.ping().wait(10)
        again = typed(project, "objects", "evict", "Room", "a")
        assert (again.returncode, again.stderr) == (0, 'Room "a" was not in memory: it is hibernated\n')
        assert dev.get("/constructed/") == (200, "a")
        assert dev.get("/a/put") == (200, "ok")
        assert dev.get("/constructed/") == (200, "a,a")


def test_an_object_that_cannot_be_constructed_says_so_and_one_that_never_was_is_not_made(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/broken/")[0] == 500
    answer = shown(project, "broken")
    assert (answer["state"], answer["failure"]["type"], answer["failure"]["message"]) == (
        "failing", "ValueError", "boom",
    )  # fmt: skip
    assert answer["failure"]["times"] == 1
    assert "cannot be constructed (1 time, " in typed(project, "objects", "show", "Room", "broken").stdout
    for command in ("show", "evict"):
        missing = typed(project, "objects", command, "Room", "nobody")
        assert missing.returncode == 3
        assert 'no such object: Room "nobody"' in missing.stderr
    assert dev.get("/constructed/") == (200, "broken")


def test_stopped_show_reads_the_index_and_evict_makes_no_sense(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/a/put") == (200, "ok")
    running = shown(project, "a")
    assert dev.end() == 0
    stopped = shown(project, "a")
    assert stopped["state"] == "stopped"
    assert {key: stopped[key] for key in ("class", "name", "id", "created_ms")} == {
        key: running[key] for key in ("class", "name", "id", "created_ms")
    }
    refused = typed(project, "objects", "evict", "Room", "a")
    assert refused.returncode == 2
    assert "no emulator runs here, so no object is in memory: there is nothing to evict" in refused.stderr
    assert typed(project, "objects", "show", "Room", "nobody").returncode == 3
