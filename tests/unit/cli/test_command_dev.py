from __future__ import annotations

from pathlib import Path

import pytest

from durable.config import DevSettings
from durable.errors import UserInputError
from durable_cli.commands.dev import parse_variables
from durable_cli.console import Ink
from durable_cli.dev.bindings import bindings_table
from durable_cli.project import TypedSettings, load_project, tell_warnings

PLAIN = Ink(False)


def test_variables_are_text_and_may_hold_equals_signs() -> None:
    assert parse_variables(["A=1", "B=x=y", "C="]) == {"A": "1", "B": "x=y", "C": ""}


@pytest.mark.parametrize("word", ["A", "=1", ""])
def test_a_variable_without_name_or_value_is_an_error(word: str) -> None:
    with pytest.raises(UserInputError, match="a variable is NAME=VALUE"):
        parse_variables([word])


def test_what_is_typed_replaces_what_the_file_says() -> None:
    dev = DevSettings(port=1, hosts=2)
    assert TypedSettings().over(dev) == dev
    changed = TypedSettings(ip="localhost", port=0, hosts=3).over(dev)
    assert (changed.ip, changed.port, changed.hosts) == ("127.0.0.1", 0, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (TypedSettings(ip="nowhere"), "--ip nowhere: not an IP address"),
        (TypedSettings(hosts=9999), "--hosts 9999: at most"),
    ],
)
def test_what_is_typed_has_the_files_limits(settings: TypedSettings, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        settings.over(DevSettings())


def test_the_configuration_can_be_read_again_with_the_same_words(project: Path) -> None:
    loaded = load_project(None, None, None, variables={"A": "1"}, settings=TypedSettings(port=5))
    (project / "durable.toml").write_text((project / "durable.toml").read_text() + '\n[vars]\nB = "2"\n')
    again = loaded.read_again()
    assert (again.dev.port, dict(again.vars)) == (5, {"A": "1", "B": "2"})


def test_state_lies_beside_the_configuration(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "deep").mkdir()
    monkeypatch.chdir(project / "deep")
    loaded = load_project(None, None, None)
    assert (loaded.state, loaded.run) == (project / ".durable" / "state", project / ".durable" / "run")


def test_warnings_of_the_configuration_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "durable.toml").write_text('nmae = "x"\n' + (project / "durable.toml").read_text())
    tell_warnings(load_project(None, None, None))
    assert capsys.readouterr().err.startswith("warning: durable.toml:1:1: ")


def test_the_table_shows_bindings_variables_and_no_secret(project: Path) -> None:
    text = (project / "durable.toml").read_text()
    (project / "durable.toml").write_text(text + '\n[vars]\nGREETING = "hello"\nROOMS = 3\n')
    (project / ".dev.vars").write_text("API_KEY=hunter2\n")
    table = bindings_table(load_project(None, None, None).config, PLAIN)
    assert table.splitlines() == [
        "  env.COUNTERS  Durable Object  Counter",
        '  env.GREETING  variable        "hello"',
        "  env.ROOMS     variable        3",
        "  env.API_KEY   secret          (hidden)",
    ]
    assert "hunter2" not in table


def test_a_class_of_another_worker_is_not_connected(project: Path) -> None:
    text = (project / "durable.toml").read_text()
    (project / "durable.toml").write_text(
        text.replace('class_name = "Counter"', 'class_name = "Far"\nscript_name = "other"', 1)
    )
    assert "Far of other [not started]" in bindings_table(load_project(None, None, None).config, PLAIN)


def test_a_program_without_bindings_says_so(tmp_path: Path) -> None:
    (tmp_path / "durable.toml").write_text('name = "x"\nmain = "main.py"\n')
    (tmp_path / "main.py").write_text("")
    assert bindings_table(load_project(tmp_path, None, None).config, PLAIN) == "The program has no bindings."


def test_quiet_and_verbose_exclude_each_other(typed, project: Path) -> None:
    result = typed("dev", "--quiet", "--verbose")
    assert result.code == 2
    assert "--quiet and --verbose exclude each other" in result.err
