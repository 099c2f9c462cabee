"""Cron triggers on a real emulator: its clock is moved, a real host runs `scheduled`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from durable.clock import ClockSetting
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase
from durable.testing import App, run
from tests.settings import settings

SETTINGS = (
    settings("Diary", "DIARY")
    + """\
[triggers]
crons = ["0 3 * * *", "0 9 * * mon"]
"""
)

PROGRAM = """\
import json

import durable
from durable import DurableObject, Response, WorkerEntrypoint


class Diary(DurableObject):
    async def write(self, line):
        self.ctx.storage.kv.put("lines", [*self.ctx.storage.kv.get("lines", []), line])

    def read(self):
        return self.ctx.storage.kv.get("lines", [])


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json(await self.env.DIARY.get_by_name("d").read())

    async def scheduled(self, event, env, ctx):
        if event.cron == "5 5 5 5 *":
            raise ValueError("not today")
        if event.cron == "1 1 1 1 *":
            event.noRetry()
        assert event.type == "scheduled" and event.scheduledTime == event.scheduled_time
        lateness = durable.now().timestamp() * 1000 - event.scheduled_time
        ctx.wait_until(env.DIARY.get_by_name("d").write([event.cron, event.scheduled_time, lateness < 60_000]))
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("nightly")
    (folder / "durable.toml").write_text(SETTINGS)
    (folder / "main.py").write_text(PROGRAM)
    with run(folder / "durable.toml") as running:
        yield running


def lines(app: App) -> list[list[object]]:
    found: list[list[object]] = app.get("/").json()
    return found


def test_advance_drives_the_triggers_each_at_its_own_time(app: App) -> None:
    app.freeze()
    before = len(lines(app))
    start = app.now()

    app.advance(timedelta(days=7))

    found = lines(app)[before:]
    assert [cron for cron, _, _ in found].count("0 3 * * *") == 7
    assert [cron for cron, _, _ in found].count("0 9 * * mon") == 1
    times = [datetime.fromtimestamp(int(str(at)) / 1000, UTC) for _, at, _ in found]
    assert times == sorted(times)
    assert start < times[0]
    assert times[-1] <= app.now()
    assert {(at.hour, at.minute, at.second) for at in times} == {(3, 0, 0), (9, 0, 0)}
    assert all(in_time for _, _, in_time in found)


def test_one_is_run_by_hand_as_with_wrangler(app: App) -> None:
    reply = app.get("/cdn-cgi/handler/scheduled?cron=1+1+1+1+*&time=1745856238000&format=json")

    assert (reply.status, reply.json()) == (200, {"outcome": "ok", "noRetry": True})
    assert app.get("/cdn-cgi/handler/scheduled").text == "ok"
    assert [line[:2] for line in lines(app)][-2] == ["1 1 1 1 *", 1745856238000]


def test_a_failure_is_shown_with_file_and_line(app: App, capfd: pytest.CaptureFixture[str]) -> None:
    reply = app.get("/cdn-cgi/local/scheduled?cron=5+5+5+5+*")

    assert (reply.status, reply.text) == (500, "exception")
    told = capfd.readouterr().err
    line = 1 + PROGRAM.splitlines().index('            raise ValueError("not today")')
    assert f"main.py:{line} in scheduled" in told
    assert "ValueError: not today" in told


@pytest.mark.parametrize(
    ("query", "headers", "status", "text"),
    [
        ("cron=61+*+*+*+*", {}, 400, 'cron: "61" is no minute: minutes are 0-59'),
        ("time=soon", {}, 400, "\"time\" is in milliseconds since the epoch, got 'soon'"),
        ("", {"Sec-Fetch-Site": "cross-site"}, 403, "a page of another site may not run this"),
        ("", {"Origin": "https://evil.example"}, 403, "Pages of this Origin may not connect here"),
    ],
)
def test_what_nobody_should_ask_by_hand_is_refused(
    app: App, query: str, headers: dict[str, str], status: int, text: str
) -> None:
    before = lines(app)
    reply = app.get(f"/cdn-cgi/handler/scheduled?{query}", headers=headers)

    assert reply.status == status
    assert text in reply.text
    assert lines(app) == before


def test_other_paths_below_cdn_cgi_are_the_workers(app: App) -> None:
    assert app.get("/cdn-cgi/image").json() == lines(app)


def test_a_worker_without_the_handler_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "durable.toml").write_text('main = "main.py"\n[triggers]\ncrons = ["* * * * *"]\n')
    (tmp_path / "main.py").write_text(
        "from durable import WorkerEntrypoint\n\n\nclass Default(WorkerEntrypoint):\n    pass\n"
    )
    with run(tmp_path / "durable.toml") as app:
        outcome = json.loads(app.get("/cdn-cgi/handler/scheduled?format=json").text)

    assert outcome == {"outcome": "exception", "noRetry": False}
    assert "Default has no scheduled(event) method" in capfd.readouterr().err


def test_a_reload_takes_the_triggers_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    with run(tmp_path / "durable.toml") as app:
        (tmp_path / "durable.toml").write_text(SETTINGS.replace('"0 3 * * *", "0 9 * * mon"', '"30 12 * * *"'))
        app.reload()
        app.advance(timedelta(days=2))

        assert [cron for cron, _, _ in lines(app)] == ["30 12 * * *"] * 2


def test_what_fell_due_while_nothing_ran_is_not_made_up(tmp_path: Path) -> None:
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    with run(tmp_path / "durable.toml", state=tmp_path / "state") as before:
        before.freeze()
    with StateDatabase(StateLayout(tmp_path / "state").state_file) as state:
        frozen_ms = state.clock.frozen_ms
        assert frozen_ms is not None
        state.set_clock(ClockSetting(0, frozen_ms + 3 * 86_400_000))

    with run(tmp_path / "durable.toml", state=tmp_path / "state") as after:
        assert lines(after) == []
        after.advance(timedelta(days=1))
        assert "0 3 * * *" in [cron for cron, _, _ in lines(after)]
