"""What a command does that is forked is what it does when it starts from nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.acceptance import command_forks
from tests.acceptance.running_dev import typed
from tests.settings import settings

PROGRAM = """\
from durable import DurableObject


class Counter(DurableObject):
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(settings("Counter", "COUNTER"))
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    ["--version", "--help", "objects list", "objects lits", "sql Counter a .tables", "doctor", "tail", "init --list"],
)
def test_a_forked_command_says_what_one_from_nothing_says(project: Path, words: str) -> None:
    from_nothing = typed(project, *words.split(), environ=os.environ)
    forked = command_forks.run(project, *words.split(), seconds=20)

    assert forked is not None
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        from_nothing.returncode, from_nothing.stdout, from_nothing.stderr,
    )  # fmt: skip


def test_a_forked_command_has_its_own_folder_environment_and_process(project: Path) -> None:
    process = command_forks.start(project, "dev", "--port", "0", "--no-reload")
    assert process is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline().startswith("Ready on ")
        own = Path(f"/proc/{process.pid}")
        assert process.pid != os.getpid()
        assert Path(os.readlink(own / "cwd")) == project
        assert process.poll() is None

        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 0
    assert process.poll() == 0


def test_a_forked_command_that_is_killed_ended_by_that_signal(project: Path) -> None:
    process = command_forks.start(project, "dev", "--port", "0", "--no-reload")
    assert process is not None
    with process.stdout, process.stderr:
        process.stdout.readline()

        process.kill()

        assert process.wait(20) == -signal.SIGKILL
        process.kill()


def test_in_another_environment_a_command_starts_from_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert command_forks.start(project, "--version") is None
    assert typed(project, "--version").stdout.startswith("durable ")
