"""pdb where nobody sits at the terminal of `durable dev`: in CI, in tests, or talking another way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from durable.testing import run as run_in_test
from tests.acceptance.debugged_program import PROGRAM
from tests.acceptance.running_dev import Dev
from tests.settings import settings


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(settings("Room", "ROOM"))
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.parametrize("words", [(), ("--log-format", "json")])
@pytest.mark.parametrize("method", ["here", "by_hand", "after_death"])
def test_without_a_terminal_the_request_fails_with_what_to_do(
    app: Path, start_dev: Callable[..., Dev], words: tuple[str, ...], method: str
) -> None:
    run = start_dev(app, *words, "--no-reload").wait_ready()
    status, text = run.get(f"/{method}")
    assert status == 500
    assert "stops in the debugger, and there is no terminal to hand to it" in text
    assert "main.py:" in text
    assert "--debug" in text
    assert run.get("/") == (200, "hello")


def test_a_debugger_that_talks_elsewhere_needs_no_terminal(app: Path, start_dev: Callable[..., Dev]) -> None:
    run = start_dev(app, "--no-reload").wait_ready()
    status, text = run.get("/elsewhere/general")
    assert status == 200
    assert "(Pdb) 42" in text
    assert 'Room "general" stopped in Room.elsewhere at main.py' in run.wait_told("stopped in")


def test_in_tests_of_a_project_a_breakpoint_fails_at_once(app: Path) -> None:
    with run_in_test(app / "durable.toml") as project:
        reply = project.get("/here")
        assert reply.status == 500
        assert "there is no terminal to hand to it" in reply.text
        assert project.get("/").text == "hello"


def test_without_a_terminal_pythonbreakpoint_0_passes_over(app: Path, start_dev: Callable[..., Dev]) -> None:
    run = start_dev(app, environ={**os.environ, "PYTHONBREAKPOINT": "0"}).wait_ready()
    assert run.get("/here") == (200, "42")
