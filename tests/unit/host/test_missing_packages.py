"""What is said when a dependency of pyproject.toml is not installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from durable.host import missing_packages
from durable.host.missing_packages import explain_missing


def failed_import(module: str) -> ModuleNotFoundError:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(module)
    return caught.value


def notes_of(module: str, root: Path, dependencies: str) -> list[str]:
    (root / "pyproject.toml").write_text(f'[project]\nname = "x"\ndependencies = {dependencies}\n')
    error = failed_import(module)
    explain_missing(error, root)
    return getattr(error, "__notes__", [])


@pytest.fixture(autouse=True)
def _pip_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing_packages, "_is_there", lambda module: module == "pip")


def test_the_package_and_the_command_are_named(tmp_path: Path) -> None:
    assert notes_of("no_such_pack.part", tmp_path, '["No.Such_Pack>=1.2", "pytest"]') == [
        f"no-such-pack is among the dependencies in pyproject.toml, and not installed for {sys.executable}. "
        f"Type: {sys.executable} -m pip install 'No.Such_Pack>=1.2'"
    ]


def test_a_package_whose_module_is_called_otherwise_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(missing_packages.DISTRIBUTIONS, "no_such_module", "other-name")
    (note,) = notes_of("no_such_module", tmp_path, '["other-name"]')
    assert note.startswith("other-name is among the dependencies")


def test_other_missing_dependencies_are_a_guess_that_is_told_as_one(tmp_path: Path) -> None:
    (note,) = notes_of("no_such_module", tmp_path, '["unheard-of", "never-seen[x]==1"]')
    assert note == (
        f"no_such_module is not installed for {sys.executable}, and of the dependencies in pyproject.toml neither are "
        f"unheard-of, never-seen. Type: {sys.executable} -m pip install unheard-of 'never-seen[x]==1'"
    )


def test_a_project_of_uv_is_synchronized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uv.lock").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    (note,) = notes_of("no_such_pack", tmp_path, '["no-such-pack"]')
    assert note.endswith("Type: uv sync")


def test_an_environment_without_pip_is_for_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing_packages, "_is_there", lambda _module: False)
    monkeypatch.setattr("shutil.which", lambda _name: "/bin/uv")
    (note,) = notes_of("no_such_pack", tmp_path, '["no-such-pack"]')
    assert note.endswith(f"Type: uv pip install --python {sys.executable} no-such-pack")


@pytest.mark.parametrize(
    "dependencies", ["[]", '["pytest"]', "3", "[3]", "[\"unheard-of; sys_platform == 'emscripten'\"]"]
)
def test_nothing_is_said_when_no_dependency_is_missing(dependencies: str, tmp_path: Path) -> None:
    assert notes_of("no_such_module", tmp_path, dependencies) == []


def test_nothing_is_said_about_a_missing_part_of_what_is_installed(tmp_path: Path) -> None:
    assert notes_of("pytest.no_such_part", tmp_path, '["unheard-of"]') == []


def test_other_errors_and_projects_without_the_file_are_left_alone(tmp_path: Path) -> None:
    error = ImportError("cannot import name 'x'", name="x")
    explain_missing(error, tmp_path)
    missing = failed_import("no_such_module")
    explain_missing(missing, tmp_path)
    (tmp_path / "pyproject.toml").write_text("not toml")
    explain_missing(missing, tmp_path)
    assert not hasattr(error, "__notes__")
    assert not hasattr(missing, "__notes__")
