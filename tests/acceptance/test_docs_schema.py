"""The walk-through of docs/migrations.md, "Schema of objects" and "The fleet", typed as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running_dev import DURABLE, Dev
from tests.settings import settings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "migrations.md").read_text("utf-8")
WALK = "\n## ".join(
    section for section in DOCUMENT.split("\n## ") if section.startswith(("Schema of objects", "The fleet"))
)
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL)
CHANGING = re.compile(r"\d+\.\d+ (?=m?s\b)|\d+ (?=ms in all)|(?<=snapshots/)\w+|general|random")
"""What is not the same every time: durations, the time in a folder's name, which of two was slower."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(settings("ChatRoom", "CHAT_ROOM"))
    return tmp_path


def steps() -> Iterator[tuple[str, str, str]]:
    """("file", path, text) and ("type", command, output), in the order of the document."""
    for language, text in BLOCKS:
        if language in ("sql", "python"):
            if named := re.match(r"(?:--|#) (\S+\.(?:sql|py))\n", text):
                yield "file", named[1], text
            continue
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            yield "type", command, output


def typed_as_is(project: Path, command: str) -> str:
    """Both streams as a terminal shows them."""
    words = [*DURABLE, *shlex.split(command)[1:]]
    done = subprocess.run(
        words, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=50, check=False
    )
    return done.stdout.replace(f"{project}/", "")


def unchanging(text: str) -> list[str]:
    """Sorted: the two streams of a pipe are not in the order of a terminal."""
    return sorted(CHANGING.sub("…", text).splitlines())


def walk(project: Path) -> list[tuple[str, list[str], list[str]]]:
    """Every command with what the document says and what was printed."""
    found: list[tuple[str, list[str], list[str]]] = []
    waiting: list[tuple[str, str]] = []
    for kind, what, text in [*steps(), ("type", "", "")]:
        if kind == "file":
            (project / what).write_text(text)
        elif what.startswith("curl "):
            waiting.append((what, text))
        else:
            if waiting:
                found += visits(project, waiting)
                waiting = []
            if what:
                found.append((what, unchanging(text), unchanging(typed_as_is(project, what))))
    return found


def visits(project: Path, commands: list[tuple[str, str]]) -> list[tuple[str, list[str], list[str]]]:
    dev = Dev(project, "--no-reload").wait_ready()
    try:
        return [
            (command, expected.split(), [dev.get(command.partition("8787")[2])[1]]) for command, expected in commands
        ]
    finally:
        dev.end()
        dev.discard()


def test_every_command_prints_what_the_document_says(project: Path) -> None:
    seen = walk(project)

    assert len(seen) == 9
    for command, expected, printed in seen:
        assert printed == expected, command
