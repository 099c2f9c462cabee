"""docs/migrations.md is true: its files are written, its commands are typed, and they print what stands below them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.running_dev import Dev, typed

DOCUMENT = (Path(__file__).parents[2] / "docs" / "migrations.md").read_text("utf-8")
WALK = DOCUMENT.split("### A walk-through\n")[1].split("\n### ")[0]
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```", WALK, re.MULTILINE | re.DOTALL)
DIFFERS = re.compile(r"[0-9a-f]{12}-\d{8}T\d{6}Z|\d+ KiB|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")
"""Keys, sizes and moments."""


class Shell:
    """What a reader has open: one folder, and perhaps an emulator in the background."""

    def __init__(self, folder: Path, start_dev: Callable[..., Dev]) -> None:
        self.folder = folder
        self.start_dev = start_dev
        self.dev: Dev

    def type(self, line: str) -> str:
        match line.split():
            case ["durable", "dev", "&"]:
                self.dev = self.start_dev(self.folder, "--no-reload").wait_ready()
                return ""
            case ["kill", "%1"]:
                assert self.dev.end() == 0
                return ""
            case ["curl", "-s", address]:
                status, text = self.dev.get("/" + address.split("/", 3)[3])
                assert status == 200, text
                return text
            case ["durable", *words]:
                done = typed(self.folder, *words)
                assert done.returncode == 0, done.stderr
                return done.stdout + done.stderr
            case _:
                raise AssertionError(f"the walk-through types something new: {line}")


def test_the_walk_through_goes_as_it_is_told(tmp_path: Path, start_dev: Callable[..., Dev]) -> None:
    shell = Shell(tmp_path, start_dev)
    assert BLOCKS
    for kind, name, text in BLOCKS:
        if kind != "console":
            (tmp_path / name).write_text(text)
            continue
        for command in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, _, told = command.partition("\n")
            assert DIFFERS.sub("*", shell.type(line)) == DIFFERS.sub("*", told), line
