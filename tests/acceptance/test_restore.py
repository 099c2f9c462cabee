"""`durable objects restore` and bookmarks with a real emulator: running, stopped, and killed in the middle of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev, rows, typed
from tests.settings import settings

CONFIG = settings("Counter", "COUNTERS")
PROGRAM = """\
from durable import DurableObject, Response, WorkerEntrypoint


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, body BLOB)")

    async def add(self, pages):
        self.ctx.storage.sql.exec("INSERT INTO t (body) VALUES (zeroblob(?))", pages * 4000)
        return await self.ctx.storage.get_current_bookmark()

    def count(self):
        return str(self.ctx.storage.sql.exec("SELECT count(*) AS n FROM t").one()["n"])

    async def back(self, bookmark):
        undo = await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        self.ctx.wait_until(self.leave())
        return undo

    async def leave(self):
        self.ctx.abort("restore")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, name, what, *words = request.url.partition("//")[2].split("/")
        stub = self.env.COUNTERS.get_by_name(name)
        if what == "add":
            return Response(await stub.add(int(words[0])))
        if what == "back":
            return Response(await stub.back(words[0]))
        return Response(await stub.count())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def restored(folder: Path, at: str, name: str = "a") -> dict[str, object]:
    result = typed(folder, "objects", "restore", "Counter", name, "--at", at, "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_running_and_stopped_lead_to_the_same_states(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    marks = [dev.get("/a/add/1")[1] for _ in range(5)]
    assert marks == sorted(set(marks))

    done = restored(project, marks[2])
    assert dev.get("/a/count") == (200, "3")
    restored(project, str(done["undo"]))
    assert dev.get("/a/count") == (200, "5")
    undo = dev.get(f"/a/back/{marks[0]}")[1]
    dev.wait_for(lambda: dev.get("/a/count") == (200, "1"), "object that begins with the state it asked for")
    reach = json.loads(typed(project, "objects", "restore", "Counter", "a", "--json").stdout)
    assert reach["oldest_ms"] <= reach["newest_ms"]
    assert dev.end() == 0

    restored(project, marks[3])
    assert rows(typed(project, "sql", "Counter", "a", "SELECT count(*) AS n FROM t", "--json")) == [{"n": 4}]
    restored(project, undo)
    assert rows(typed(project, "sql", "Counter", "a", "SELECT count(*) AS n FROM t", "--json")) == [{"n": 5}]
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/a/count") == (200, "5")
    assert dev.get("/a/add/1")[1] > marks[-1]


WRONG = [
    (("Counter", "b", "--at", "-10m"), 3, 'no such object: Counter "b"'),
    (("Counters", "a", "--at", "-10m"), 3, 'there is no class or binding "Counters"'),
    (("Counter", "a", "--at", "2020-01-01"), 2, "is older than the history of the object, which begins at 20"),
    (("Counter", "a", "--at", "2100-01-01"), 2, "is in the future: now it is"),
    (("Counter", "a", "--at", f"00000000-00000001-00000000-{'0' * 32}"), 2, "belongs to another object"),
    (("Counter", "--id", "xyz", "--at", "-10m"), 2, "64 hex digits"),
]


def test_wrong_input_while_it_runs_is_refused_and_the_object_does_not_notice(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    dev.get("/a/add/1")
    for words, code, sentence in WRONG:
        result = typed(project, "objects", "restore", *words)

        assert (result.returncode, result.stdout) == (code, ""), words
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr
    assert dev.get("/a/count") == (200, "1")


@pytest.mark.parametrize(
    ("point", "count"),
    # Not a step of the finish that is done again: the next host would be killed there, too.
    [("restore.built", "4"), ("restore.decided", "2"), ("restore.draft_renamed", "2")],
)
def test_a_host_that_is_killed_in_a_restore_leaves_the_state_before_or_after(
    project: Path, start_dev: Callable[..., Dev], point: str, count: str
) -> None:
    dev = start_dev(project, environ={**os.environ, "DURABLE_FAILPOINTS": f"{point}=kill"}).wait_ready()
    marks = [dev.get("/a/add/1")[1] for _ in range(4)]
    result = typed(project, "objects", "restore", "Counter", "a", "--at", marks[1])
    assert result.returncode == 2

    dev.wait_for(lambda: dev.get("/a/count")[0] == 200, "host that takes over")
    assert dev.get("/a/count") == (200, count)
    dev.get("/a/add/1")
    assert dev.end() == 0
    for number in (3, 0):
        restored(project, marks[number])
        found = rows(typed(project, "sql", "Counter", "a", "SELECT count(*) AS n FROM t", "--json"))
        assert found == [{"n": number + 1}]


@pytest.mark.parametrize("point", ["rotation.checkpointed", "rotation.log_moved", "rotation.log_synced"])
def test_a_host_that_is_killed_while_it_archives_a_log_loses_nothing(
    project: Path, start_dev: Callable[..., Dev], point: str
) -> None:
    dev = start_dev(project, environ={**os.environ, "DURABLE_FAILPOINTS": f"{point}=kill@1"}).wait_ready()
    marks: dict[int, str] = {}
    # 500 pages of 4 KiB in each, until the log has its 4096 and the host is killed in archiving it.
    for _ in range(12):
        status, text = dev.get("/a/add/400")
        if status == 200:
            marks[len(marks)] = text
    dev.wait_told("SIGKILL")
    dev.wait_for(lambda: dev.get("/a/count")[0] == 200, "host that takes over")
    count = int(dev.get("/a/count")[1])
    assert count >= len(marks)
    assert dev.end() == 0
    first = marks[0]

    restored(project, first)

    assert rows(typed(project, "sql", "Counter", "a", "SELECT count(*) AS n FROM t", "--json")) == [{"n": 1}]
