"""`durable init`, and what surrounds a command line: pipes, locales, odd folders. Real processes, real templates."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

DURABLE = [sys.executable, "-m", "durable_cli"]
TEMPLATES = sorted(path.parent.name for path in (Path(__file__).parents[2] / "templates").glob("*/durable.toml"))


def typed(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DURABLE, *words],
        cwd=folder,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def test_the_list_names_every_template_with_a_sentence(tmp_path: Path) -> None:
    lines = typed(tmp_path, "init", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == TEMPLATES
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_has_its_name_and_nothing_that_was_left_behind(tmp_path: Path, template: str) -> None:
    result = typed(tmp_path, "init", "My App", "--template", template)
    assert result.returncode == 0, result.stderr
    config = tomllib.loads((tmp_path / "My App" / "durable.toml").read_text())
    assert config["name"] == "my-app"
    files = [path for path in (tmp_path / "My App").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"{{name}}" in path.read_bytes()]
    assert not [path for path in files if {"__pycache__", ".durable"} & set(path.parts)]
    assert (tmp_path / "My App" / ".gitignore").is_file()


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_can_be_migrated_at_once(tmp_path: Path, template: str) -> None:
    typed(tmp_path, "init", "app", "--template", template)
    result = typed(tmp_path / "app", "migrate")
    assert (result.returncode, result.stderr) == (0, "Applied v1.\n")


@pytest.mark.parametrize("words", [("init", "--list"), ("--help",)])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*DURABLE, *words], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"HOME": ""},
        {"TERM": "dumb", "NO_COLOR": "1"},
    ],
)
def test_odd_surroundings_are_no_obstacle(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = tmp_path / "sp ace"
    folder.mkdir()
    result = typed(folder, "init", "app", **environ)
    assert result.returncode == 0, result.stderr
    error = typed(folder, "init", "app", **environ)
    assert error.returncode == 2
    assert "nothing was written" in error.stderr


def test_a_folder_named_in_another_script_is_fine(tmp_path: Path) -> None:
    folder = tmp_path / "プロジェクト"
    folder.mkdir()
    assert typed(folder, "init").returncode == 0
    assert typed(folder, "migrate", LC_ALL="C").returncode == 0
    foreign = typed(folder, "migrate", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert foreign.returncode == 2
    assert "SQLite takes UTF-8 paths only" in foreign.stderr


def test_names_that_lead_out_of_the_templates_are_refused(tmp_path: Path) -> None:
    for name in ("../templates/chat", "chat/../counter", "/etc", "..", "chat\\"):
        result = typed(tmp_path, "init", "app", "--template", name)
        assert (result.returncode, list(tmp_path.iterdir())) == (3, [])
        assert f'no template "{name}"' in result.stderr


def test_the_installed_command_is_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("durable")
    if not script.exists():
        pytest.skip("no script beside this Python")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == typed(tmp_path, "--version").stdout
