"""`durable doctor` with a real emulator: running it looks at the contents of the objects and wakes nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev, typed
from tests.settings import settings

PROGRAM = """\
from durable import DurableObject, Response, WorkerEntrypoint

CONSTRUCTED = []


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTED.append(ctx.id.name)

    def say(self):
        self.ctx.storage.kv.put("text", "hello" * 1000)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rpartition("/")[2]
        if name != "constructed":
            await self.env.ROOMS.get_by_name(name).say()
        return Response(" ".join(CONSTRUCTED))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(settings("Room", "ROOMS"))
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def make_rooms(dev: Dev, *names: str) -> None:
    for name in names:
        assert dev.get(f"/{name}")[0] == 200


def test_a_state_that_an_emulator_left_is_well_however_it_ended(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    make_rooms(dev, "a", "b")
    dev.end()
    assert typed(project, "doctor").stderr == "looked at 2 objects of 1 class: all is well\n"

    killed = start_dev(project, "--no-reload").wait_ready()
    make_rooms(killed, "b", "c")
    killed.discard()
    result = typed(project, "doctor")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "looked at 3 objects of 1 class: all is well\n"


def test_with_an_emulator_running_contents_are_looked_at_and_nobody_wakes(
    project: Path, start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    make_rooms(dev, "a", "b", "c")
    dev.end()
    damaged = next(project.glob(".durable/state/Room-*/*/*.sqlite"))
    damaged.write_bytes(b"rubbish" * 1000)
    dev = start_dev(project, "--no-reload").wait_ready()
    make_rooms(dev)

    result = typed(project, "doctor")

    assert result.returncode == 2
    assert "looked at 3 objects of 1 class: 1 problem\n" in result.stderr
    assert "stop it, and durable doctor looks at everything" in result.stderr
    assert "does not begin like a database" in result.stdout
    [finding] = json.loads(typed(project, "doctor", "--json").stdout)["findings"]
    assert finding["id"] == damaged.stem
    assert dev.get("/constructed") == (200, "")


def test_nothing_is_mended_while_an_emulator_runs(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    make_rooms(dev, "a")

    result = typed(project, "doctor", "--fix")

    assert (result.returncode, result.stdout) == (2, "")
    assert "an emulator runs here" in result.stderr
    assert "Ctrl+C" in result.stderr


def test_more_objects_than_a_page_has_are_all_looked_at(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    make_rooms(dev, *(f"r{number}" for number in range(201)))

    document = json.loads(typed(project, "doctor", "--json").stdout)

    assert (document["objects"], document["running"], document["findings"]) == (201, True, [])


def test_the_example_of_the_help_works(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    make_rooms(dev, "a")
    dev.end()
    words = typed(project, "doctor", "--help").stdout.split("Example: durable ")[1].split("\n\n")[0].split()

    assert typed(project, *words).returncode == 0
