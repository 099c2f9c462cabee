"""The wheel holds what git holds: nothing forgotten, and nothing of a template that someone ran."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
INSTALLED_AS = {
    "emulator/durable/": "durable/",
    "cli/durable_cli/": "durable_cli/",
    "templates/": "durable_cli/_templates/",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def files_of_git() -> list[str]:
    """Tracked files and new ones that no `.gitignore` names, as they stand on disk."""
    command = ["git", "-c", f"safe.directory={REPO}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"not a git clone: {listed.stderr.strip()}")
    return [name for name in listed.stdout.split("\0") if name and (REPO / name).exists()]


def installed_name(name: str) -> str | None:
    for source, target in INSTALLED_AS.items():
        if name.startswith(source):
            return target + name.removeprefix(source)
    return None


def test_the_wheel_holds_exactly_the_packages_and_templates_that_git_holds(wheel: zipfile.ZipFile) -> None:
    expected = {installed for name in files_of_git() if (installed := installed_name(name))}

    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == expected


def test_the_wheel_installs_the_command_the_licence_and_the_type_markers(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)

    entry_points = wheel.read(f"{info}/entry_points.txt").decode()

    assert "durable = durable_cli.main:main" in entry_points
    assert wheel.read(f"{info}/licenses/LICENSE") == (REPO / "LICENSE").read_bytes()
    assert {"durable/py.typed", "durable_cli/py.typed"} <= set(names)


def test_a_template_brings_its_gitignore(wheel: zipfile.ZipFile) -> None:
    templates = {Path(name).parts[2] for name in wheel.namelist() if name.startswith("durable_cli/_templates/")}

    without = [name for name in templates if f"durable_cli/_templates/{name}/.gitignore" not in wheel.namelist()]

    assert templates
    assert not without
