"""The import of a program under each setting: what is told, when, and what is left behind."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.actor.portability import Portability
from durable.errors import PortabilityError
from durable.host.loader import Project
from durable.host.watched_import import import_watched
from durable.sdk import portability as seam

PROGRAM = "import random\nimport threading\n\nSEED = random.random()\nthreading.Thread(target=int).start()\n"


@pytest.fixture(autouse=True)
def untouched_imports() -> Iterator[None]:
    path, finders, modules = list(sys.path), list(sys.meta_path), set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "program.py").write_text(PROGRAM)
    return Project(str(tmp_path), str(tmp_path / "program.py"))


def imported(project: Project, setting: str, *, is_for_platform: bool = False, is_first: bool = True) -> list[str]:
    """Where what was told: `program.py:4 import-random`; afterwards it is as if the host had ended."""
    told: list[str] = []
    portability = Portability(lambda once, text, label: told.append(text), setting=setting, own_file=project.own_file)
    loop = asyncio.new_event_loop()
    try:
        import_watched(
            project, portability, loop, is_for_platform=lambda: is_for_platform, is_first=is_first
        )  # fmt: skip
        assert (seam.watch is not None) is (setting != "off" and (setting != "auto" or is_for_platform))
    finally:
        portability.end()
        loop.close()
    return [f"{text.split(': ')[0]} {text.rpartition('#')[2]}" for text in told]


def test_a_warned_program_hears_what_ran_and_what_its_source_shows(project: Project) -> None:
    assert imported(project, "warn") == ["program.py:5 thread", "program.py:4 import-random"]


@pytest.mark.parametrize("is_for_platform", [True, False])
def test_auto_waits_for_what_the_program_turns_out_to_be(project: Project, is_for_platform: bool) -> None:
    everything = ["program.py:5 thread", "program.py:4 import-random"]

    assert imported(project, "auto", is_for_platform=is_for_platform) == (everything if is_for_platform else [])


def test_a_program_that_is_left_alone_hears_nothing_even_for_the_platform(project: Project) -> None:
    assert imported(project, "off", is_for_platform=True) == []


def test_of_several_hosts_only_the_first_says_what_all_of_them_read(project: Project) -> None:
    assert imported(project, "warn", is_first=False) == ["program.py:5 thread"]


@pytest.mark.parametrize("is_first", [True, False])
def test_every_host_refuses_what_is_refused_at_the_line_it_is_about(tmp_path: Path, is_first: bool) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.replace("threading.Thread", "# "))
    with pytest.raises(PortabilityError) as caught:
        imported(Project(str(tmp_path), str(file)), "error", is_first=is_first)

    assert caught.value.kind == "import-random"
    lines = [(str(entry.path), entry.lineno + 1) for entry in caught.traceback]
    assert (str(file), 4) in lines


def test_the_import_itself_is_stopped_by_what_it_starts(project: Project) -> None:
    with pytest.raises(PortabilityError) as caught:
        imported(project, "error")

    assert caught.value.kind == "thread"


@pytest.mark.parametrize("setting", ["off", "auto", "warn"])
def test_threads_are_as_they_were_when_nobody_looks_any_more(project: Project, setting: str) -> None:
    start = threading.Thread.start
    imported(project, setting)

    assert threading.Thread.start is start
