"""`durable alarms` with a real emulator: list, fire, the clock in the developer's hand, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running_dev import DURABLE, WAIT_SECONDS, Dev, typed
from tests.acceptance.test_cli_dev import Keyboard
from tests.settings import settings

CONFIG = settings("Trial", "TRIALS")
PROGRAM = """\
from datetime import timedelta

import durable
from durable import DurableObject, Response, WorkerEntrypoint


class Trial(DurableObject):
    async def fetch(self, request):
        await self.ctx.storage.put("every", float(request.url.rpartition("/")[2]))
        await self.ctx.storage.set_alarm(durable.now() + timedelta(days=1))
        return Response("ok")

    async def alarm(self, info):
        if self.ctx.id.name == "broken":
            raise ValueError("on purpose")
        runs = await self.ctx.storage.get("runs", default=[])
        await self.ctx.storage.put("runs", [*runs, durable.now().timestamp()][-20:])
        every = await self.ctx.storage.get("every")
        if every:
            await self.ctx.storage.set_alarm(info.scheduled_time + every * 1000)

    def runs(self):
        return [self.ctx.storage.kv.get("runs")]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name, what = request.url.split("/")[3:5]
        if what == "now":
            return Response.json(durable.now().timestamp())
        if what == "runs":
            return Response.json((await self.env.TRIALS.get_by_name(name).runs())[0])
        return await self.env.TRIALS.get_by_name(name).fetch(request)
"""
DAY = 86_400


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def told(folder: Path, *words: str) -> dict[str, Any]:
    result = typed(folder, "alarms", *words, "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_two_weeks_pass_in_one_command_and_are_kept_until_reset(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    begin = json.loads(dev.get("/ada/now")[1])
    assert dev.get(f"/ada/{DAY}") == (200, "ok")
    assert [alarm["name"] for alarm in told(project, "list")["alarms"]] == ["ada"]

    result = typed(project, "alarms", "advance", "14d")
    assert (result.returncode, result.stdout) == (0, "")
    assert "(+14d), " in result.stderr
    runs = json.loads(dev.get("/ada/runs")[1])
    assert len(runs) == 14
    assert {round(later - run) for run, later in zip(runs, runs[1:], strict=False)} == {DAY}
    dev.wait_told("[+14d] the clock says")
    assert json.loads(dev.get("/ada/now")[1]) - begin > 14 * DAY
    dev.wait_told("[+14d] GET /ada/now 200")
    dev.process.send_signal(signal.SIGTERM)
    assert dev.process.wait(WAIT_SECONDS) == 0

    again = start_dev(project, "--log-format", "json", "--no-reload").wait_ready()
    start = json.loads(again.wait_told('"clock_moved"'))
    assert (start["offset_ms"], start["is_frozen"], start["clock_offset_ms"]) == (
        14 * DAY * 1000,
        False,
        14 * DAY * 1000,
    )
    assert told(project, "reset")["offset_ms"] == 0
    since = len(again.err)
    again.get("/ada/now")
    assert "clock_offset_ms" not in json.loads(again.wait_told("/ada/now", since=since))


def test_an_alarm_is_fired_by_hand_and_a_failing_one_is_told(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    for name in ("ada", "broken"):
        dev.get(f"/{name}/0")

    done = typed(project, "alarms", "fire", "TRIALS", "ada")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", 'alarm() of TRIALS "ada" ran\n')
    assert len(json.loads(dev.get("/ada/runs")[1])) == 1
    failed = typed(project, "alarms", "fire", "Trial", "broken", "--json")
    assert failed.returncode == 5
    assert json.loads(failed.stdout)["outcome"] == "failed"
    assert 'alarm() of Trial "broken" failed' in failed.stderr
    dev.wait_told("ValueError: on purpose")
    assert [alarm["name"] for alarm in told(project, "list")["alarms"]] == ["broken"]


REFUSED = [
    (("fire", "Trail", "ada"), 3, 'Did you mean "Trial"?'),
    (("fire", "Trial", "adda"), 3, 'Did you mean "ada"?'),
    (("fire", "Trial", "--id", "12"), 2, "64 hex digits"),
    (("fire", "Trial", "ada"), 2, "has no alarm set"),
    (("advance", "200w", "extra"), 2, "Got unexpected extra argument"),
    (("advance", "9999w"), 2, "2189"),
    (("list", "--env", "staging"), 2, "staging"),
]


def test_what_a_running_emulator_refuses_is_said(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    dev.get("/ada/0")
    typed(project, "alarms", "fire", "Trial", "ada")

    for words, code, what in REFUSED:
        result = typed(project, "alarms", *words)
        assert (result.returncode, result.stdout) == (code, ""), words
        assert what in result.stderr
        assert "Traceback" not in result.stderr


def test_ctrl_c_leaves_the_clock_where_the_advance_has_got_to(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--quiet", "--no-reload").wait_ready()
    dev.get("/ada/0.5")
    advance = subprocess.Popen(
        [*DURABLE, "alarms", "advance", "52w"], cwd=project, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert advance.stderr is not None
    assert "alarms ran" in advance.stderr.readline()
    advance.send_signal(signal.SIGINT)
    said = advance.communicate(timeout=WAIT_SECONDS)[1]

    assert advance.returncode == 130
    assert "alarms ran" in said
    clock = told(project, "freeze")
    assert DAY * 1000 <= clock["offset_ms"] < 52 * 7 * DAY * 1000


@pytest.fixture
def keyboard(project: Path) -> Iterator[Keyboard]:
    keyboard = Keyboard(project)
    yield keyboard
    keyboard.close()


def test_keys_run_the_next_alarm_and_stop_time(keyboard: Keyboard, project: Path) -> None:
    keyboard.wait_seen("[q] quit")
    keyboard.press("a")
    keyboard.wait_seen("no alarm is set")
    result = typed(project, "sql", "Trial", "ada", "SELECT 1")  # it runs, and has no such object yet
    assert result.returncode == 3
    keyboard.press("f")
    keyboard.wait_seen("frozen; durable alarms reset goes back")
    keyboard.seen = ""
    keyboard.press("f")
    keyboard.wait_seen("ms; durable alarms reset goes back")
