"""The data door with a real emulator: the same answers as on files, nobody woken, crashes before or after."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from durable.errors import NotFoundError, StorageError, UserInputError
from durable_cli.client import Client
from durable_cli.data.door import DataDoor, with_door
from durable_cli.data.listing_types import ListQuery
from durable_cli.emulator_address import find_emulator
from durable_cli.objects.finding import Target
from durable_cli.project import load_project
from tests.acceptance.running_dev import WAIT_SECONDS, Dev, typed
from tests.settings import settings

CONFIG = settings("Counter", "COUNTERS")
PROGRAM = """\
import time
from pathlib import Path

from durable import DurableObject, Response, WorkerEntrypoint

MADE = Path(__file__).with_name("constructed")


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        with MADE.open("a") as file:
            print(ctx.id.name, file=file)
        self.seen = 0

    async def add(self, number):
        storage = self.ctx.storage
        self.seen += number
        await storage.put("n", (await storage.get("n") or 0) + number)
        return f"{await storage.get('n')} {self.seen}"

    async def ring_in(self, seconds):
        await self.ctx.storage.set_alarm(int(time.time() * 1000 + seconds * 1000))

    async def alarm(self):
        await self.ctx.storage.put("rang", True)

    async def rang(self):
        return str(await self.ctx.storage.get("rang"))

    async def fetch(self, request):
        from durable import WebSocketPair
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, name, what, *words = request.url.partition("//")[2].split("/")
        stub = self.env.COUNTERS.get_by_name(name)
        if what == "socket":
            return await stub.fetch(request)
        return Response(str(await getattr(stub, what)(*map(int, words))))
