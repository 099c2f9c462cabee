"""Limits of an object's life: their numbers, and what meets them. Those of storage stand in their own sections."""

from __future__ import annotations

import asyncio

import pytest

from durable import WebSocketPair, limits
from durable.errors import DurableError
from durable.wire import messages as wire
from tests.conformance.resting import accept_hibernatable, live
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


@FACTS.driven("8.6 the limits have the platform's numbers")
async def numbers(stage: Stage) -> None:
    assert limits.CRITICAL_SECTION_SECONDS == 30
    assert limits.COMMIT_SECONDS_MAX == 30
    assert limits.SQL_TURN_SECONDS_MAX == 30
    assert limits.ALARM_HANDLER_SECONDS == 15 * 60
    assert limits.SOCKETS_PER_OBJECT_MAX == 32_768
    assert limits.SOCKET_MESSAGE_BYTES_MAX == 32 * limits.MIB
    assert limits.RPC_PAYLOAD_BYTES_MAX == 32 * limits.MIB
    assert limits.SQL_DATABASE_BYTES_MAX == 10 * 1024 * limits.MIB


@FACTS.driven("8.6 a request may take as long as its client waits")
async def unlimited(stage: Stage) -> None:
    gone = asyncio.Event()
    event = stage.run(lambda thing: gone.wait())
    await stage.gateway.step_until(lambda: live(stage))
    gone.set()
    assert await event is True


@FACTS.driven("8.6 an alarm handler that takes longer than its limit has failed")
async def alarm(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.events.ALARM_HANDLER_SECONDS", 0)

    async def begin(thing: Thing) -> None:
        await thing.ctx.storage.set_alarm(1)
        stage.monkeypatch.setattr(type(thing), "alarm", lambda self, info: asyncio.Event().wait())

    await stage.run(begin)
    reply = await stage.gateway.ask(lambda number: wire.AlarmDue(number, stage.gateway.key(), 1, 0))
    assert reply.outcome == "failed"


@FACTS.driven("8.6 one socket more than an object may have is refused")
async def sockets(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.actor.state.SOCKETS_PER_OBJECT_MAX", 1)

    def one_more(thing: Thing) -> None:
        _, server = WebSocketPair()
        thing.ctx.accept_web_socket(server)

    await stage.run(accept_hibernatable)
    with pytest.raises(DurableError, match="only 1 websockets can be accepted on a single Durable Object instance"):
        await stage.run(one_more)


@FACTS.driven("8.6 a result larger than a call may carry is an error with both numbers")
async def payload(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.values.refusal.RPC_PAYLOAD_BYTES_MAX", 1000)
    with pytest.raises(Exception, match="limited to 32MiB, but the size of this value was: [0-9]{4} bytes"):
        await stage.run(lambda thing: "x" * 1001)
