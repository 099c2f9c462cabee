"""From a configuration and the state to a program."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from durable.clock import ManualClock
from durable.config import Config
from durable.errors import MigrationError
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase
from durable.supervisor.preparation import Preparation
from tests.unit.supervisor.conftest import SETTINGS

UNBOUND = SETTINGS.replace('[[durable_objects.bindings]]\nname = "ROOMS"\nclass_name = "Room"\n', "")
DELETES = '[[migrations]]\ntag = "v2"\nnew_sqlite_classes = ["Hall"]\ndeleted_classes = ["Room"]\n'


@pytest.fixture
def preparation(tmp_path: Path) -> Iterator[Preparation]:
    layout = StateLayout(tmp_path / ".durable" / "state")
    layout.ensure()
    with StateDatabase(layout.state_file) as state_db:
        yield Preparation(layout, state_db, ManualClock(), random.Random(1))


def test_new_classes_are_added_on_the_way_and_only_once(preparation: Preparation, configured: Callable[..., Config]):
    first = preparation.prepare(configured())
    assert preparation.state_db.namespaces(None) == []
    first.commit()
    first.commit()
    second = preparation.prepare(configured())
    second.commit()

    assert [namespace.class_name for namespace in first.namespaces] == ["Room"]
    assert second.namespaces == first.namespaces


def test_what_deletes_waits_for_the_developers_word_and_names_its_steps(
    preparation: Preparation, configured: Callable[..., Config]
):
    preparation.prepare(configured()).commit()

    config = configured(DELETES, settings=UNBOUND)

    with pytest.raises(MigrationError) as caught:
        preparation.prepare(config)

    assert str(caught.value) == (
        "these migrations are not applied yet:\n"
        "    v2: delete class Room with all its objects; their data moves to the folder deleted\n"
        "    v2: create class Hall"
    )
    assert caught.value.fix == "durable migrate"
    assert [row.class_name for row in preparation.state_db.namespaces(None)] == ["Room"]


def test_a_class_that_something_is_bound_to_is_not_deleted(preparation: Preparation, configured: Callable[..., Config]):
    preparation.prepare(configured()).commit()

    with pytest.raises(MigrationError) as caught:
        preparation.pending(configured(DELETES))

    lines = str(caught.value).split("\n")
    assert lines[0].endswith("durable.toml:7:14: the class Room cannot be deleted while env.ROOMS is bound to it")
    assert lines[1:] == ['    class_name = "Room"', "                 ^"]
    assert caught.value.fix == "remove this binding, or take the class out of what is deleted"


def test_the_command_to_type_names_the_environment_and_the_folder(
    preparation: Preparation, configured: Callable[..., Config]
):
    config = replace(configured(), environment="staging", root=preparation.layout.state)
    where = preparation.layout.state.parent

    assert preparation.command(config) == f"durable migrate --env staging --persist-to {where}"


def test_with_the_developers_word_it_is_done(preparation: Preparation, configured: Callable[..., Config]):
    preparation.prepare(configured()).commit()
    config = configured(DELETES, settings=UNBOUND)

    preparation.apply(config, preparation.pending(config))

    assert [namespace.class_name for namespace in preparation.program(config).namespaces] == ["Hall"]
    assert preparation.pending(config).is_empty


def test_a_class_without_code_yet_keeps_the_key_that_other_workers_were_told(
    preparation: Preparation, configured: Callable[..., Config]
):
    first = preparation.prepare(configured())
    second = preparation.prepare(configured())
    second.commit()

    assert second.namespaces == first.namespaces
    assert [row.key for row in preparation.state_db.namespaces(None)] == [first.namespaces[0].key]


def test_a_class_that_comes_back_gets_a_new_key(preparation: Preparation, configured: Callable[..., Config]):
    first = preparation.prepare(configured())
    first.commit()
    config = configured(DELETES, settings=UNBOUND)
    preparation.apply(config, preparation.pending(config))
    again = configured(DELETES + '[[migrations]]\ntag = "v3"\nnew_sqlite_classes = ["Room"]\n', settings=UNBOUND)

    room = next(each for each in preparation.prepare(again).namespaces if each.class_name == "Room")

    assert room.key != first.namespaces[0].key
