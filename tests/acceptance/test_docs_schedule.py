"""The schedule's part of docs/alarms.md is true: its project is made and passes its own tests, its triggers run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from durable.testing import App, run
from tests.acceptance.running_dev import Dev, clean_environment, typed
from tests.settings import settings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "alarms.md").read_text("utf-8")
SCHEDULE, TRIGGERS = (DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0] for title in ("Schedule", "Cron triggers"))
BLOCKS = re.MULTILINE | re.DOTALL
FILES = {match[1]: match[0] for match in re.finditer(r"(?<=```python\n)# (\S+)\n.*?(?=^```)", SCHEDULE, BLOCKS)}
SECONDS_MAX = 50.0

SETTINGS = settings("Subscription", "SUBSCRIPTION")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "durable.toml").write_text(SETTINGS)
    return tmp_path


def passes_own_tests(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=clean_environment() | {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )


def test_the_trial_passes_its_own_tests(project: Path) -> None:
    done = passes_own_tests(project)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_trial_that_forgets_its_last_reminder_does_not(project: Path) -> None:
    program = FILES["main.py"].replace(
        '"last reminder", end - timedelta(days=1)', '"reminder", end - timedelta(days=1)'
    )
    assert program != FILES["main.py"]
    (project / "main.py").write_text(program, "utf-8")

    done = passes_own_tests(project)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 days left" in done.stdout


def test_fourteen_days_go_by_with_each_mail_at_its_own_time(project: Path) -> None:
    with run(project / "durable.toml") as app:
        app.freeze()
        start = app.now()
        app.post("/ada/sign_up")
        app.advance(14 * 86_400)
        outbox = app.get("/ada/account").json()["outbox"]

    since = [(datetime.fromisoformat(at) - start).total_seconds() / 86_400 for at, text in outbox if "tip" not in text]
    assert since == [11.0, 13.0, 14.0]
    tips = [datetime.fromisoformat(at).astimezone(UTC) for at, text in outbox if "tip" in text]
    assert [(at.weekday(), at.hour in (7, 8), at.minute) for at in tips] == [(0, True, 0)] * 2


def test_the_triggers_of_the_document_run(tmp_path: Path) -> None:
    settings, worker = (
        re.findall(rf"^```{language}\n(.*?)^```", TRIGGERS, BLOCKS)[0] for language in ("toml", "python")
    )
    main = "from durable import DurableObject, WorkerEntrypoint, Response\n\n\nclass Report(DurableObject):\n"
    main += "    def send(self, at):\n        self.ctx.storage.kv.put('at', at)\n"
    main += "    def sent(self):\n        return self.ctx.storage.kv.get('at')\n\n\n"
    fetch = "\n    async def fetch(self, request):\n"
    fetch += "        return Response.json(await self.env.REPORT.get_by_name('daily').sent())\n"
    (tmp_path / "main.py").write_text(main + worker + fetch)
    names = SETTINGS.replace("SUBSCRIPTION", "REPORT").replace("Subscription", "Report")
    (tmp_path / "durable.toml").write_text(names + settings)
    [path] = re.findall(r'curl "http://127.0.0.1:8787(.*)"', TRIGGERS)

    with run(tmp_path / "durable.toml") as app:
        before = by_hand(app, path)
        app.advance(3 * 86_400)
        at = datetime.fromtimestamp(app.get("/").json() / 1000, UTC)

    assert before == "ok"
    assert (at.hour, at.minute, at.second, at.weekday() < 5) == (9, 0, 0, True)


def by_hand(app: App, path: str) -> str:
    assert app.get("/").json() is None
    text = app.get(path).text
    assert app.get("/").json() is not None
    return text


def test_fourteen_days_go_by_from_the_command_line(project: Path) -> None:
    dev = Dev(project, "--no-reload").wait_ready()
    try:
        signed_up = urllib.request.Request(f"{dev.url}/ada/sign_up", b"", method="POST")
        with urllib.request.urlopen(signed_up, timeout=SECONDS_MAX) as reply:
            assert json.load(reply)["plan"] == "trial"

        done = typed(project, "alarms", "advance", "14d")

        assert done.returncode == 0, done.stderr
        account = json.loads(dev.get("/ada/account")[1])
    finally:
        dev.discard()
    assert account["plan"] == "expired"
    assert [text for _, text in account["outbox"] if "tip" not in text] == [
        "3 days left", "one day left", "your trial is over",
    ]  # fmt: skip
