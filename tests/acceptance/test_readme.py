"""The README's example does what the README says, typed as it is printed."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
DURABLE = str(Path(sys.executable).with_name("durable"))
READY_SECONDS_MAX = 30.0


def block(language: str) -> str:
    """The README's only code block of a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (REPO / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"the README has {len(found)} blocks of {language}"
    return str(found[0])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(block("python"), "utf-8")
    (tmp_path / "durable.toml").write_text(block("toml"), "utf-8")
    return tmp_path


@pytest.fixture
def url(project: Path) -> Iterator[str]:
    """The example, running under `durable dev`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (project / "log").open("wb") as log:
        running = subprocess.Popen(
            [DURABLE, "dev", "--port", str(port)], cwd=project, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_ready(running, project / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        assert running.wait(20) == 0, (project / "log").read_text()


def wait_ready(running: subprocess.Popen[bytes], log: Path) -> None:
    """Until the line that `durable dev` promises is printed."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while "Ready on" not in log.read_text(errors="replace"):
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def test_the_example_counts_and_its_data_can_be_asked_for(url: str, project: Path) -> None:
    answers = []
    for _ in range(3):
        with urllib.request.urlopen(url) as answer:
            answers.append(json.load(answer))

    asked = subprocess.run(
        [DURABLE, "sql", "Counter", "a", "SELECT * FROM hits", "--json"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answers == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert asked.returncode == 0, asked.stderr
    assert "home" in asked.stdout


def test_every_command_of_the_readme_exists() -> None:
    named = re.findall(r"^\| `durable (\w+)", (REPO / "README.md").read_text("utf-8"), re.MULTILINE)

    unknown = [
        name
        for name in named
        if subprocess.run([DURABLE, name, "--help"], capture_output=True, check=False).returncode != 0
    ]

    assert set(named) == {"init", "dev", "tail", "migrate", "sql", "objects", "alarms", "call", "doctor"}
    assert not unknown
