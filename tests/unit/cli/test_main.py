from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import durable
import durable_cli.main
from durable.errors import UserCodeError


def test_the_version_is_data(typed) -> None:
    result = typed("--version")
    assert (result.code, result.out, result.err) == (0, f"durable {durable.__version__}\n", "")


def test_without_a_command_the_help_is_talk_and_the_code_is_usage(typed) -> None:
    result = typed()
    assert (result.code, result.out) == (2, "")
    assert "Usage: durable" in result.err


def test_a_misspelt_command_suggests_the_right_one(typed) -> None:
    result = typed("dve")
    assert result.code == 2
    assert result.err == "error: No such command 'dve'. Did you mean 'dev'?\n  fix: durable --help\n"


def test_an_unknown_option_points_to_the_commands_help(typed) -> None:
    result = typed("dev", "--prot", "3")
    assert result.code == 2
    assert result.err.endswith("  fix: durable dev --help\n")


@pytest.mark.parametrize("command", ["init", "dev", "migrate", "sql"])
def test_every_command_has_help(typed, command: str) -> None:
    result = typed(command, "--help")
    assert result.code == 0
    assert f"Usage: durable {command}" in result.out
    assert typed(command, "-h").out == result.out


@pytest.mark.parametrize("command", ["dev", "migrate", "sql"])
def test_every_command_takes_the_three_options(typed, command: str) -> None:
    text = typed(command, "--help").out
    assert all(option in text for option in ("--config FILE", "--env NAME", "--persist-to DIR"))


def test_on_windows_it_says_wsl_2(typed) -> None:
    result = typed("dev", platform="win32")
    assert result.code == 2
    assert "does not run on Windows" in result.err
    assert "use WSL 2" in result.err


def test_a_current_folder_that_is_gone_is_said(typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = typed("init")
    assert result.code == 2
    assert result.err == "error: the current folder no longer exists\n  fix: cd to a folder that does\n"


def test_no_configuration_is_said_and_init_suggested(typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = typed("migrate")
    assert result.code == 2
    assert "error: no configuration found: looked for durable.toml" in result.err
    assert "fix: durable init" in result.err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserCodeError("it failed"), 5, "error: it failed\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_a_command_raises_becomes_words_and_a_code(
    typed, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    def fail(template: str | None = None) -> None:
        raise error

    monkeypatch.setattr("durable_cli.console.put_data", lambda text: fail())
    result = typed("init", "--list")
    assert (result.code, result.err) == (code, text)


def test_a_bug_of_ours_shows_its_traceback_and_exits_with_1(typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("durable_cli.console.put_data", fail)
    result = typed("init", "--list")
    assert result.code == 1
    assert "Traceback" in result.err
    assert "error: bug in durable: ZeroDivisionError: division by zero" in result.err


def test_completion_knows_the_commands() -> None:
    environ = {"_DURABLE_COMPLETE": "complete_bash", "COMP_WORDS": "durable m", "COMP_CWORD": "1", "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "durable_cli"], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["migrate"]


def test_the_command_line_starts_without_anything_that_is_slow() -> None:
    code = "import sys, durable_cli.main; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    slow = {
        "rich",
        "aiohttp",
        "uvloop",
        "asyncio",
        "msgspec",
        "apsw",
        "watchfiles",
        "durable",
        "tomllib",
        "http.client",
    }
    assert loaded & slow == set()


def test_main_is_what_the_script_calls() -> None:
    assert durable_cli.main.main(["--version"]) == 0
