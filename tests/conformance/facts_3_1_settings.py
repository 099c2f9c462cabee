"""What an object sets for all its hibernatable sockets: the auto-response, and the time limit of their events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from durable import WebSocketPair, WebSocketRequestResponsePair
from durable.errors import ActorResetError, DurableError
from durable.sdk.ids import id_from_name
from durable.wire import messages as wire
from tests.conformance.facts_3_1 import refused
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import Room, Wired, journal, wired
from tests.integration.conftest import KEY

FACTS = Facts()

TIMED_OUT = "Actor exceeded event execution time and was disconnected."


def answers(request: str = "ping", response: str = "pong") -> Callable[[Thing], None]:
    """A part that sets the auto-response."""
    return lambda thing: thing.ctx.set_web_socket_auto_response(WebSocketRequestResponsePair(request, response))


def request_of_pair(thing: Thing) -> str | None:
    pair = thing.ctx.get_web_socket_auto_response()
    return None if pair is None else pair.request


def timestamp(thing: Thing) -> datetime | None:
    return thing.ctx.get_web_socket_auto_response_timestamp(thing.ctx.get_web_sockets()[0])


def now(room: Wired) -> datetime:
    return datetime.fromtimestamp(room.clock.wall_ms() / 1000, UTC)


# --- auto-response -------------------------------------------------------------------------------------------------
@FACTS.driven("3.1 an auto-response is for sockets that were there and for those that come, and no handler hears of it")
async def all_sockets(stage: Stage) -> None:
    async with wired(stage) as room:
        before = await room.dial()
        await room.run(answers())
        after = await room.dial()
        for client in (before, after):
            await client.send("ping")
            assert await client.recv() == "pong"
        await after.send("last")
        await room.until_run(journal, lambda found: found == ["last"])


@FACTS.driven("3.1 only the exact text is answered: not a part, another case, or the same bytes as binary")
async def exact(stage: Stage) -> None:
    async with wired(stage) as room:
        await room.run(answers())
        client = await room.dial()
        others: list[str | bytes] = ["ping ", "Ping", "pin", "", b"ping"]
        for message in others:
            await client.send(message)
        await client.send("ping")
        assert await client.recv() == "pong"
        await room.until_run(journal, lambda found: found == others)
        assert await room.run(timestamp) == now(room)


@FACTS.driven("3.1 another object is not concerned")
async def others(stage: Stage) -> None:
    async with wired(stage) as room:
        await room.run(answers())
        client = await room.dial("b")
        await client.send("ping")
        await room.until_run(journal, lambda found: found == ["ping"], name="b")


@FACTS.driven("3.1 a new pair takes the place of the old one for all sockets, and none unsets it")
async def replaced(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        await room.run(answers())
        await room.run(answers("ping", "PONG"))
        await client.send("ping")
        assert await client.recv() == "PONG"
        await room.run(lambda thing: thing.ctx.set_web_socket_auto_response())
        await client.send("ping")
        await room.until_run(journal, lambda found: found == ["ping"])
        assert await room.run(lambda thing: thing.ctx.get_web_socket_auto_response()) is None


@FACTS.inside("3.1 get_web_socket_auto_response is the pair, or None before any and after it was unset")
def asked(thing: Thing) -> None:
    assert thing.ctx.get_web_socket_auto_response() is None
    answers()(thing)
    pair: Any = thing.ctx.get_web_socket_auto_response()
    assert (pair.request, pair.response) == ("ping", "pong")
    thing.ctx.set_web_socket_auto_response(None)
    assert thing.ctx.get_web_socket_auto_response() is None


@FACTS.inside("3.1 request and response of a pair are read, not written")
def read_only(thing: Thing) -> None:
    pair: Any = WebSocketRequestResponsePair.new("ping", "pong")
    for name in ("request", "response"):
        with pytest.raises(AttributeError):
            setattr(pair, name, "other")
    assert (pair.request, pair.response) == ("ping", "pong")


@FACTS.inside("3.1 request and response have at most 2048 UTF-8 bytes each")
def sizes(thing: Thing) -> None:
    WebSocketRequestResponsePair("ä" * 1024, "x" * 2048)
    for request, response, text in (
        ("x" * 2049, "", r"^Request cannot be larger than 2048 bytes\. A request of size 2049 was provided\.$"),
        ("", "x" * 2049, r"^Response cannot be larger than 2048 bytes\. A response of size 2049 was provided\.$"),
        ("ä" * 1025, "", "A request of size 2050 was provided"),
    ):
        refused(lambda: WebSocketRequestResponsePair(request, response), ValueError, text)  # noqa: B023


@FACTS.inside("3.1 what is no pair is a TypeError, and the pair before it stays")
def no_pair(thing: Thing) -> None:
    answers()(thing)
    text: Any = ("ping", "pong")
    refused(
        lambda: thing.ctx.set_web_socket_auto_response(text),
        TypeError,
        "takes a WebSocketRequestResponsePair, got tuple",
    )
    assert thing.ctx.get_web_socket_auto_response() is not None


@FACTS.driven("3.1 the timestamp is that of the socket's last auto-response, and None before the first")
async def timestamps(stage: Stage) -> None:
    def both(thing: Thing) -> list[Any]:
        sockets = [thing.ctx.get_web_sockets(tag)[0] for tag in ("one", "two")]
        return [thing.ctx.get_web_socket_auto_response_timestamp(socket) for socket in sockets]

    async with wired(stage) as room:
        await room.run(answers())
        one, _ = await room.dial("a/one"), await room.dial("a/two")
        assert await room.run(both) == [None, None]
        for _ in range(2):
            room.clock.advance(5)
            await one.send("ping")
            assert await one.recv() == "pong"
            assert await room.run(both) == [now(room), None]


@FACTS.inside("3.1 sockets that have none have no timestamp, and what is no socket is a TypeError")
def no_timestamp(thing: Thing) -> None:
    _, server = WebSocketPair()
    nothing: Any = "ws"
    assert thing.ctx.get_web_socket_auto_response_timestamp(server) is None
    refused(lambda: thing.ctx.get_web_socket_auto_response_timestamp(nothing), TypeError, "takes a WebSocket, got str")


@FACTS.driven("3.1 an auto-response wakes nobody, and pair and timestamp survive hibernation")
async def wakes_nobody(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        await room.run(answers())
        await room.hibernate()
        await client.send("ping")
        assert await client.recv() == "pong"
        at = now(room)
        assert not room.in_memory
        room.clock.advance(60)
        assert await room.run(timestamp) == at
        assert await room.run(request_of_pair) == "ping"


@FACTS.driven("3.1 pair and timestamp outlive the process")
async def outlive(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        await room.run(answers())
        await room.stop_host()
        await client.send("ping")
        assert await client.recv() == "pong"
        await room.start_host()
        assert await room.run(timestamp) == now(room)


@FACTS.driven("3.1 a reset loses the pair")
async def reset(stage: Stage) -> None:
    async with wired(stage) as room:
        await room.run(answers())
        with pytest.raises(ActorResetError):
            await room.run(lambda thing: thing.ctx.abort())
        assert await room.run(lambda thing: thing.ctx.get_web_socket_auto_response()) is None
        client = await room.dial()
        await client.send("ping")
        await room.until_run(journal, lambda found: found == ["ping"])


@FACTS.driven("3.1 a pair that was set in a turn that is lost answers nothing")
async def lost_turn(stage: Stage) -> None:
    def event(thing: Thing) -> None:
        answers()(thing)
        thing.ctx.abort()

    with pytest.raises(ActorResetError):
        await stage.run(event)
    assert [each for each in stage.gateway.of(wire.SetAutoResponse) if each.request is not None] == []


@FACTS.driven("3.1 a pair that is set again, as constructors do, is told once; another one is told again")
async def told_once(stage: Stage) -> None:
    for part in (answers(), answers(), answers("ping", "PONG"), answers("ping", "PONG"), answers()):
        await stage.run(part)
    told = [(each.request, each.response) for each in stage.gateway.of(wire.SetAutoResponse)]
    assert told == [("ping", "pong"), ("ping", "PONG"), ("ping", "pong")]


@FACTS.driven("3.1 a pair without sockets ends when its object leaves memory: nothing is kept for it")
async def bounded(stage: Stage) -> None:
    async with wired(stage) as room:
        for name in ("a", "b"):
            await room.run(answers(), name=name)
        client = await room.dial("a")
        assert room.room.statistics().auto_responses == 2
        await room.hibernate()
        await room.until(lambda: room.room.statistics().auto_responses == 1)
        await client.send("ping")
        assert await client.recv() == "pong"
        for name, kept in (("a", True), ("b", False)):
            assert (room.host.sockets.auto_response(id_from_name(KEY, name)) is not None) == kept


# --- event timeout -------------------------------------------------------------------------------------------------
@FACTS.inside("3.1 the event timeout is None until it is set; 0 and None unset it")
def set_and_unset(thing: Thing) -> None:
    ctx = thing.ctx
    assert ctx.get_hibernatable_web_socket_event_timeout() is None
    for unset in (0, None):
        ctx.set_hibernatable_web_socket_event_timeout(1500)
        assert ctx.get_hibernatable_web_socket_event_timeout() == 1500
        ctx.set_hibernatable_web_socket_event_timeout(unset)
        assert ctx.get_hibernatable_web_socket_event_timeout() is None


@FACTS.inside("3.1 an event timeout is at most seven days")
def seven_days(thing: Thing) -> None:
    ctx = thing.ctx
    ctx.set_hibernatable_web_socket_event_timeout(604_800_000)
    refused(
        lambda: ctx.set_hibernatable_web_socket_event_timeout(604_800_001),
        DurableError,
        r"^Event timeout should not exceed 604800000 ms\.$",
    )
    assert ctx.get_hibernatable_web_socket_event_timeout() == 604_800_000


@FACTS.inside("3.1 an event timeout is a number of milliseconds and not negative")
def no_number(thing: Thing) -> None:
    ctx = thing.ctx
    for value, error, text in (
        ("5", TypeError, "a number of milliseconds, got str"),
        (True, TypeError, "a number of milliseconds, got bool"),
        (-1, ValueError, "is not negative, got -1 ms"),
        (float("nan"), DurableError, "should not exceed"),
    ):
        wrong: Any = value
        refused(lambda: ctx.set_hibernatable_web_socket_event_timeout(wrong), error, text)  # noqa: B023
    assert ctx.get_hibernatable_web_socket_event_timeout() is None


class HangingRoom(Room):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.begun: list[Any] = []

    async def web_socket_message(self, ws: Any, message: Any) -> None:
        self.begun.append(message)
        try:
            if message != "quick":
                await asyncio.Event().wait()
        finally:
            self.journal.append(message)

    async def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> None:
        self.journal.append(code)
        await asyncio.Event().wait()


def limited(thing: Thing) -> None:
    thing.ctx.set_hibernatable_web_socket_event_timeout(1)


@FACTS.driven("3.1 a handler that runs for longer fails with the platform's text; object and socket go on")
async def enforced(stage: Stage) -> None:
    async with wired(stage, HangingRoom) as room:
        await room.run(limited)
        client = await room.dial()
        await client.send("hang")
        await room.until(lambda: room.logs)
        assert [(log.level, log.text) for log in room.logs] == [("error", f"ActorError: {TIMED_OUT}")]
        await client.send("quick")
        await room.until_run(journal, lambda found: found == ["hang", "quick"])
        assert len(room.logs) == 1


@FACTS.driven("3.1 a close handler that runs for longer ends too, and its socket with it")
async def enforced_on_close(stage: Stage) -> None:
    async with wired(stage, HangingRoom) as room:
        await room.run(limited)
        client = await room.dial()
        await client.close(4000, "done")
        assert (client.close_code, client.close_reason) == (4000, "done")
        assert await room.run(lambda thing: thing.ctx.get_web_sockets()) == []
        assert [log.text for log in room.logs] == [f"ActorError: {TIMED_OUT}"]


@FACTS.driven("3.1 what began without a timeout has none, and calls are never limited")
async def unlimited(stage: Stage) -> None:
    async with wired(stage, HangingRoom) as room:
        client = await room.dial()
        await client.send("quick")
        await client.send("hang")
        await room.until_run(lambda thing: thing.begun, lambda found: found == ["quick", "hang"])
        await room.run(limited)
        await room.run(lambda thing: asyncio.sleep(0.002))
        assert room.logs == []
        assert await room.run(journal) == ["quick"]


@FACTS.driven("3.1 the event timeout survives hibernation and the process, and is lost on reset")
async def survives(stage: Stage) -> None:
    def limit(thing: Thing) -> int | None:
        return thing.ctx.get_hibernatable_web_socket_event_timeout()

    async with wired(stage) as room:
        _ = await room.dial()
        await room.run(limited)
        await room.hibernate()
        assert await room.run(limit) == 1
        await room.stop_host()
        await room.start_host()
        assert await room.run(limit) == 1
        assert await room.run(lambda thing: thing.ctx.get_web_socket_auto_response()) is None
        with pytest.raises(ActorResetError):
            await room.run(lambda thing: thing.ctx.abort())
        assert await room.run(limit) is None
