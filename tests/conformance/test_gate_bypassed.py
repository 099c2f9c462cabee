"""The facts about the output gate find it out when the gate lets through what should wait, each way out by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable.actor.actor import Actor
from durable.host.actor_runtime import ActorRuntime
from durable.host.outgoing import fetch_outside
from tests.conformance import facts_7_6_gates
from tests.conformance.facts_5_4 import FACTS, WAYS_OUT
from tests.conformance.stage import Stage, play


def reveal_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "_revealed", lambda actor: 0)


def wait_for_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "when_durable", lambda actor, epoch, then, lost=None: then())


def fetch_at_once(patch: pytest.MonkeyPatch) -> None:
    async def fetch(runtime: Any, request: Any) -> Any:
        context = runtime._host.context.copy()
        return await runtime._host.loop.create_task(fetch_outside(request, None), context=context)

    patch.setattr(ActorRuntime, "fetch", fetch)


BYPASSES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "chunks of a stream wait for the writes before them": wait_for_nothing,
    "a request to the outside leaves after the write before it": fetch_at_once,
    "a call to another object leaves after the write before it": wait_for_nothing,
    "a request to another object, and its body, leave after the write before them": wait_for_nothing,
    "the result of a call inside one host waits for the write of the object that was asked": wait_for_nothing,
}
"""What crosses no channel waits in the host; everything else is marked there and waits in the gateway."""


@pytest.mark.parametrize("name", WAYS_OUT)
async def test_a_bypassed_gate_is_found_out(gateway: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (fact,) = (fact for fact in FACTS if fact.id == name)
    BYPASSES.get(name.removeprefix("5.4 "), reveal_nothing)(monkeypatch)
    with pytest.raises(AssertionError):
        await play(fact, Stage(gateway, monkeypatch))


def say_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ActorRuntime, "say", lambda runtime, output: output())


@pytest.mark.parametrize("bypass", [wait_for_nothing, say_at_once])
async def test_a_bypassed_gate_is_found_out_at_a_socket_to_the_outside(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, bypass: Callable[[pytest.MonkeyPatch], None]
) -> None:
    (fact,) = (fact for fact in facts_7_6_gates.FACTS if fact.id.startswith("7.6 the output gate holds the opening"))
    bypass(monkeypatch)
    with pytest.raises(AssertionError):
        await play(fact, Stage(gateway, monkeypatch))


async def test_a_server_outside_that_is_read_without_a_bound_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fact,) = (fact for fact in facts_7_6_gates.FACTS if "for its object's bound" in fact.id)
    monkeypatch.setattr("durable.host.outgoing_sockets.SOCKET_EVENTS_WAITING_MAX", 10_000)
    with pytest.raises(AssertionError):
        await play(fact, Stage(gateway, monkeypatch))
