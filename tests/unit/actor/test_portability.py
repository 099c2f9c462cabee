"""Differences from the platform: told once per place, within a bound, or refused."""

from __future__ import annotations

import pytest

from durable.actor import portability as module
from durable.actor.portability import KINDS, Portability
from durable.errors import PortabilityError


def test_a_place_is_told_once_for_each_kind() -> None:
    told: list[tuple[str, str, str]] = []
    portability = Portability(lambda *line: told.append(line), refuses=False)
    for _ in range(3):
        for kind in ("sql-int", "sql-bool"):
            portability.differs(kind, f"a {kind}", 'Thing "a"')

    assert [(level, label) for level, _, label in told] == [("warning", 'Thing "a"')] * 2
    assert [text.split(": ", 1)[1].split(";")[0] for _, text, _ in told] == ["a sql-int", "a sql-bool"]
    assert all(text.startswith(f"{__file__}:") for _, text, _ in told)


def test_places_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTABILITY_PLACES_MAX", 1)
    told: list[str] = []
    portability = Portability(lambda level, text, label: told.append(text), refuses=False)
    portability.differs("sql-int", "first", "")
    portability.differs("sql-int", "second", "")

    assert len(told) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_an_error_that_names_it(kind: str) -> None:
    portability = Portability(lambda *line: pytest.fail("nothing is to be logged"), refuses=True)

    with pytest.raises(PortabilityError) as caught:
        portability.differs(kind, "this", "")
    assert caught.value.kind == kind
    assert str(caught.value) == f'this; {KINDS[kind]}. This is an error because of portability = "error" in [dev]'
