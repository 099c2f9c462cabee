"""`send`, `close` and `ready_state`, at ends that user code holds in memory and at hibernatable ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable import Response, WebSocket, WebSocketPair
from durable.limits import SOCKET_CLOSE_ANSWER_SECONDS_MAX, SOCKET_MESSAGE_BYTES_MAX
from durable.sdk.websocket import CLOSED, CLOSING, CONNECTING, OPEN, SocketEvent
from tests.conformance.facts_7_1 import Standing, hear, journal
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import close_of, say_close, wired

FACTS = Facts()

VANISHED = "WebSocket disconnected without sending Close frame."
ANSWERED, UNANSWERED = "2026-04-07", "2026-04-06"
"""The first compatibility date with `web_socket_auto_reply_to_close`, and the last without."""
REFUSED, CUT = "2026-03-03", "2026-03-02"
"""The first compatibility date on which a long close reason is refused, and the last on which it is not."""


def accepted() -> WebSocket:
    _, server = WebSocketPair()
    server.accept()
    return server


def hibernatable(thing: Thing) -> WebSocket:
    _, server = WebSocketPair()
    thing.ctx.accept_web_socket(server)
    return server


# --- before accept -------------------------------------------------------------------------------------------------
@FACTS.inside("7.2 both ends of a fresh pair are OPEN; they have no url and no protocol")
def fresh(thing: Thing) -> None:
    assert [(ws.ready_state, ws.readyState, ws.url, ws.protocol) for ws in WebSocketPair()] == [(1, 1, None, "")] * 2  # type: ignore[attr-defined]
    assert (CONNECTING, OPEN, CLOSING, CLOSED) == (0, 1, 2, 3)
    assert (WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED) == (0, 1, 2, 3)


@FACTS.inside("7.2 send and close before accepting are refused")
def unaccepted(thing: Thing) -> None:
    ws = WebSocketPair().server
    for use in (lambda: ws.send("x"), ws.close):
        with pytest.raises(TypeError, match=r"You must call one of accept\(\) or ctx.accept_web_socket\(ws\) on this"):
            use()


# --- send ----------------------------------------------------------------------------------------------------------
@FACTS.inside("7.2 send takes str and bytes-like values of at most 32 MiB, and nothing else")
def kinds(thing: Thing) -> None:
    for ws in (accepted(), hibernatable(thing)):
        for message in ("text", b"bytes", bytearray(b"x"), memoryview(b"x"), bytes(SOCKET_MESSAGE_BYTES_MAX)):
            ws.send(message)
        for wrong in (5, None, {"a": 1}, ["a"]):
            with pytest.raises(TypeError, match=r"a WebSocket message is str or bytes, got \w+; try json.dumps"):
                ws.send(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"at most 33554432 bytes, got 33554433"):
            ws.send(bytes(SOCKET_MESSAGE_BYTES_MAX + 1))


@FACTS.inside("7.2 send after close is refused, at either kind of end")
def closed(thing: Thing) -> None:
    for ws in (accepted(), hibernatable(thing)):
        ws.close()
        assert ws.ready_state == CLOSING
        with pytest.raises(TypeError, match=r"Can't call WebSocket send\(\) after close\(\)\."):
            ws.send("x")


class Late(Standing):
    """Hears the end of its socket, and then goes on talking."""

    def listen(self, server: WebSocket) -> None:
        server.accept()
        for kind in ("close", "error"):
            server.add_event_listener(kind, self.over)

    def over(self, event: SocketEvent) -> None:
        ws = self.server
        self.journal.append((event.type, event.code, event.reason, event.was_clean, event.message, ws.ready_state))
        ws.send("nobody hears this")
        ws.close(4000, "nor this")
        ws.close(5000)
        self.journal.append(ws.ready_state)


@FACTS.driven("7.2 a client that vanishes is a close event with 1006; what is said to it is ignored")
async def vanished(stage: Stage) -> None:
    async with wired(stage, Late) as room:
        client = await room.dial()
        client.transport.abort()
        await hear(room, ("close", 1006, VANISHED, False, "", CLOSED), CLOSED)


@FACTS.driven("7.2 a client that breaks the protocol is an error event; what is said to it is ignored")
async def broken(stage: Stage) -> None:
    async with wired(stage, Late) as room:
        _, writer = await room.dial_plainly()
        writer.write(b"\x83\x80\x00\x00\x00\x00")  # opcode 3 means nothing
        await room.until_run(journal, lambda found: len(found) == 2)
        kind, *_, message, state = (await room.run(journal))[0]
        assert (kind, state) == ("error", CLOSED)
        assert message.startswith("WebSocket protocol error; protocolError.statusCode = 1002; protocolError.descr")


# --- close ---------------------------------------------------------------------------------------------------------
@FACTS.inside("7.2 close takes the codes 1000 to 4999 without 1004, 1005, 1006 and 1015")
def codes(thing: Thing) -> None:
    for code in (1000, 1001, 1003, 1007, 1014, 1016, 2999, 3000, 4999):
        accepted().close(code)
    for make in (accepted, lambda: hibernatable(thing)):
        for code in (0, 999, 1004, 1005, 1006, 1015, 5000, -1):
            with pytest.raises(ValueError, match=rf"Invalid WebSocket close code: {code}\."):
                make().close(code)


@FACTS.inside("7.2 a close reason needs a code")
def without_code(thing: Thing) -> None:
    ws = accepted()
    with pytest.raises(ValueError, match=r"If you specify a WebSocket close reason, you must also specify a code\."):
        ws.close(reason="why")
    assert ws.ready_state == OPEN
    ws.close(None, "")
    assert ws.ready_state == CLOSING


@FACTS.inside("7.2 a close reason of more than 123 bytes is refused since 2026-03-03", compatibility_date=REFUSED)
def long_reason(thing: Thing) -> None:
    for ws in (accepted(), hibernatable(thing)):
        with pytest.raises(ValueError, match=r"must not be longer than 123 bytes when UTF-8 encoded, got 124 bytes\."):
            ws.close(1000, "ä" * 62)
        ws.close(1000, "x" * 123)


class Closing(Standing):
    """Says close as the client asks, `[code, reason]`."""

    asked: tuple[Any, ...] = ()

    def listen(self, server: WebSocket) -> None:
        server.accept()
        server.add_event_listener("close", lambda event: self.journal.append((event.code, event.reason)))

        def close_twice(event: SocketEvent) -> None:
            server.close(*self.asked)
            server.close(*self.asked)

        server.add_event_listener("message", close_twice)


class LongReason(Closing):
    asked = (1000, "ä" * 62)


class NoCode(Closing):
    asked = ()


class WithCode(Closing):
    asked = (4001, "done")


@FACTS.driven("7.2 before 2026-03-03 a close reason is cut to the 123 bytes that its frame has room for")
async def cut_reason(stage: Stage) -> None:
    async with wired(stage, LongReason, compatibility_date=CUT) as room:
        client = await room.dial()
        await client.send("close")
        assert await close_of(client) == (1000, "ä" * 61)


@FACTS.driven("7.2 close without a code is an empty frame, which the other end reports as 1005")
async def no_code(stage: Stage) -> None:
    async with wired(stage, NoCode) as room:
        client = await room.dial()
        await client.send("close")
        assert await close_of(client) == (1005, "")


@FACTS.driven("7.2 a second close is ignored, whatever it says; the answer to the first one is the close event")
async def second(stage: Stage) -> None:
    async with wired(stage, WithCode) as room:
        client = await room.dial()
        await client.send("close")
        assert await close_of(client) == (4001, "done")
        await hear(room, (4001, "done"))


# --- who answers ---------------------------------------------------------------------------------------------------
@FACTS.driven(
    "7.2 since 2026-04-07 a close is answered at once: the state is CLOSED in the event, a later close ignored"
)
async def answered(stage: Stage) -> None:
    async with wired(stage, Late, compatibility_date=ANSWERED) as room:
        client = await room.dial()
        await client.close(4002, "over")
        assert (client.close_code, client.close_reason) == (4002, "over")
        await hear(room, ("close", 4002, "over", True, "", CLOSED), CLOSED)


@FACTS.driven("7.2 a close without a code is reported as 1005 and answered with 1000")
async def answered_1005(stage: Stage) -> None:
    async with wired(stage, Late) as room:
        client = await room.dial()
        say_close(client)
        assert (await close_of(client))[0] == 1000
        await hear(room, ("close", 1005, "", True, "", CLOSED), CLOSED)


class HalfOpen(Standing):
    """Says something behind its client's close, then closes."""

    def listen(self, server: WebSocket) -> None:
        server.accept({"allowHalfOpen": True})
        server.add_event_listener("close", self.over)

    async def over(self, event: SocketEvent) -> None:
        self.journal.append((event.code, event.was_clean, self.server.ready_state))
        self.server.send("behind the close")
        await asyncio.sleep(0)
        self.server.close(4004, "mine")
        self.journal.append(self.server.ready_state)


