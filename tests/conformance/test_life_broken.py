"""The facts about the life of objects find it out when what they promise is taken away."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from durable.actor import pins
from durable.actor.actor import Actor
from durable.host.constructions import Constructions
from tests.conformance import facts_8_1, facts_8_2, facts_8_3
from tests.conformance.stage import Stage, play

Breaking = Callable[[pytest.MonkeyPatch], None]


def timers_of_asyncio(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("durable.host.host.watch_timers", lambda loop: None)


def kept_instance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "_let_go", lambda actor: None)


def nothing_pins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("durable.actor.actor.is_pinned", lambda actor: False)


def windows_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pins, "_windowed", lambda actor: False)


def no_pause(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Constructions, "pausing", lambda constructions, actor_id, store: None)


def calls_unseen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("durable.host.transport.Transport.pending_calls", lambda transport: {})


BROKEN: list[tuple[ModuleType, str, Breaking]] = [
    (facts_8_1, "eviction frees the instance", kept_instance),
    (facts_8_1, "the 10 s begin when the last thing", nothing_pins),
    (facts_8_2, "a running event keeps the object", nothing_pins),
    (facts_8_2, "an accept()ed socket keeps the object", nothing_pins),
    (facts_8_2, "a pending timer, a task and wait_until", timers_of_asyncio),
    (facts_8_2, "a timer that is due waits for the input gate", timers_of_asyncio),
    (facts_8_2, "from 2026-10-01 each does so for 15 minutes", windows_for_ever),
    (facts_8_2, "a call that nobody awaits", calls_unseen),
    (facts_8_3, "an object whose construction failed rests", no_pause),
]


@pytest.mark.parametrize(("facts", "name", "breaking"), BROKEN, ids=[f"{name}" for _, name, _ in BROKEN])
async def test_a_broken_promise_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, facts: ModuleType, name: str, breaking: Breaking
) -> None:
    (fact,) = (fact for fact in facts.FACTS if fact.id[4:].startswith(name))
    breaking(monkeypatch)
    with pytest.raises(AssertionError):
        await play(fact, Stage(gateway, monkeypatch))
