"""`docs/cli.md` against the command line that it describes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from durable_cli import exit_codes
from durable_cli.main import application

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
GROUP: Any = get_command(application())
COMMANDS = GROUP.commands


def parameters(name: str) -> list[Any]:
    """Of a command, or of the commands below it."""
    below = getattr(COMMANDS[name], "commands", {})
    return [parameter for each in (below.values() or [COMMANDS[name]]) for parameter in each.params]


def section(name: str) -> str:
    return DOCUMENT.split(f"\n## `durable {name}`\n")[1].split("\n## ")[0]


def test_the_document_has_every_command_and_no_other() -> None:
    assert re.findall(r"^## `durable (\w+)`$", DOCUMENT, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_stands_there_with_the_first_sentence_of_its_help(name: str) -> None:
    first = " ".join(COMMANDS[name].help.split("\n\n")[0].split())
    assert first in section(name).replace("`", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_stands_there(name: str) -> None:
    shared = {"--config", "--env", "--persist-to", "--help"}
    common = DOCUMENT.split("\n## ")[0]
    for parameter in parameters(name):
        for option in parameter.opts:
            if option in shared - {"--help"}:
                assert f"`{option} " in common
            elif option.startswith("--") and option not in shared:
                assert f"`{option}" in section(name), option


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_stands_there_that_a_command_does_not_have(name: str) -> None:
    known = {option for parameter in parameters(name) for option in parameter.opts}
    documented = set(re.findall(r"^\| `(--[\w-]+)", section(name), re.MULTILINE))
    assert documented <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str) -> None:
    assert f"$ durable {name}" in section(name)


def test_every_exit_code_stands_there() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)} == codes


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group in COMMANDS for name in getattr(COMMANDS[group], "commands", {})]
)
def test_a_command_below_another_stands_there_with_the_first_sentence_of_its_help(group: str, name: str) -> None:
    first = " ".join(COMMANDS[group].commands[name].help.split("\n\n")[0].split())
    assert f"\n### `durable {group} {name}`\n\n{first}\n" in section(group)
