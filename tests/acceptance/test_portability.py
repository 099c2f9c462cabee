"""`durable dev` on a project in Cloudflare's layout: what is not portable is told in the terminal, once, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running_dev import Dev

ENTRY = """\
import uuid

from workers import DurableObject, Response, WorkerEntrypoint

RUN = uuid.uuid4()


class Room(DurableObject):
    async def sit(self, seat):
        self.ctx.storage.sql.exec("SELECT ?", seat)
        await self.ctx.storage.put("seat", (seat, 7))
        return seat


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rpartition("/")[2]
        return Response(str(await self.env.ROOM.getByName(name).sit(seat=4)))
"""
PORTABLE = (
    ENTRY.replace("import uuid\n\n", "")
    .replace("RUN = uuid.uuid4()\n", "")
    .replace('"SELECT ?", seat', '"SELECT ?", float(seat)')
    .replace("(seat, 7)", "[seat, 7]")
    .replace("sit(seat=4)", "sit(4)")
)
TOLD = [
    "src/entry.py:5: uuid.uuid4() is called while the module is imported; ",
    "src/entry.py:18: sit() is called with seat=; ",
    "src/entry.py:10: binding 1 is the int 4; ",
    "src/entry.py:11: the value of 'seat' is a tuple; ",
]
"""In the order in which they happen; the third and the fourth stand behind the label of an object."""


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    def make(entry: str = ENTRY, **dev: Any) -> Path:
        settings = {
            "name": "rooms",
            "main": "src/entry.py",
            "compatibility_date": "2026-11-01",
            "compatibility_flags": ["python_workers"],
            "durable_objects": {"bindings": [{"name": "ROOM", "class_name": "Room"}]},
            "migrations": [{"tag": "v1", "new_sqlite_classes": ["Room"]}],
            **({"dev": dev} if dev else {}),
        }
        (tmp_path / "wrangler.jsonc").write_text(json.dumps(settings))
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "entry.py").write_text(entry)
        return tmp_path

    return make


def told(dev: Dev) -> list[str]:
    return [line for line in dev.err if "docs/portability.md#" in line]


def test_a_project_for_the_platform_is_told_each_line_once_by_all_hosts_and_after_a_save(
    project: Callable[..., Path], start_dev: Callable[..., Dev]
) -> None:
    folder = project(hosts=2)
    dev = start_dev(folder).wait_ready()
    # Of four objects each host has some.
    for name in "abcd":
        assert dev.get(f"/{name}") == (200, "4")
    (folder / "src" / "entry.py").write_text(ENTRY + "\n# saved\n")
    dev.wait_told("reloaded")
    assert dev.get("/a") == (200, "4")
    dev.wait_told("GET /a 200", since=next(number for number, line in enumerate(dev.err) if "reloaded" in line))

    lines = told(dev)
    assert [sum(place in line for line in lines) for place in TOLD] == [1, 1, 1, 1]
    assert len(lines) == 4
    assert 'Room "' in next(line for line in lines if TOLD[2] in line)


@pytest.mark.parametrize(("entry", "settings"), [(PORTABLE, {}), (ENTRY, {"portability": "off"})])
def test_a_portable_project_and_one_that_does_not_want_it_are_told_nothing(
    project: Callable[..., Path], start_dev: Callable[..., Dev], entry: str, settings: dict[str, str]
) -> None:
    dev = start_dev(project(entry, **settings)).wait_ready()
    assert dev.get("/a") == (200, "4")
    dev.wait_told("GET /a 200")

    assert told(dev) == []


def test_a_program_that_is_not_portable_does_not_start_where_that_is_an_error(
    project: Callable[..., Path], start_dev: Callable[..., Dev]
) -> None:
    dev = start_dev(project(portability="error"))
    dev.wait_for(lambda: "PortabilityError" in dev.told, "report")

    assert "src/entry.py:5" in dev.told
    assert "RUN = uuid.uuid4()" in dev.told
    assert "docs/portability.md#import-random" in dev.told


def test_a_line_that_is_not_portable_answers_500_where_that_is_an_error(
    project: Callable[..., Path], start_dev: Callable[..., Dev]
) -> None:
    entry = PORTABLE.replace("[seat, 7]", "(seat, 7)")
    dev = start_dev(project(entry, portability="error")).wait_ready()
    status, body = dev.get("/a")

    assert status == 500
    assert "PortabilityError: the value of 'seat' is a tuple; " in body
    assert "docs/portability.md#value-tuple" in body
