from __future__ import annotations

import os
from pathlib import Path

import pytest

from durable.errors import UserInputError
from durable_cli.interpreter import choose_interpreter


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_environment_beside_the_configuration_runs_the_program(tmp_path: Path) -> None:
    python = program(tmp_path / ".venv" / "bin" / "python")
    found = choose_interpreter(None, tmp_path, own="/own/python")
    assert (found.path, found.reason) == (str(python), ".venv beside the configuration")


def test_a_link_to_the_systems_python_stays_a_link(tmp_path: Path) -> None:
    system = program(tmp_path / "usr" / "python3")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(system)
    assert choose_interpreter(None, tmp_path).path == str(python)


def test_without_an_environment_our_own_python_runs_it(tmp_path: Path) -> None:
    assert choose_interpreter(None, tmp_path, own="/own/python").path == "/own/python"


def test_a_broken_environment_is_named_with_the_command_that_mends_it(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(tmp_path / "gone")
    with pytest.raises(UserInputError, match=r"has no bin/python that can run") as caught:
        choose_interpreter(None, tmp_path)
    assert f"python3 -m venv --clear {tmp_path / '.venv'}" in caught.value.fix


def test_the_typed_python_wins(tmp_path: Path) -> None:
    program(tmp_path / ".venv" / "bin" / "python")
    other = program(tmp_path / "other" / "python")
    found = choose_interpreter(str(other), tmp_path)
    assert (found.path, found.reason) == (str(other), "--python")


def test_a_typed_folder_means_the_environment_in_it(tmp_path: Path) -> None:
    python = program(tmp_path / "env" / "bin" / "python")
    assert choose_interpreter(str(tmp_path / "env"), tmp_path).path == str(python)


def test_a_typed_command_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = program(tmp_path / "bin" / "python9.9")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert choose_interpreter("python9.9", tmp_path).path == str(python)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("nopython", r"--python nopython: no such file, and no such command on the PATH"),
        ("/nowhere/python", r"--python /nowhere/python: /nowhere/python is not a program that can run"),
    ],
)
def test_a_typed_python_that_is_not_there_is_an_error(tmp_path: Path, wanted: str, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        choose_interpreter(wanted, tmp_path)


def test_a_file_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("x")
    os.chmod(file, 0o644)
    with pytest.raises(UserInputError, match="is not a program that can run"):
        choose_interpreter(str(file), tmp_path)
