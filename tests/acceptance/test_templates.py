"""Each template, made into a project by `durable init`, passes its own tests as a newcomer runs them: plain pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running_dev import clean_environment, typed

TEMPLATES = sorted(path.parent.name for path in (Path(__file__).parents[2] / "templates").glob("*/durable.toml"))
SECONDS_MAX = 50.0


def test_there_is_a_template_to_begin_with_and_one_worth_showing() -> None:
    assert {"chat", "counter"} <= set(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_project_passes_its_own_tests(tmp_path: Path, template: str) -> None:
    made = typed(tmp_path, "init", "my-app", "--template", template)
    assert made.returncode == 0, made.stderr

    # Not one flag of this repository's own configuration, and no bytecode that would make the project look touched.
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path / "my-app",
        env=clean_environment() | {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert " passed" in tested.stdout
    for word in ("failed", "skipped", "warning", "deselected"):
        assert word not in tested.stdout.splitlines()[-1]
    # Tests keep their state elsewhere: the project is as it was made.
    assert not (tmp_path / "my-app" / ".durable").exists()
