"""Who is turned away from an actor that has too much to do, and who never is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable.actor.events import CallEvent
from durable.wire import messages as wire
from tests.integration.test_actor_sockets import connect

PROGRAM = """
import asyncio
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.log = []
        self.go = asyncio.Event()

    async def shut(self):
        await self.ctx.block_concurrency_while(self.go.wait)

    async def section(self, number):
        async def alone():
            await self.go.wait()
            self.log.append(number)
        await self.ctx.block_concurrency_while(alone)

    async def wait(self, number):
        await self.go.wait()
        self.log.append(number)

    def record(self, number):
        self.log.append(number)

    def open(self):
        self.go.set()

    def look(self):
        return self.log

    def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws, message):
        self.log.append(message)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.THINGS.get_by_name("a").fetch(request)
"""


def flags(reply: Any) -> list[str]:
    return reply.error.flags if isinstance(reply, wire.Failed) else []


async def test_a_request_to_a_full_mailbox_is_turned_away_in_a_few_words(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable.actor.actor.MAILBOX_EVENTS_MAX", 2)
    await gateway.start(PROGRAM)
    shut = gateway.send_call("shut")
    first = [gateway.send_call("record", number) for number in range(2)]
    await gateway.settled()

    refused = await gateway.send_call("record", 2)

    assert (refused.status, flags(refused), refused.error.frames) == (
        503, ["overloaded"], [],
    )  # fmt: skip
    assert not shut.done()
    await opened(gateway)
    assert [flags(reply) for reply in [await shut, *[await one for one in first]]] == [[], [], []]
    assert await gateway.call("look") == [0, 1]


async def opened(gateway: Any) -> None:
    """End the critical section: from outside, as the actor itself takes nothing."""
    gateway.host.registry.live(gateway.key().id).instance.go.set()


async def test_nobody_is_overtaken_who_was_let_in_and_then_found_the_gate_shut(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("look")
    actor = gateway.host.registry.live(gateway.key().id)

    def deliver(number: int) -> None:
        actor.deliver(CallEvent("section", (number,), {}, lambda *_: None))

    # The first shuts the gate in its first step. That is taken before the second's, and the third comes in between.
    deliver(0)
    gateway.host.loop.call_soon(deliver, 2)
    deliver(1)
    await gateway.settled()
    deliver(3)
    await opened(gateway)

    async with asyncio.timeout(20):
        while len(await gateway.call("look")) < 4:
            pass
    assert await gateway.call("look") == [0, 1, 2, 3]


async def test_events_that_wait_for_something_themselves_are_bounded_as_well(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable.actor.actor.RUNNING_EVENTS_MAX", 3)
    await gateway.start(PROGRAM)
    waiting = [gateway.send_call("wait", number) for number in range(5)]
    await gateway.settled()

    await opened(gateway)

    assert [flags(await one) for one in waiting] == [[], [], [], ["overloaded"], ["overloaded"]]
    assert await gateway.call("look") == [0, 1, 2]


async def test_messages_of_web_sockets_are_never_turned_away(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    monkeypatch.setattr("durable.actor.actor.MAILBOX_EVENTS_MAX", 2)
    monkeypatch.setattr("durable.actor.actor.RUNNING_EVENTS_MAX", 2)
    shut = gateway.send_call("shut")
    for number in range(20):
        gateway.send(wire.SocketMessage(number + 1, socket, str(number), None))
    assert flags(await gateway.send_call("record", "late")) == ["overloaded"]

    await opened(gateway)
    await shut

    await gateway.until(lambda: len([event for done in gateway.of(wire.Done) for event in done.events]) == 20)
    assert await gateway.call("look") == [str(number) for number in range(20)]