class ByDefault(HalfOpen):
    def listen(self, server: WebSocket) -> None:
        server.accept()
        server.add_event_listener("close", self.over)


async def stays_half_open(stage: Stage, actor: type[Thing], compatibility_date: str) -> None:
    async with wired(stage, actor, compatibility_date=compatibility_date) as room:
        _, writer = reader_and_writer = await room.dial_plainly()
        writer.write(b"\x88\x82\x00\x00\x00\x00" + (4003).to_bytes(2, "big"))
        said = await asyncio.wait_for(reader_and_writer[0].read(), 20)
        assert said == b"\x81\x10behind the close" + b"\x88\x06" + (4004).to_bytes(2, "big") + b"mine"
        await hear(room, (4003, True, CLOSING), CLOSED)
        await room.hibernate()


@FACTS.driven("7.2 with allow_half_open the state is CLOSING in the event; sending goes on until close() is called")
async def half_open(stage: Stage) -> None:
    await stays_half_open(stage, HalfOpen, ANSWERED)


@FACTS.driven("7.2 before 2026-04-07 every accept() allows half-open")
async def half_open_before(stage: Stage) -> None:
    await stays_half_open(stage, ByDefault, UNANSWERED)


class Forgetful(Standing):
    def listen(self, server: WebSocket) -> None:
        server.accept(allow_half_open=True)
        server.add_event_listener("close", lambda event: self.journal.append(event.code))