"""
A, B = Target("Counter", "a"), Target("COUNTERS", "b")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def constructed(project: Path) -> list[str]:
    return (project / "constructed").read_text().split()


def through_door(work: Callable[[DataDoor], Any]) -> Any:
    return with_door(load_project(None, None, None), "a test", work)


def test_running_and_stopped_give_the_same_answers(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/a/add/5") == (200, "5 5")

    def work(door: DataDoor) -> list[Any]:
        before = door.find(A), door.find(B)
        size = door.copy(A, Path("copy"))
        made = door.replace(B, Path("copy"), create=True)
        again = door.replace(B, Path("copy"), create=False)
        listed = [(each.name, each.bytes > 0) for each in door.list(ListQuery("Counter")).objects]
        deleted = door.delete(B)
        missing: list[str] = []
        for attempt in (
            lambda: door.copy(B, Path("copy")), lambda: door.delete(B),
            lambda: door.replace(B, Path("copy"), create=False),
        ):  # fmt: skip
            with pytest.raises(NotFoundError, match="no such object") as caught:
                attempt()
            missing.append(type(caught.value).__name__)
        with pytest.raises(UserInputError, match="does not begin like a database"):
            door.replace(A, project / "main.py", create=False)
        with pytest.raises(NotFoundError, match='no class or binding "Counters"'):
            door.find(Target("Counters", "a"))
        undo = again.pop("undo"), deleted.pop("undo")
        assert all(isinstance(each, str) for each in undo)
        return [before, size, made, again, listed, deleted, missing, door.class_names()]

    running = through_door(lambda door: [door.is_running, *work(door)])
    assert running[0] is True
    # Looking and moving woke nobody, and what a refused file met goes on as it was.
    assert constructed(project) == ["a"]
    assert dev.get("/a/add/1") == (200, "6 6")
    dev.get("/b/rang")
    assert dev.end() == 0
    assert through_door(lambda door: [door.is_running, *work(door)])[0] is False
    assert through_door(work)[2:] == running[3:]


def test_a_live_object_is_reset_and_begins_with_the_image(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    dev.get("/a/add/5")
    through_door(lambda door: door.copy(A, Path("copy")))
    dev.get("/a/add/1")
    with connect(f"ws{dev.url.removeprefix('http')}/a/socket") as socket:
        answer = through_door(lambda door: door.replace(A, Path("copy"), create=False))
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
        assert socket.protocol.close_rcvd is None  # 1006: nobody said goodbye

    assert dev.get("/a/add/2") == (200, "7 2")
    result = typed(project, "objects", "restore", "Counter", "a", "--at", answer["undo"], "--json")
    assert (result.returncode, json.loads(result.stdout)["undo"] != answer["undo"]) == (0, True)
    assert dev.get("/a/add/1") == (200, "7 1")


def test_a_deleted_object_leaves_memory_and_index_with_its_alarm_and_begins_anew(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    dev.get("/a/add/5")
    dev.get("/a/ring_in/3600")

    answer = through_door(lambda door: door.delete(A))

    found, listed = through_door(lambda door: (door.find(A), door.list(ListQuery("Counter")).objects))
    assert (found.is_known, listed) == (False, ())
    assert not [path for path in project.rglob("*.sqlite") if path.stem == found.id]
    assert constructed(project) == ["a"]
    assert dev.get("/a/add/1") == (200, "1 1")
    assert typed(project, "objects", "restore", "Counter", "a", "--at", answer["undo"]).returncode == 0
    assert dev.get("/a/add/0") == (200, "5 0")


def test_an_alarm_of_an_image_rings_for_an_object_that_never_ran(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    dev.get("/a/ring_in/3600")
    through_door(lambda door: door.copy(A, Path("copy")))
    made = through_door(lambda door: door.replace(B, Path("copy"), create=True))
    assert made["alarm_ms"] is not None
    assert constructed(project) == ["a"]
    rung = typed(project, "alarms", "fire", "Counter", "b")
    assert rung.returncode == 0, rung.stderr
    assert dev.get("/b/rang") == (200, "True")


@pytest.mark.parametrize(
    ("point", "value"),
    [("replace.built", "9 0"), ("restore.decided", "5 0"), ("restore.draft_renamed", "5 0")],
)
def test_a_host_that_is_killed_in_a_replacement_leaves_the_state_before_or_after(
    project: Path, start_dev: Callable[..., Dev], point: str, value: str
) -> None:
    dev = start_dev(project, environ={**os.environ, "DURABLE_FAILPOINTS": f"{point}=kill"}).wait_ready()
    dev.get("/a/add/5")
    through_door(lambda door: door.copy(A, Path("copy")))
    dev.get("/a/add/4")
    with pytest.raises(UserInputError):
        through_door(lambda door: door.replace(A, Path("copy"), create=False))
    dev.wait_for(lambda: dev.get("/a/add/0")[0] == 200, "host that takes over")
    assert dev.get("/a/add/0") == (200, value)


@pytest.mark.parametrize(("point", "made"), [("index.written@3", False), ("restore.decided", True)])
def test_a_host_that_is_killed_in_making_an_object_leaves_all_of_it_or_nothing_stored(
    project: Path, start_dev: Callable[..., Dev], point: str, made: bool
) -> None:
    name, _, passes = point.partition("@")
    order = f"{name}=kill@{passes or 1}"
    dev = start_dev(project, environ={**os.environ, "DURABLE_FAILPOINTS": order}).wait_ready()
    dev.get("/a/add/5")
    dev.get("/a/ring_in/3600")
    through_door(lambda door: door.copy(A, Path("copy")))
    with pytest.raises(UserInputError):
        through_door(lambda door: door.replace(B, Path("copy"), create=True))
    if dev.process.poll() is None and made:
        # A host is replaced; the index is the gateway's, and ends with it.
        dev.wait_for(lambda: dev.get("/b/add/0")[0] == 200, "host that takes over")
        assert dev.end() == 0
    dev.process.wait(WAIT_SECONDS)
    dev = start_dev(project, "--no-reload").wait_ready()
    listed = through_door(lambda door: door.list(ListQuery("Counter", name_glob="b"))).objects
    assert [each.alarm_ms is not None for each in listed if made] == [True] * made
    assert dev.get("/b/add/0") == (200, "5 0" if made else "0 0")


def test_a_host_that_is_killed_in_deleting_leaves_the_object_or_nothing_stored(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, environ={**os.environ, "DURABLE_FAILPOINTS": "restore.draft_renamed=kill"}).wait_ready()
    dev.get("/a/add/5")
    with pytest.raises(UserInputError):
        through_door(lambda door: door.delete(A))
    dev.wait_for(lambda: dev.get("/a/add/0")[0] == 200, "host that takes over")
    assert dev.get("/a/add/1") == (200, "1 1")


@pytest.mark.parametrize("is_running", [True, False])
def test_a_damaged_object_can_be_replaced_or_deleted_and_its_file_is_kept(
    project: Path, start_dev: Callable[..., Dev], is_running: bool
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    dev.get("/a/add/5")
    found = through_door(lambda door: (door.copy(A, Path("copy")), door.find(A)))[1]
    assert dev.end() == 0
    file = project / ".durable" / "state" / found.namespace / found.id[:2] / f"{found.id}.sqlite"
    file.write_bytes(b"garbage" * 1000)
    if is_running:
        dev = start_dev(project, "--no-reload").wait_ready()
    with pytest.raises(StorageError, match=r"is damaged: it does not begin like a database"):
        through_door(lambda door: door.copy(A, Path("other")))
    assert file.read_bytes() == b"garbage" * 1000

    replaced = through_door(lambda door: door.replace(A, Path("copy"), create=False))
    again = through_door(lambda door: door.copy(A, Path("other")))

    assert (replaced["undo"], replaced["created"], again) == (None, False, replaced["bytes"])
    kept = Path(replaced["damaged"])
    assert (kept / file.name).read_bytes() == b"garbage" * 1000
    assert kept.is_relative_to(project / ".durable" / "lost+found")
    if is_running:
        assert dev.get("/a/add/2") == (200, "7 2")
        assert dev.end() == 0
    file.write_bytes(b"rubbish" * 1000)
    if is_running:
        dev = start_dev(project, "--no-reload").wait_ready()
    deleted = through_door(lambda door: door.delete(A))
    assert (Path(deleted["damaged"]) / file.name).read_bytes() == b"rubbish" * 1000
    assert not file.exists()


def test_paths_are_absolute_and_bodies_are_what_is_expected(project: Path, start_dev: Callable[..., Dev]) -> None:
    start_dev(project, "--no-reload").wait_ready()
    emulator = find_emulator(project / ".durable" / "run")
    assert emulator is not None
    client = Client(emulator)
    for body in ({"target": "copy"}, {"target": "/tmp/\0"}, {}, {"target": 5}, {"target": "/tmp/x", "more": 1}):
        with pytest.raises(UserInputError, match="did not understand"):
            client.post("/__durable/objects/copy", {"class": "Counter", "name": "a", **body})
