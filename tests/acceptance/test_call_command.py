"""`durable call` with a running emulator and without one: the object's own code runs, and nothing else is different."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.running_dev import DURABLE, WAIT_SECONDS, Dev, typed
from tests.settings import settings

PROGRAM = """\
import asyncio

from durable import DurableObject, Response, WorkerEntrypoint


class Counter(DurableObject):
    def increment(self, by=1):
        n = (self.ctx.storage.kv.get("n") or 0) + by
        self.ctx.storage.kv.put("n", n)
        print("counted", n)
        return n

    async def echo(self, *args, **kwargs):
        return [list(args), kwargs]

    def raw(self):
        return {"raw": b"\\x00\\xff", "pair": (1, 2), "text": "\\x1b[2J"}

    def text(self):
        return "two\\nlines\\x1b[2J"

    def nothing(self):
        pass

    def fail(self, reason):
        self.ctx.storage.kv.put("n", -1)
        raise ValueError(reason)

    def refuse(self):
        return object()

    async def hang(self):
        print("hanging")
        await asyncio.sleep(3600)

    def many(self):
        return "x" * (33 * 1024 * 1024)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rpartition("/")[2]
        return Response(str(await self.env.COUNTERS.get_by_name(name).increment()))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(settings("Counter", "COUNTERS"))
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture(params=["running", "stopped"])
def served(request: pytest.FixtureRequest, project: Path, start_dev: Callable[..., Dev]) -> Path:
    """A project with one object, `home`, that has counted to 1."""
    if request.param == "running":
        assert start_dev(project, "--no-reload").wait_ready().get("/home") == (200, "1")
    else:
        assert typed(project, "call", "--create", "Counter", "home", "increment").returncode == 0
    return project


def test_a_method_is_called_and_its_result_printed_and_stored(served: Path) -> None:
    result = typed(served, "call", "Counter", "home", "increment", "2")
    assert (result.returncode, result.stdout) == (0, "3\n")
    assert typed(served, "call", "COUNTERS", "home", "increment", "by=10", "--json").stdout == "13\n"
    rows = json.loads(typed(served, "sql", "Counter", "home", "SELECT 1 AS one", "--json").stdout)
    assert rows == [{"one": 1}]

    echo = typed(served, "call", "Counter", "home", "echo", "1.5", '"text"', "null", 'where={"a": [true]}', "--json")
    assert json.loads(echo.stdout) == [[1.5, "text", None], {"where": {"a": [True]}}]

    there_and_back = typed(served, "call", "Counter", "home", "echo", '{"$bytes": "AP8="}', "--json")
    assert json.loads(there_and_back.stdout) == [[{"$bytes": "AP8="}], {}]

    dashed = typed(served, "call", "--json", "--", "Counter", "home", "echo", "-3", str(10**30))
    assert json.loads(dashed.stdout) == [[-3, {"$int": hex(10**30)}], {}]


def test_an_exception_of_the_program_is_told_as_a_failed_request_is_and_ends_with_5(served: Path) -> None:
    result = typed(served, "call", "Counter", "home", "fail", '"no reason"')
    assert (result.returncode, result.stdout) == (5, "")
    lines = result.stderr.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("error in Counter"))
    assert lines[start] == "error in Counter \"home\".fail(reason='no reason')"
    assert lines[start + 1] == "  ValueError: no reason"
    assert lines[start + 2].startswith("  main.py:")

    as_json = typed(served, "call", "Counter", "home", "fail", '"no reason"', "--json")
    error = json.loads(as_json.stdout)["error"]
    assert as_json.returncode == 5
    assert (error["type"], error["message"], error["object"], error["method"]) == (
        "ValueError", "no reason", 'Counter "home"', "fail",
    )  # fmt: skip


