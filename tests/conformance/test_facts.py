"""Plays every fact of every `facts_*.py`, and checks the table itself: no id twice, no section left out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.stage import Fact, Facts, Stage, Thing, play

SECTIONS = frozenset(
    ["3.1", "3.3", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "5.1", "5.2", "5.3", "5.4", "5.5", "6"]
    + ["7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "8.1", "8.2", "8.3", "8.4", "8.6"]
    + [f"11.{item}" for item in range(1, 29)]
)
"""The headings of what is built, and the items of the quick list that belong there."""

FILES = sorted(file.stem for file in Path(__file__).parent.glob("facts_*.py"))
TABLE: list[Fact] = [
    fact for name in FILES for fact in importlib.import_module(f"tests.conformance.{name}").FACTS
]  # fmt: skip


@pytest.mark.conformance
@pytest.mark.parametrize("fact", TABLE, ids=[fact.id for fact in TABLE])
async def test_fact(fact: Fact, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await play(fact, Stage(gateway, monkeypatch))


def test_no_fact_is_listed_twice_and_none_without_its_section() -> None:
    ids = [fact.id for fact in TABLE]

    assert [each for each in set(ids) if ids.count(each) > 1] == []
    assert [each for each in ids if each.split(" ", 1)[0] not in SECTIONS or " " not in each] == []


def test_every_section_has_facts() -> None:
    assert SECTIONS - {fact.section for fact in TABLE} == set()


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
