"""The wheel in an empty virtual environment, far from the sources: every command works there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev, clean_environment, rows, typed

REPO = Path(__file__).parents[2]
INSTALL_SECONDS_MAX = 240.0

pytestmark = pytest.mark.timeout(300)


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a virtual environment in which somebody has typed `pip install durable`."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=REPO)
    wheels = list(folder.glob("durable-*.whl"))
    assert len(wheels) == 1, wheels
    # Without a pip of its own, which takes as long to install as all the rest: the one at hand installs into it.
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    python = folder / "venv/bin/python"
    run(*pip(python), "install", "--quiet", "--no-input", wheels[0], cwd=folder)
    return python.parent


def pip(python: Path) -> tuple[str | Path, ...]:
    return (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")


def test_nothing_is_taken_from_the_sources(installed: Path, tmp_path: Path) -> None:
    where = "import durable, durable_cli; print(durable.__file__); print(durable_cli.__file__)"
    for file in run(installed / "python", "-c", where, cwd=tmp_path).splitlines():
        assert Path(file).is_relative_to(installed.parent), file
    run(*pip(installed / "python"), "check", cwd=tmp_path)


def test_init_dev_sql_and_migrate_work_there(installed: Path, tmp_path: Path, start_dev: Callable[..., Dev]) -> None:
    durable = [str(installed / "durable")]
    environ = clean_environment()

    listed = typed(tmp_path, "init", "--list", durable=durable, environ=environ)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["chat", "counter"]
    made = typed(tmp_path, "init", "shop", durable=durable, environ=environ)
    assert made.returncode == 0, made.stderr
    project = tmp_path / "shop"
    assert not [path for path in project.rglob("*") if path.name == "__pycache__"]

    dev = start_dev(project, durable=durable, environ=environ).wait_ready()
    assert json.loads(dev.get("/hit/home")[1]) == {"page": "home", "views": 1}
    assert json.loads(dev.get("/hit/home")[1]) == {"page": "home", "views": 2}
    assert "views of this page" in dev.get("/")[1]
    question = ("sql", "COUNTER", "site", "SELECT page, views FROM hits", "--json")
    running = rows(typed(project, *question, durable=durable, environ=environ))
    assert dev.end() == 0, dev.told
    assert "Traceback" not in dev.told

    assert rows(typed(project, *question, durable=durable, environ=environ)) == running
    assert running == [{"page": "home", "views": 2}]
    migrated = typed(project, "migrate", durable=durable, environ=environ)
    assert (migrated.returncode, migrated.stderr) == (0, "Nothing to do: v1 is applied.\n")