@FACTS.driven("7.2 a half-open end that is never closed is given up, and keeps its object in memory no longer")
async def given_up(stage: Stage) -> None:
    planned: list[Any] = []

    def call_later(seconds: float, callback: Any, *args: Any, **more: Any) -> Any:
        if seconds == SOCKET_CLOSE_ANSWER_SECONDS_MAX:
            planned.append((callback, args))
        return real(seconds, callback, *args, **more)

    async with wired(stage, Forgetful) as room:
        real = room.host.loop.call_later
        client = await room.dial()
        stage.monkeypatch.setattr(room.host.loop, "call_later", call_later)
        say_close(client, 4000)
        await hear(room, 4000)
        (actor,) = room.host.registry.actors
        assert actor.is_pinned
        stage.monkeypatch.setattr(room.host.loop, "call_later", real)
        for callback, args in planned:
            if "give_up_on" in callback.__name__:
                callback(*args)
        assert await close_of(client) == (1006, "")
        await room.hibernate()


# --- states over a life --------------------------------------------------------------------------------------------
@FACTS.driven("7.2 ready_state goes from OPEN over CLOSING to CLOSED at the end that closes, and at once at the other")
async def states(stage: Stage) -> None:
    async def both(thing: Thing) -> list[Any]:
        client, server = WebSocketPair()
        client.accept()
        server.accept()
        seen: list[Any] = []
        over = [asyncio.Event(), asyncio.Event()]
        for index, (name, ws) in enumerate((("client", client), ("server", server))):

            def close(event: Any, name: str = name, ws: Any = ws, index: int = index) -> None:
                seen.append([name, event.code, event.reason, event.was_clean, ws.ready_state])
                over[index].set()

            ws.add_event_listener("close", close)
        server.close(1000, "server closing")
        seen.append(["now", client.ready_state, server.ready_state])
        for each in over:
            await each.wait()
        return [*seen, ["then", client.ready_state, server.ready_state]]

    async with wired(stage, Standing) as room:
        assert await room.run(both) == [
            ["now", OPEN, CLOSING],
            ["client", 1000, "server closing", True, CLOSED],
            ["server", 1000, "server closing", True, CLOSED],
            ["then", CLOSED, CLOSED],
        ]


class Replying(Thing):
    """Hibernatable: says one more thing before it answers a close."""

    def fetch(self, request: Any) -> Response:
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> None:
        ws.send("one more thing")
        ws.close(code, reason)


@FACTS.driven("7.2 in web_socket_close, before the reply, send still works and is delivered")
async def before_the_reply(stage: Stage) -> None:
    async with wired(stage, Replying) as room:
        reader, writer = await room.dial_plainly()
        writer.write(b"\x88\x82\x00\x00\x00\x00" + (4003).to_bytes(2, "big"))
        said = await asyncio.wait_for(reader.read(), 20)
        assert said == b"\x81\x0eone more thing" + b"\x88\x02" + (4003).to_bytes(2, "big")
