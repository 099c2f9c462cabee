"""What `durable init` leaves for editors works as it is: F5 starts `durable dev`, waits for it and attaches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_cli.commands.dev import DEBUG_PORT
from tests.acceptance.dap_client import Editor
from tests.acceptance.running_dev import Dev, typed
from tests.acceptance.terminal_dev import Answer

TEMPLATES = sorted(path.parent.name for path in (Path(__file__).parents[2] / "templates").glob("*/durable.toml"))


def made(tmp_path: Path, template: str) -> Path:
    result = typed(tmp_path, "init", "app", "--template", template)
    assert result.returncode == 0, result.stderr
    return tmp_path / "app"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_project_has_a_launch_configuration_and_its_task(tmp_path: Path, template: str) -> None:
    folder = made(tmp_path, template) / ".vscode"
    configurations = json.loads((folder / "launch.json").read_text())["configurations"]
    tasks = {task["label"]: task for task in json.loads((folder / "tasks.json").read_text())["tasks"]}
    assert [each["connect"] for each in configurations] == [{"host": "127.0.0.1", "port": DEBUG_PORT}] * 2
    assert all(each["restart"] is True for each in configurations)
    assert configurations[0]["preLaunchTask"] in tasks


def test_its_task_starts_and_its_configuration_attaches_and_stops_in_the_code(
    tmp_path: Path, start_dev: Callable[..., Dev]
) -> None:
    pytest.importorskip("debugpy")
    app = made(tmp_path, "counter")
    main = app / "main.py"
    line = next(number for number, text in enumerate(main.read_text().splitlines(), 1) if "return int(row" in text)
    configuration: dict[str, Any] = json.loads((app / ".vscode/launch.json").read_text())["configurations"][0]
    task = json.loads((app / ".vscode/tasks.json").read_text())["tasks"][0]
    module, command, *words = task["args"][1:]
    assert (task["args"][0], module, command, words) == ("-m", "durable_cli", "dev", ["--debug"])

    # A free port instead of the usual one: somebody may be debugging on this machine.
    run = start_dev(app, *words, "0").wait_ready()
    background = task["problemMatcher"]["background"]
    assert any(re.search(background["beginsPattern"], text) for text in run.err)
    assert any(re.search(background["endsPattern"], text) for text in run.out)

    port = int(run.wait_told("debugpy waits for your editor on").rpartition(":")[2])
    settings = {name: value for name, value in configuration.items() if name not in {"type", "request", "connect"}}
    with Editor(port) as editor:
        editor.attach({str(main): [line]}, connect={"host": "127.0.0.1", "port": port}, **settings)
        answer = Answer(run.url, "/hit/home")
        thread, function, stopped = editor.wait_stopped()
        assert (function.rpartition(".")[2], stopped) == ("increment", line)
        editor.ask("continue", threadId=thread)
        assert answer.wait() == (200, '{"page":"home","views":1}')