def test_a_missing_object_is_not_made_and_a_wrong_word_is_a_mistake(served: Path) -> None:
    def ends_with(code: int, sentence: str, *words: str) -> None:
        result = typed(served, "call", *words)
        assert (result.returncode, result.stdout) == (code, ""), result
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr

    ends_with(3, 'no such object: Counter "hoem"', "Counter", "hoem", "increment")
    ends_with(5, "has no such method", "Counter", "home", "decrement")
    if not (served / ".durable" / "run" / "emulator.json").exists():
        return  # the program is started for each of them: the rest is the same code
    ends_with(3, '"Conuter"', "Conuter", "home", "increment")
    ends_with(2, "not JSON: text", "Counter", "home", "increment", "text")
    ends_with(2, '"alarm" is a reserved method', "Counter", "home", "alarm")
    ends_with(2, '{"$nonsense": …} is not a value', "Counter", "home", "increment", '{"$nonsense": 1}')
    ends_with(5, "has no such method", "Counter", "home", "__init__")
    ends_with(5, "cannot be stored or sent", "Counter", "home", "refuse")
    ends_with(5, "limited to 32MiB", "Counter", "home", "many")
    ends_with(3, 'no such object: Counter "hoem"', "Counter", "hoem", "increment")

    assert typed(served, "call", "--create", "Counter", "hoem", "increment").stdout == "1\n"


def test_values_that_json_lacks_and_control_characters_come_harmlessly(served: Path) -> None:
    assert json.loads(typed(served, "call", "Counter", "home", "raw", "--json").stdout) == {
        "raw": {"$bytes": "AP8="}, "pair": {"$tuple": [1, 2]}, "text": "\x1b[2J",
    }  # fmt: skip
    for method in ("raw", "text"):
        result = typed(served, "call", "Counter", "home", method)
        assert result.returncode == 0
        assert "\x1b" not in result.stdout + result.stderr
    assert typed(served, "call", "Counter", "home", "text").stdout == "two\nlines\\x1b[2J\n"
    assert typed(served, "call", "Counter", "home", "nothing").stdout == ""


def test_what_the_program_prints_is_not_mixed_with_the_result_and_nothing_is_left_running(project: Path) -> None:
    result = typed(project, "call", "--create", "Counter", "home", "increment")
    assert (result.stdout, result.stderr) == ("1\n", "counted 1\n")
    assert not (project / ".durable" / "run" / "emulator.json").exists()

    again = typed(project, "call", "Counter", "home", "increment")
    assert (again.returncode, again.stdout) == (0, "2\n"), "the lock is free again"


def test_ctrl_c_ends_a_call_that_hangs_and_everything_that_was_started_for_it(project: Path) -> None:
    command = [*DURABLE, "call", "--create", "Counter", "home", "hang"]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True) as calling:
        assert calling.stderr is not None
        assert calling.stderr.readline() == "hanging\n"
        calling.send_signal(signal.SIGINT)
        assert calling.wait(WAIT_SECONDS) == 130

    assert typed(project, "call", "--create", "Counter", "home", "increment").stdout == "1\n", "the lock is free again"


def test_a_program_that_cannot_be_loaded_is_told_and_ends_with_5(project: Path) -> None:
    assert typed(project, "call", "--create", "Counter", "home", "increment").returncode == 0
    (project / "main.py").write_text("import nothing_of_that_name\n")

    result = typed(project, "call", "Counter", "home", "increment")

    assert (result.returncode, result.stdout) == (5, "")
    assert "error while loading the program" in result.stderr
    assert "No module named 'nothing_of_that_name'" in result.stderr


def test_the_developer_sees_the_failure_where_the_emulator_runs_and_it_goes_on(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/home") == (200, "1")

    assert typed(project, "call", "Counter", "home", "fail", '"loudly"').returncode == 5

    dev.wait_told("error in Counter \"home\".fail(reason='loudly')")
    assert dev.end(signal.SIGINT) == 0


def test_a_call_goes_through_the_gates_of_a_live_object(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    assert dev.get("/home") == (200, "1")

    assert typed(project, "call", "Counter", "home", "fail", '"x"').returncode == 5
    assert typed(project, "call", "Counter", "home", "increment").stdout == "0\n", "as on the platform: no rollback"
    assert dev.get("/home") == (200, "1")


def test_the_example_of_the_help_works(served: Path) -> None:
    words = typed(served, "call", "--help").stdout.split("Example: durable ")[1].split("\n\n")[0].split()

    result = typed(served, *words)

    assert (result.returncode, result.stdout) == (0, "3\n")
