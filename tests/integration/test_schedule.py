"""A schedule in a real object: stored with it, retried alone, alive after a restart and after aborts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.testing import App, run
from tests.settings import settings

SETTINGS = settings("Planner", "PLANNER")

PROGRAM = """\
import json

from durable import DurableObject, Response, WorkerEntrypoint
from durable.schedule import Schedule


class Planner(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.schedule = Schedule(self)

    async def alarm(self, info):
        await self.schedule.run(info)

    async def plan(self, *entries):
        for name, seconds, method in entries:
            await self.schedule.after(name, seconds, method, name)

    async def plan_and_fail(self):
        async def both(txn):
            await self.schedule.after("undone", 1, self.say, "undone")
            raise ValueError("undo")

        try:
            await self.ctx.storage.transaction(both)
        except ValueError:
            pass

    def say(self, what):
        self.ctx.storage.kv.put("said", [*self.ctx.storage.kv.get("said", []), what])

    def fail(self, what):
        self.say(what)
        raise ValueError("never")

    def abort(self, what):
        self.ctx.abort("again")

    async def state(self):
        due = [entry.name for entry in await self.schedule.list()]
        return {"said": self.ctx.storage.kv.get("said", []), "due": due, "alarm": await self.ctx.storage.get_alarm()}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name, method, arguments = json.loads(await request.text())
        await getattr(self.env.PLANNER.get_by_name(name), method)(*arguments)
        return Response.json(await self.env.PLANNER.get_by_name(name).state())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def app(project: Path) -> Iterator[App]:
    with run(project / "durable.toml") as running:
        running.freeze()
        yield running


def do(app: App, method: str, *arguments: Any, name: str = "p") -> dict[str, Any]:
    state: dict[str, Any] = app.post("/", json=[name, method, arguments]).json()
    return state


def test_a_failing_entry_is_retried_alone_until_it_is_dropped(app: App, capfd: pytest.CaptureFixture[str]) -> None:
    do(app, "plan", ["good", 10, "say"], ["bad", 10, "fail"], ["later", 3600, "say"])

    app.advance(30)
    assert do(app, "state")["said"] == ["good", *["bad"] * 4]
    assert do(app, "state")["due"] == ["bad", "later"]
    app.advance(3600)

    state = do(app, "state")
    assert state == {"said": ["good", *["bad"] * 7, "later"], "due": [], "alarm": None}
    told = capfd.readouterr().err
    assert told.count("ValueError: never") == 7
    line = 1 + PROGRAM.splitlines().index('        raise ValueError("never")')
    assert f"main.py:{line} in fail" in told
    assert "run 7 of 7; it was dropped" in told


def test_a_schedule_outlives_its_emulator(project: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with run(project / "durable.toml", state=state) as first:
        do(first, "plan", ["one", 3600, "say"], ["two", 7200, "say"])
    with run(project / "durable.toml", state=state) as second:
        second.advance(7300)
        assert do(second, "state") == {"said": ["one", "two"], "due": [], "alarm": None}


def test_a_transaction_that_is_undone_takes_its_entry_along(app: App) -> None:
    do(app, "plan_and_fail")
    app.advance(10)

    assert do(app, "state") == {"said": [], "due": [], "alarm": None}


def test_an_entry_that_aborts_the_object_every_time_does_not_end_the_schedule(app: App) -> None:
    do(app, "plan", ["poison", 10, "abort"], ["behind", 10, "say"], ["later", 7200, "say"])

    app.advance(8000)

    assert do(app, "state") == {"said": ["behind", "later"], "due": [], "alarm": None}
