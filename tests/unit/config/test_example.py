"""`durable.toml.example` at the root of the repository: loads, and leaves no key out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
from msgspec.structs import fields

from durable.config import Config, DevSettings, check_classes, keys

EXAMPLE = (Path(__file__).parents[3] / "durable.toml.example").read_text()

Load = Callable[..., Config]


def with_everything_switched_on() -> str:
    return re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE, flags=re.MULTILINE)


def exports_of_the_example() -> dict[str, Any]:
    """They exclude the migrations, so they stand in a comment."""
    return tomli.loads("\n".join(re.findall(r"^#     (.+)$", EXAMPLE, flags=re.MULTILINE)))


def test_the_exports_of_the_example_load_in_place_of_its_migrations(load_text: Load) -> None:
    block = "\n".join(re.findall(r"^#     (.+)$", EXAMPLE, flags=re.MULTILINE))
    config = load_text(f'main = "main.py"\n{block}\n')
    assert [(each.name, each.state) for each in config.exports or ()] == [
        ("ChatRoom", "created"),
        ("User", "created"),
        ("Room", "renamed"),
        ("Old", "deleted"),
        ("Log", "transferred"),
        ("Session", "expecting-transfer"),
    ]
    assert (config.migrations, config.warnings) == ((), ())


@pytest.fixture(autouse=True)
def _the_folder_of_its_assets(project: Path) -> None:
    (project / "public").mkdir()


def test_the_example_loads_without_a_warning(load_text: Load) -> None:
    config = load_text(EXAMPLE)
    assert (config.warnings, config.notices) == ((), ())
    assert check_classes(config, ["ChatRoom", "User"]) == []


def test_the_examples_environment_loads_without_a_warning(load_text: Load) -> None:
    config = load_text(EXAMPLE, environment="staging")
    assert (config.name, config.warnings) == ("chat-staging", ())


def test_the_settings_that_are_switched_off_are_right_too(load_text: Load) -> None:
    config = load_text(with_everything_switched_on())
    assert config.bindings[1].script_name == "accounts-staging"
    assert config.migrations[1].transferred_classes
    assert config.warnings == ()


def test_the_example_shows_the_defaults(load_text: Load) -> None:
    dev, usual = load_text(EXAMPLE).dev, DevSettings()
    shown = {each.name for each in fields(DevSettings) if getattr(dev, each.name) != getattr(usual, each.name)}
    assert shown == {"allowed_hosts"}  # an empty list would explain nothing


def test_the_settings_of_dev_are_the_keys_of_dev() -> None:
    assert tuple(each.name for each in fields(DevSettings)) == keys.DEV


@pytest.mark.parametrize(
    ("pick", "known"),
    [
        (lambda data: {**data, **exports_of_the_example()}, keys.TOP),
        (
            lambda data: {key: 1 for each in exports_of_the_example()["exports"].values() for key in each},
            keys.EXPORTED_CLASS,
        ),
        (lambda data: data["durable_objects"], keys.DURABLE_OBJECTS),
        (lambda data: data["durable_objects"]["bindings"][1], keys.BINDING),
        (lambda data: {**data["migrations"][0], **data["migrations"][1]}, keys.MIGRATION),
        (lambda data: data["migrations"][1]["renamed_classes"][0], keys.RENAMED_CLASS),
        (lambda data: data["migrations"][1]["transferred_classes"][0], keys.TRANSFERRED_CLASS),
        (lambda data: data["dev"], keys.DEV),
        (lambda data: data["triggers"], keys.TRIGGERS),
        (lambda data: data["services"][0], tuple(key for key in keys.SERVICE if key != "environment")),
        (lambda data: data["assets"], keys.ASSETS),
    ],
)
def test_every_key_that_is_read_stands_in_the_example(pick: Callable[[Any], Any], known: tuple[str, ...]) -> None:
    assert set(pick(tomli.loads(with_everything_switched_on()))) == set(known)
