"""`durable objects list` and `show` with a real emulator and without: what they say, and that they wake nobody."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.sync.client import connect

from durable.sdk.ids import id_from_name
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase
from tests.acceptance.running_dev import Dev, typed
from tests.settings import settings

CONFIG = settings("ChatRoom", "ROOMS") + "\n[dev]\nidle_seconds = 600\n"
PROGRAM = """\
import asyncio
import os
from urllib.parse import unquote

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

CONSTRUCTED = []


class ChatRoom(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTED.append(ctx.id.name)
        if os.path.exists(f"broken-{ctx.id.name}"):
            raise ValueError("boom")

    async def fetch(self, request):
        what = request.url.rpartition("/")[2]
        if what.startswith("put"):
            await self.ctx.storage.put("n", "x" * int(what[3:] or 1))
        elif what == "alarm":
            await self.ctx.storage.put("n", 1)
            await self.ctx.storage.set_alarm(8_000_000_000_000 // 2)
        elif what == "pin":
            asyncio.get_running_loop().call_later(3600, print)
        elif what == "socket":
            client, server = WebSocketPair()
            self.ctx.accept_web_socket(server)
            return Response(None, status=101, web_socket=client)
        return Response("ok")

    async def alarm(self):
        pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = unquote(request.url.split("/")[3])
        if name == "constructed":
            return Response(str(len(CONSTRUCTED)))
        return await self.env.ROOMS.get_by_name(name).fetch(request)
"""
HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202egnp.exe\r\nx"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def page(folder: Path, *words: str) -> dict[str, Any]:
    result = typed(folder, "objects", "list", *words, "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def by_name(folder: Path, *words: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in page(folder, *words)["objects"]}


def constructed(dev: Dev) -> int:
    return int(dev.get("/constructed/")[1])


def state_files(project: Path) -> set[str]:
    return {str(path) for path in (project / ".durable" / "state").rglob("*")}


def test_a_running_emulator_lists_what_it_holds_and_wakes_nobody(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert page(project)["objects"] == []
    for path in ("asleep/put", "idle/put50000", "pinned/pin", "pinned/put", "clock/alarm", "fresh/nothing"):
        assert dev.get(f"/{path}") == (200, "ok")
    with connect(dev.url.replace("http", "ws") + "/general/socket"):
        assert dev.get("/general/put") == (200, "ok")
        for name in ("asleep", "general"):
            assert typed(project, "objects", "evict", "ChatRoom", name).returncode == 0
        before = constructed(dev)

        found = by_name(project, "ROOMS")
        states = {name: each["state"] for name, each in found.items()}
        assert states == {
            "asleep": "inactive", "clock": "idle", "general": "hibernated", "idle": "idle", "pinned": "pinned",
        }  # fmt: skip
        assert found["general"]["sockets"] == 1
        assert found["clock"]["alarm_ms"] == 4_000_000_000_000
        assert found["idle"]["bytes"] > found["asleep"]["bytes"] > 0
        assert {each["class"] for each in found.values()} == {"ChatRoom"}
        assert all(each["used_ms"] >= each["created_ms"] > 0 for each in found.values())
        assert page(project, "--sort", "size")["objects"][0]["name"] == "idle"
        assert page(project, "--sort", "alarm")["objects"][0]["name"] == "clock"
        assert set(by_name(project, "--name", "*l*")) == {"asleep", "clock", "general", "idle"}

        live = by_name(project, "--live")
        assert set(live) == {"clock", "fresh", "idle", "pinned"}
        assert (live["fresh"]["bytes"], live["fresh"]["created_ms"]) == (0, None)
        text = typed(project, "objects", "list").stdout.splitlines()
        assert text[0].split() == ["class", "name", "size", "last", "used", "alarm", "sockets", "state"]
        assert text[1].split()[:2] == ["ChatRoom", "asleep"]
        assert text[1].endswith("asleep")
        assert constructed(dev) == before


def test_a_stopped_emulator_lists_the_same_from_files_and_makes_none(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    for name in ("a", "b"):
        assert dev.get(f"/{name}/put") == (200, "ok")
    running = by_name(project)
    assert dev.end() == 0
    files = state_files(project)

    stopped = by_name(project)
    same = ("class", "id", "name", "created_ms", "alarm_ms", "schema_version")
    for name in ("a", "b"):
        assert {key: stopped[name][key] for key in same} == {key: running[name][key] for key in same}
        assert (stopped[name]["state"], stopped[name]["sockets"]) == ("stopped", 0)
        assert stopped[name]["bytes"] > 0
    live = typed(project, "objects", "list", "--live")
    assert (live.returncode, live.stdout, live.stderr) == (
        0, "", "No object is in memory: no emulator runs here.\n",
    )  # fmt: skip
    assert "state" not in typed(project, "objects", "list").stdout
    assert state_files(project) == files


def test_objects_of_two_hosts_are_one_listing_and_one_that_cannot_be_constructed_says_so(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--hosts", "2", "--no-reload").wait_ready()
    names = [f"room {number}" for number in range(8)]
    for name in names:
        assert dev.get(f"/{quote(name)}/put") == (200, "ok")
    assert {name: each["state"] for name, each in by_name(project, "--live").items()} == dict.fromkeys(names, "idle")

    assert typed(project, "objects", "evict", "--all").returncode == 0
    (project / "broken-room 3").touch()
    assert dev.get("/room%203/put")[0] == 500
    states = {name: each["state"] for name, each in by_name(project).items()}
    assert states == dict.fromkeys(names, "inactive") | {"room 3": "failing"}


def test_the_next_page_is_the_command_that_the_one_before_tells(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    for number in range(5):
        assert dev.get(f"/room%20{number}/put") == (200, "ok")
    words = ["objects", "list", "ChatRoom", "--name", "room *", "--limit", "2", "--sort", "created", "--reverse"]
    for _ in ("running", "stopped"):
        names: list[str] = []
        command = words
        while command:
            result = typed(project, *command)
            assert result.returncode == 0, result.stderr
            names += [line[:6] for line in result.stdout.splitlines()[1:]]
            head, _, after = result.stderr.partition("; the next ones: durable ")
            command = shlex.split(after)
            assert head in ("2 of 5 objects", "")
        assert names == [f"room {number}" for number in range(5)]
        dev.end()


def test_ten_thousand_objects_come_in_pages_and_none_is_woken(project: Path, start_dev: Callable[..., Dev]) -> None:
    assert typed(project, "migrate").returncode == 0
    layout = StateLayout(project / ".durable" / "state")
    with StateDatabase(layout.state_file) as state:
        key = state.namespaces(None)[0].key
    index = NamespaceIndex(layout.index_file(key))
    names = [f"room {number:05}" for number in range(10_000)]
    index.put_many(IndexRow(id_from_name(key, name), name, 1, 1, None) for name in names)
    index.close()

    def pages() -> list[str]:
        first = page(project, "ROOMS", "--limit", "9000")
        second = page(project, "ROOMS", "--limit", "9000", "--after", first["after"])
        assert (first["count"], len(first["objects"]), second["after"]) == (10_000, 9000, None)
        return [each["name"] for each in first["objects"] + second["objects"]]

    assert pages() == names
    dev = start_dev(project, "--no-reload").wait_ready()
    assert pages() == names
    assert page(project, "--live")["objects"] == []
    assert [each["name"] for each in page(project, "--name", "room 0999?", "--reverse", "--limit", "1")["objects"]] == [
        "room 09999"
    ]
    assert constructed(dev) == 0


def test_a_name_never_reaches_the_terminal_as_it_is(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get(f"/{quote(HOSTILE)}/put") == (200, "ok")
    for _ in ("running", "stopped"):
        for words in (
            ("list",),
            ("list", "ChatRoom"),
            ("list", "--name", "*gnp.exe*"),
            ("show", "ChatRoom", HOSTILE),
        ):
            result = typed(project, "objects", *words)
            assert result.returncode == 0, result.stderr
            assert "\\x1b]0;owned\\x07\\x1b[31m\\u202egnp.exe\\r\\nx" in result.stdout
            assert not set(result.stdout + result.stderr) & {"\x1b", "\x07", "\u202e", "\r"}
        nobody = typed(project, "objects", "list", "--name", f"{HOSTILE}?")
        assert (nobody.returncode, "\x1b" in nobody.stderr) == (0, False)
        assert by_name(project).keys() == {HOSTILE}
        dev.end()


def test_versions_are_those_of_the_files_asleep_awake_and_stopped(project: Path, start_dev: Callable[..., Dev]) -> None:
    folder = project / "migrations" / "ChatRoom"
    folder.mkdir(parents=True)
    (folder / "0001_init.sql").write_text("CREATE TABLE m(x);\n")
    dev = start_dev(project, "--no-reload").wait_ready()
    for name in ("awake", "asleep"):
        assert dev.get(f"/{name}/put") == (200, "ok")
    assert typed(project, "objects", "evict", "ChatRoom", "asleep").returncode == 0
    for _ in ("running", "stopped"):
        assert {name: each["schema_version"] for name, each in by_name(project).items()} == {"awake": 1, "asleep": 1}
        assert "schema     version 1" in typed(project, "objects", "show", "ChatRoom", "asleep").stdout
        dev.end()


def test_show_says_size_history_and_last_use(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/general/put") == (200, "ok")
    assert dev.get("/fresh/nothing") == (200, "ok")
    for _ in ("running", "stopped"):
        answer = json.loads(typed(project, "objects", "show", "ChatRoom", "general", "--json").stdout)
        listed = by_name(project)["general"]
        assert answer["bytes"] == listed["bytes"] > 0
        assert (answer["schema_version"], answer["history_bytes"] >= 0) == (None, True)
        text = typed(project, "objects", "show", "ChatRoom", "general").stdout
        assert [line[:11].strip() for line in text.splitlines()[:7]] == [
            "class", "name", "id", "created", "last used", "size", "state",
        ]  # fmt: skip
        if dev.process.poll() is None:
            assert "it has stored nothing" in typed(project, "objects", "show", "ChatRoom", "fresh").stdout
        dev.end()


# --- what is refused -------------------------------------------------------------------------------------------------
def test_a_class_without_objects_is_empty_and_one_that_is_not_there_is_refused(project: Path) -> None:
    nothing = typed(project, "objects", "list")
    assert (nothing.returncode, nothing.stdout) == (3, "")
    assert "nothing is stored yet" in nothing.stderr
    assert not (project / ".durable").exists()

    assert typed(project, "migrate").returncode == 0
    empty = typed(project, "objects", "list", "ROOMS")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "There are no objects of ROOMS yet.\n")
    answer = page(project)
    assert (answer["objects"], answer["after"], answer["count"]) == ([], None, 0)
    missing = typed(project, "objects", "list", "ChatRom")
    assert (missing.returncode, missing.stdout) == (3, "")
    assert 'there is no class or binding "ChatRom"' in missing.stderr
    assert 'Did you mean "ChatRoom"?' in missing.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--sort", "names"), '--sort "names": one of name, size, used, created, alarm'),
        (("--limit", "0"), "--limit 0: between 1 and 10000"),
        (("--limit", "10001"), "--limit 10001: between 1 and 10000"),
        (("--after", "x"), "--after is not a place in a listing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(project: Path, words: tuple[str, ...], told: str) -> None:
    assert typed(project, "migrate").returncode == 0
    result = typed(project, "objects", "list", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert told in result.stderr
    assert "fix: " in result.stderr


def test_a_state_that_another_process_holds_is_left_alone_and_its_holder_is_named(project: Path) -> None:
    assert typed(project, "migrate").returncode == 0
    with held(project / ".durable" / "state") as pid:
        for words in (("list",), ("show", "ChatRoom", "general")):
            result = typed(project, "objects", *words)
            assert (result.returncode, result.stdout) == (4, "")
            assert f"pid {pid} " in result.stderr


@contextmanager
def held(state: Path) -> Iterator[int]:
    code = (
        "import sys; from pathlib import Path; from durable.storage.lock import StateLock;"
        "lock = StateLock.acquire(Path(sys.argv[1]), what='a test'); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
        holder.kill()


@pytest.mark.parametrize("command", ["list", "show", "events", "evict", "restore"])
def test_the_example_of_a_help_does_what_it_says(project: Path, start_dev: Callable[..., Dev], command: str) -> None:
    (project / "durable.toml").write_text(CONFIG.replace("ChatRoom", "Counter") if command == "restore" else CONFIG)
    (project / "main.py").write_text(PROGRAM.replace("ChatRoom", "Counter") if command == "restore" else PROGRAM)
    help_text = typed(project, "objects", command, "--help").stdout
    example = help_text.split("Example: durable ")[1].split("\n\n")[0].split()
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get(f"/{'home' if command == 'restore' else 'general'}/put") == (200, "ok")
    result = typed(project, *example)
    if command == "restore":
        assert result.returncode == 2  # nothing is as old as ten minutes
        assert "can be restored" in result.stderr
    else:
        assert (result.returncode, bool(result.stdout or result.stderr)) == (0, True)
