"""`durable objects events` and `evict --all` with a real emulator, and what they say when there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev, typed
from tests.settings import settings

CONFIG = settings("Room", "ROOMS")
PROGRAM = """\
import asyncio

from durable import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    async def fetch(self, request):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS hits(n)")
        self.ctx.storage.sql.exec("INSERT INTO hits VALUES (1)")
        if request.url.endswith("/timer"):
            asyncio.get_running_loop().call_later(3600, print)
        if request.url.endswith("/print"):
            print("hello from the room", flush=True)
        if request.url.endswith("/fail"):
            raise ValueError("no such \\x1b[31mroom")
        return Response("ok")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOMS.get_by_name(request.url.split("/")[3]).fetch(request)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def dev(app: Path, start_dev: Callable[..., Dev]) -> Dev:
    return start_dev(app, "--no-reload").wait_ready()


def test_what_happened_to_an_object_is_shown_as_lines_and_as_json(dev: Dev, app: Path) -> None:
    dev.get("/general/x")
    dev.get("/general/fail")
    lines = typed(app, "objects", "events", "Room", "general").stdout.splitlines()
    words = [line.split()[3:] for line in lines]
    assert words[0][:1] == ["request"]
    assert ["request", "GET", "/general/x", "200"] in words
    assert ["sql", "INSERT", "INTO", "hits", "VALUES", "(1)", "1", "row"] in words
    assert any(line.endswith("ValueError: no such \\x1b[31mroom") for line in lines)
    result = typed(app, "objects", "events", "Room", "general", "--limit", "1", "--json")
    answer = json.loads(result.stdout)
    assert [event["kind"] for event in answer["events"]] == ["request"]
    assert answer["left_out"]


def test_what_an_object_prints_stands_where_it_was_printed(dev: Dev, app: Path) -> None:
    dev.get("/general/print")
    dev.get("/other/x")
    lines: list[str] = []

    def printed() -> bool:
        lines[:] = typed(app, "objects", "events", "Room", "general").stdout.splitlines()
        return any(line.split()[1:] == ["output", "hello", "from", "the", "room"] for line in lines)

    dev.wait_for(printed, "the line to be in the timeline")


def test_without_a_name_all_objects_are_told_with_theirs(dev: Dev, app: Path) -> None:
    dev.get("/a/x")
    dev.get("/b/x")
    for words in ((), ("Room",)):
        shown = typed(app, "objects", "events", *words).stdout
        assert 'Room "a" GET /a/x' in shown
        assert 'Room "b" GET /b/x' in shown


def test_a_name_that_is_nobodys_is_told_and_nobody_is_made(dev: Dev, app: Path) -> None:
    dev.get("/general/x")
    result = typed(app, "objects", "events", "Room", "generl")
    assert (result.returncode, result.stdout) == (3, "")
    assert 'Did you mean "general"?' in result.stderr


def test_all_objects_are_evicted_but_the_pinned(dev: Dev, app: Path) -> None:
    for path in ("/a/x", "/b/x", "/c/timer"):
        dev.get(path)
    result = typed(app, "objects", "evict", "--all", "Room")
    assert result.returncode == 0
    assert '2 objects have left memory; 1 stays: Room "c" (timer due in ' in result.stderr
    answer = json.loads(typed(app, "objects", "evict", "--all", "--json").stdout)
    assert (answer["evicted"], answer["pinned_count"]) == (0, 1)
    assert [(one["class"], one["name"], one["pins"][0]["kind"]) for one in answer["pinned"]] == [("Room", "c", "timer")]
    assert json.loads(typed(app, "objects", "show", "Room", "a", "--json").stdout)["state"] == "inactive"


@pytest.mark.parametrize("words", [("events", "Room", "general"), ("evict", "--all")])
def test_when_no_emulator_runs_that_is_said(dev: Dev, app: Path, words: tuple[str, ...]) -> None:
    dev.get("/general/x")
    dev.end()
    result = typed(app, "objects", *words)
    assert result.returncode == 2
    assert "no emulator runs here" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evict",), "Its CLASS and its NAME are missing"),
        (("evict", "--all", "Room", "a"), "either one object is evicted, or all of them are"),
        (("evict", "--all", "Rom"), 'Did you mean "Room"?'),
        (("events", "Rom"), 'Did you mean "Room"?'),
    ],
)
def test_what_cannot_be_meant_is_refused(dev: Dev, app: Path, words: tuple[str, ...], said: str) -> None:
    dev.get("/general/x")
    result = typed(app, "objects", *words)
    assert result.returncode != 0
    assert said in result.stderr
