"""The address of a running emulator."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from durable.errors import UserInputError
from durable.supervisor.run_file import RunFile


def test_only_its_user_can_read_it(tmp_path: Path):
    path = tmp_path / "run" / "emulator.json"

    RunFile(path).write(url="http://127.0.0.1:1", token="t", started_ms=5)

    assert json.loads(path.read_text()) == {
        "pid": os.getpid(),
        "url": "http://127.0.0.1:1",
        "token": "t",
        "started_ms": 5,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_it_replaces_a_link_and_does_not_follow_it(tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    path = tmp_path / "emulator.json"
    path.symlink_to(tmp_path / "precious")

    RunFile(path).write(url="u", token="t", started_ms=0)

    assert (tmp_path / "precious").read_text() == "mine"
    assert not path.is_symlink()


def test_removing_it_twice_is_harmless(tmp_path: Path):
    file = RunFile(tmp_path / "emulator.json")
    file.write(url="u", token="t", started_ms=0)

    file.remove()
    file.remove()

    assert not file.path.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "run").write_text("a file")

    with pytest.raises(UserInputError, match=r"run/emulator\.json cannot be written: "):
        RunFile(tmp_path / "run" / "emulator.json").write(url="u", token="t", started_ms=0)
