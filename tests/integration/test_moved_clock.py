"""The emulator's clock in a test's hand: what falls due on the way runs, in order, each at its own time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable.errors import UserInputError
from durable.gateway.driven_alarms import DrivenAlarms
from durable.gateway.time_control import TimeControl
from durable.testing import App, run
from tests.settings import settings

SETTINGS = settings("Trial", "TRIAL")

PROGRAM = """\
import time
from datetime import timedelta

import durable
from durable import DurableObject, Response, WorkerEntrypoint

AT_IMPORT = durable.now()


class Trial(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS log(what TEXT, at_ms INT, due_ms INT, retries INT)")

    def note(self, what, due_ms=0, retries=0):
        self.ctx.storage.sql.exec(
            "INSERT INTO log VALUES (?, ?, ?, ?)", what, round(durable.now().timestamp() * 1000), due_ms, retries
        )

    async def fetch(self, request):
        words = request.url.rpartition("/")[2].split("-")
        kind, seconds = words[0], float(words[1])
        await self.ctx.storage.put("kind", kind)
        await self.ctx.storage.put("left", int(words[2]) if len(words) > 2 else 0)
        await self.ctx.storage.put("seconds", seconds)
        self.note("set")
        await self.ctx.storage.set_alarm(durable.now() + timedelta(seconds=seconds))
        return Response.json({"now_ms": round(durable.now().timestamp() * 1000)})

    async def alarm(self, info):
        kind = await self.ctx.storage.get("kind")
        left = await self.ctx.storage.get("left")
        self.note("alarm", info.scheduled_time, info.retry_count)
        if kind == "fail" and info.retry_count < left:
            raise ValueError("on purpose")
        if kind == "chain" and left:
            await self.ctx.storage.put("left", left - 1)
            await self.ctx.storage.set_alarm(info.scheduled_time + 1000 * await self.ctx.storage.get("seconds"))
        if kind == "again":
            await self.ctx.storage.set_alarm(durable.now())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, name, what = request.url.rsplit("/", 2)
        if name == "time":
            return Response.json({
                "now": durable.now().timestamp(), "machine": time.time(), "import": AT_IMPORT.timestamp(),
            })
        return await self.env.TRIAL.get_by_name(name).fetch(request)
"""

DAY_MS = 86_400_000


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path / "durable.toml"


def logged(app: App, name: str) -> list[dict[str, Any]]:
    return app.sql("Trial", name, "SELECT * FROM log ORDER BY rowid")


def test_fourteen_days_pass_and_each_alarm_sees_its_own_time(project: Path):
    with run(project) as app:
        app.freeze()
        start_ms = app.get(f"/a/chain-{86_400}-13").json()["now_ms"]
        app.get("/b/once-129600")  # a day and a half

        assert app.advance(timedelta(days=14)) == 15

        alarms = [row for row in logged(app, "a") if row["what"] == "alarm"]
        assert [row["at_ms"] for row in alarms] == [start_ms + day * DAY_MS for day in range(1, 15)]
        assert [row["due_ms"] for row in alarms] == [row["at_ms"] for row in alarms]
        assert logged(app, "b")[1]["at_ms"] == logged(app, "b")[0]["at_ms"] + DAY_MS * 3 // 2
        assert app.now().timestamp() * 1000 == start_ms + 14 * DAY_MS


def test_retries_wait_for_the_seconds_of_the_moved_clock(project: Path):
    with run(project) as app:
        app.freeze()
        app.get("/a/fail-3600-3")

        assert app.advance(3599.999) == 0
        assert app.advance(120) == 4

        alarms = [row for row in logged(app, "a") if row["what"] == "alarm"]
        gaps = [(later["at_ms"] - row["at_ms"]) / 1000 for row, later in zip(alarms, alarms[1:], strict=False)]
        assert [row["retries"] for row in alarms] == [0, 1, 2, 3]
        assert all(least <= gap <= 1.25 * least + 0.001 for least, gap in zip((2, 4, 8), gaps, strict=True)), gaps
        assert len({row["due_ms"] for row in alarms}) == 1


def test_an_alarm_that_sets_itself_for_now_does_not_keep_time_from_going_on(project: Path):
    with run(project) as app:
        app.freeze()
        app.get("/a/again-1")

        ran = app.advance(1.02)

        times = [row["at_ms"] for row in logged(app, "a")[1:]]
        assert 20 <= ran <= len(times) <= 64
        assert times == sorted(times)


def test_a_frozen_clock_stands_still_and_resumes_from_where_it_stood(project: Path):
    with run(project) as app:
        app.freeze()
        stood = app.now()
        app.get("/a/once-0.001")
        assert app.get("/time/").json()["now"] == stood.timestamp()
        assert app.status()["clock_frozen"] is True
        assert [row["what"] for row in logged(app, "a")] == ["set"]

        app.resume()
        assert timedelta(0) <= app.now() - stood < timedelta(seconds=30)
        assert app.status()["clock_frozen"] is False


def test_hosts_see_the_gateways_time_and_the_machines_stays_as_it_was(project: Path):
    with run(project, hosts=2) as app:
        app.advance(timedelta(days=3))
        for _ in range(2):
            told = app.get("/time/").json()
            assert 3 * 86_400 - 5 < told["now"] - told["machine"] < 3 * 86_400 + 5
            # A program that is loaded later finds the moved time at its import already.
            app.reload()
            assert app.get("/time/").json()["import"] > told["machine"] + 3 * 86_400 - 5

        app.reset_clock()
        told = app.get("/time/").json()
        assert abs(told["now"] - told["machine"]) < 5


def test_a_moved_clock_is_kept_over_a_restart_until_it_is_reset(project: Path, tmp_path: Path):
    state = tmp_path / "kept" / "state"
    with run(project, state=state) as app:
        app.advance(timedelta(days=2))
        app.freeze()
        stood = app.now()
    with run(project, state=state) as app:
        assert app.now() == stood
        app.resume()
    with run(project, state=state) as app:
        assert abs(app.status()["clock_offset_ms"] - 2 * DAY_MS) < 60_000
        app.reset_clock()
    with run(project, state=state) as app:
        assert app.status()["clock_offset_ms"] == 0


def test_the_clock_is_not_set_back_nor_past_the_last_alarm(project: Path):
    with run(project) as app:
        with pytest.raises(UserInputError, match="not set back"):
            app.advance(-1)
        with pytest.raises(UserInputError, match="2189"):
            app.advance(timedelta(days=365 * 200))


# --- broken on purpose: what the tests above would say ---------------------------------------------------------------
def test_hosts_that_are_not_told_the_time_run_nothing(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(TimeControl, "listen", lambda self, link: None)
    with run(project) as app:
        app.get("/a/once-1")
        assert app.advance(1.02) == 0


def test_an_advance_that_does_not_look_for_what_is_due_runs_nothing_on_its_way(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    async def nothing(self: DrivenAlarms, until_ms: int) -> int | None:
        return None

    monkeypatch.setattr(DrivenAlarms, "next_due_ms", nothing)
    with run(project) as app:
        app.get("/a/once-3600")
        assert app.advance(7200) == 0


def test_a_reload_between_two_advances_loses_nothing(project: Path):
    with run(project) as app:
        app.freeze()
        app.get("/a/chain-60-5")
        assert app.advance(120) == 2
        app.reload()
        assert app.advance(600) == 4
        times = [row["at_ms"] for row in logged(app, "a")]
        assert {later - time for time, later in zip(times, times[1:], strict=False)} == {60_000}
