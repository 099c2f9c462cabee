"""Plays every fact of every `facts_*.py`, and checks the table itself: no id twice, no section left out."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.platforms import CLOUDFLARE, PLATFORMS, PYTHON, Platform, forget
from tests.conformance.stage import Fact, Facts, Stage, Thing, play

TWICE = frozenset(
    [f"1.{number}" for number in range(1, 9)]
    + [f"2.{number}" for number in range(1, 6)]
    + ["10.1", "10.2", "10.3", "10.4", "11.25", "11.26", "11.29", "11.30"]
)
"""What a program meets whose author comes from Cloudflare: its facts are played through `workers` and `durable`."""

SECTIONS = TWICE | frozenset(
    ["3.1", "3.3", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "5.1", "5.2", "5.3", "5.4", "5.5", "6"]
    + ["7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "8.1", "8.2", "8.3", "8.4", "8.6"]
    + [f"11.{item}" for item in range(1, 31)]
)
"""The headings of what is built, and the items of the quick list that belong there."""

EXACT_TYPES = frozenset(
    [
        "4.2 values keep their Python types",
        "4.5 BLOB comes back with its Python type",
        "4.5 binding: a bytearray is a BLOB (here; a TypeError on the platform)",
        "4.5 binding: a memoryview is a BLOB",
        "4.5 binding: bytes are a BLOB",
        "5.3 a failure: a held stub stays broken with that error, and a fresh one finds a fresh object",
        "5.3 a failure: events in flight and in the queue get its error, with type, message and reset flag",
        "5.3 a failure: the code behind the await never runs, nor does its except",
        "8.3 a constructor that raises fails its event with that error and durable_object_reset",
    ]
)
"""Facts that ask for one type and no other: in a program that imports `workers`, bytes and errors are of subclasses."""

FILES = sorted(file.stem for file in Path(__file__).parent.glob("facts_*.py"))
TABLE: list[Fact] = [
    fact for name in FILES for fact in importlib.import_module(f"tests.conformance.{name}").FACTS
]  # fmt: skip


PLAYED_ONCE = [fact for fact in TABLE if fact.section not in TWICE and fact.id not in EXACT_TYPES]


@pytest.mark.conformance
@pytest.mark.parametrize("fact", TABLE, ids=[fact.label for fact in TABLE])
async def test_fact(fact: Fact, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await play(fact, Stage(gateway, monkeypatch))


@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("fact", PLAYED_ONCE, ids=[fact.label for fact in PLAYED_ONCE])
async def test_fact_in_a_program_that_imports_workers(
    fact: Fact, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await play(fact, Stage(gateway, monkeypatch), through=CLOUDFLARE)


def test_facts_about_exact_types_exist() -> None:
    assert EXACT_TYPES - {fact.id for fact in TABLE} == set()


def test_no_fact_is_listed_twice_and_none_without_its_section() -> None:
    ids = [fact.label for fact in TABLE]

    assert [each for each in set(ids) if ids.count(each) > 1] == []
    assert [each for each in ids if each.split(" ", 1)[0] not in SECTIONS or " " not in each] == []


def test_every_section_has_facts() -> None:
    assert SECTIONS - {fact.section for fact in TABLE} == set()


def test_sections_about_the_api_have_facts_through_workers_and_through_durable() -> None:
    for platform in PLATFORMS:
        assert TWICE - {fact.section for fact in TABLE if fact.platform is platform} == set()


@pytest.mark.parametrize("inside", [True, False])
async def test_a_fact_that_is_not_true_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    facts = Facts()

    @facts.inside("4.2 a missing key has a value")
    async def missing(thing: Thing) -> None:
        assert await thing.ctx.storage.get("missing") is not None

    @facts.driven("4.2 a missing key has a value")
    async def driven(stage: Stage) -> None:
        await stage.run(missing)

    fact = next(fact for fact in facts if fact.inside is inside)
    with pytest.raises(AssertionError, match="is not None"):
        await play(fact, Stage(gateway, monkeypatch))


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
@pytest.mark.parametrize("inside", [True, False])
async def test_a_fact_that_is_true_of_one_platform_only_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, platform: Platform, inside: bool
) -> None:
    facts = Facts()

    @facts.both("1.1 the program imports what the other one does not")
    async def other(thing: Thing, imported: Platform) -> None:
        assert isinstance(thing, imported.DurableObject)
        assert imported is not platform
        assert ("workers" in sys.modules) is (platform is PYTHON)

    @facts.both_driven("1.1 the program imports what the other one does not")
    async def driven(stage: Stage, imported: Platform) -> None:
        await stage.run(lambda thing: other(thing, imported))

    one, two = sorted((fact for fact in facts if fact.inside is inside), key=lambda fact: fact.platform is platform)
    await play(one, Stage(gateway, monkeypatch))
    await gateway.stop()
    forget()
    gateway.messages.clear()
    with pytest.raises(AssertionError, match="is not"):
        await play(two, Stage(gateway, monkeypatch))


async def test_a_program_can_say_its_own_classes(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts()

    @facts.both("1.2 a class of the program's own", program=PROGRAM)
    async def own(thing: Any, platform: Platform) -> None:
        assert thing.own_word() == platform.name

    fact = next(fact for fact in facts if fact.platform is PYTHON)
    await play(fact, Stage(gateway, monkeypatch))


PROGRAM = """
class Thing(_Base, platform.DurableObject):
    def own_word(self):
        return platform.name
"""
