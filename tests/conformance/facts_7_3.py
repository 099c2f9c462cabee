"""Events of hibernatable sockets: which handler gets what."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from tests.conformance.stage import Facts, Stage
from tests.conformance.wired import Room, close_of, journal, say_close, wired

FACTS = Facts()

VANISHED = "WebSocket disconnected without sending Close frame."
CONTROL_FRAME_MAX = 125


def masked(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    """One frame of a client, masked with zeros."""
    assert len(payload) <= CONTROL_FRAME_MAX
    return bytes((first | opcode, 0x80 | len(payload))) + bytes(4) + payload


def listed(thing: Any) -> int:
    return len(thing.ctx.get_web_sockets())


# --- messages ------------------------------------------------------------------------------------------------------
@FACTS.driven("7.3 text arrives as str and binary as bytes, in the order in which it was sent")
async def kinds(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        sent: list[str | bytes] = ["text", b"bytes", "", b"", "ä\N{GRINNING FACE}", "x" * 70_000]
        for message in sent:
            await client.send(message)
        await room.until_run(journal, lambda found: found == sent)


class WaitingRoom(Room):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.gates: dict[str, asyncio.Event] = {}

    async def web_socket_message(self, ws: Any, message: Any) -> None:
        self.journal.append(f"{message} begins")
        if message.startswith("put"):
            await self.ctx.storage.put(message, 1)
        else:
            await self.gates.setdefault(message, asyncio.Event()).wait()
        self.journal.append(f"{message} ends")

    def let_go(self, message: str) -> None:
        self.gates[message].set()


@FACTS.driven("7.3 the next message is dispatched when the handler before it has returned control, not when it is done")
async def interleave(stage: Stage) -> None:
    async with wired(stage, WaitingRoom) as room:
        client = await room.dial()
        await client.send("one")
        await client.send("two")
        await room.until_run(journal, lambda found: found == ["one begins", "two begins"])
        await room.run(lambda thing: thing.let_go("two"))
        await room.until_run(journal, lambda found: found[2:] == ["two ends"])
        await room.run(lambda thing: thing.let_go("one"))
        await room.until_run(journal, lambda found: found[3:] == ["one ends"])


@FACTS.driven("7.3 at storage handlers do not interleave")
async def storage(stage: Stage) -> None:
    async with wired(stage, WaitingRoom) as room:
        client = await room.dial()
        for n in range(3):
            await client.send(f"put {n}")
        await room.until_run(journal, lambda found: len(found) == 6)
        assert await room.run(journal) == [f"put {n} {what}" for n in range(3) for what in ("begins", "ends")]


class BusyRoom(Room):
    async def web_socket_message(self, ws: Any, message: Any) -> None:
        if message == "block":
            self.opened = asyncio.Event()
            await self.ctx.block_concurrency_while(self.section)
        else:
            self.journal.append(message)

    async def section(self) -> None:
        await self.opened.wait()
        self.journal.append("opened")


@FACTS.driven("7.3 messages that come during block_concurrency_while wait for it, in order")
async def blocked(stage: Stage) -> None:
    async with wired(stage, BusyRoom) as room:
        client = await room.dial()
        for message in ("block", "one", "two"):
            await client.send(message)
        (actor,) = room.host.registry.actors
        await room.until(lambda: actor.gate.waiting == 2)
        actor.instance.opened.set()
        await room.until_run(journal, lambda found: len(found) == 3)
        assert await room.run(journal) == ["opened", "one", "two"]


class BareRoom(Room):
    web_socket_message: Any = None
    web_socket_close: Any = None
    web_socket_error: Any = None


@FACTS.driven("7.3 without a handler a message is dropped without a word, and the connection stays")
async def no_handler(stage: Stage) -> None:
    async with wired(stage, BareRoom) as room:
        client = await room.dial()
        await client.send("dropped")
        await room.until(lambda: room.room.statistics().events == 0)
        await room.run(lambda thing: thing.ctx.get_web_sockets()[0].send("still here"))
        assert await client.recv() == "still here"
        assert room.logs == []
        await client.close(4000, "done")
        assert (client.close_code, client.close_reason) == (4000, "done")
        assert room.logs == []


class DyingRoom(Room):
    async def web_socket_message(self, ws: Any, message: Any) -> None:
        if message == "die":
            ws.send("last words")
            raise ValueError("bad message")
        ws.send(message)

    async def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> None:
        raise ValueError("bad close")


@FACTS.driven("7.3 a handler that raises is logged, and its socket stays open")
async def raising(stage: Stage) -> None:
    async with wired(stage, DyingRoom) as room:
        client = await room.dial()
        await client.send("die")
        await client.send("still")
        assert [await client.recv() for _ in range(2)] == ["last words", "still"]
        (log,) = room.logs
        assert log.error is not None
        assert (log.level, log.text, log.error.method) == ("error", "ValueError: bad message", "web_socket_message")


class CamelRoom(Room):
    web_socket_message: Any = None
    web_socket_close: Any = None
    web_socket_error: Any = None

    async def webSocketMessage(self, ws: Any) -> None:
        self.journal.append("message")

    async def webSocketClose(self, ws: Any, code: int, reason: str) -> None:
        self.journal.append((code, reason))

    def webSocketError(self) -> None:
        self.journal.append("error")


@FACTS.driven("7.3 handlers may have the platform's names, and leave surplus parameters out")
async def names(stage: Stage) -> None:
    async with wired(stage, CamelRoom) as room:
        client = await room.dial()
        await client.send("message")
        await client.close(4000, "done")
        other = await room.dial()
        send_bytes(other, masked(0x3, b""))
        await room.until_run(journal, lambda found: found == ["message", (4000, "done"), "error"])


class ListeningRoom(Room):
    def fetch(self, request: Any) -> Any:
        response = super().fetch(request)
        self.ctx.get_web_sockets()[0].add_event_listener("message", lambda event: self.journal.append("listener"))
        return response


@FACTS.driven("7.3 a hibernatable socket has no events for listeners")
async def no_listeners(stage: Stage) -> None:
    async with wired(stage, ListeningRoom) as room:
        client = await room.dial()
        await client.send("message")
        await room.until_run(journal, lambda found: found == ["message"])


# --- close and error -----------------------------------------------------------------------------------------------
@FACTS.driven("7.3 a close frame with a code: its code and reason, clean, ready_state 2")
async def with_code(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        await client.close(4001, "done here")
        await room.until_run(journal, lambda found: found == [(4001, "done here", True, 2)])


@FACTS.driven("7.3 a close frame without a code: 1005 without a reason, clean, ready_state 2")
async def without_code(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        say_close(client)
        await room.until_run(journal, lambda found: found == [(1005, "", True, 2)])


@FACTS.driven("7.3 a client that vanishes: 1006 with the platform's reason, not clean, ready_state 2, and no error")
async def vanished(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        client.transport.abort()
        await room.until_run(journal, lambda found: found == [(1006, VANISHED, False, 2)])
        await room.until_run(listed, lambda found: found == 0)


def send_bytes(client: Any, data: bytes) -> None:
    """What the library would not send."""
    client.transport.write(data)


@FACTS.driven("7.3 a broken frame: web_socket_error with 1002, no web_socket_close, and the client sees 1002")
async def broken_frame(stage: Stage) -> None:
    async with wired(stage) as room:
        for name, data in (("a", masked(0x3, b"reserved opcode")), ("b", masked(0x8, struct.pack("!H", 1005)))):
            client = await room.dial(name)
            send_bytes(client, data)
            assert (await close_of(client))[0] == 1002
            ((text, ready_state),) = await room.until_run(journal, lambda found: len(found) == 1, name=name)
            assert text.startswith(
                "WebSocket protocol error; protocolError.statusCode = 1002; protocolError.description = "
            )
            assert ready_state == 2
            await room.until_run(listed, lambda found: found == 0, name=name)
            assert len(await room.run(journal, name=name)) == 1


class ByeRoom(Room):
    def web_socket_message(self, ws: Any, message: Any) -> None:
        ws.close(4002, "server out")
        self.journal.append(ws.ready_state)


@FACTS.driven("7.3 the object's own close: the handler hears of the client's answer, with ready_state 3")
async def own_close(stage: Stage) -> None:
    async with wired(stage, ByeRoom) as room:
        client = await room.dial()
        await client.send("bye")
        assert await close_of(client) == (4002, "server out")
        await room.until_run(journal, lambda found: found == [2, (4002, "server out", True, 3)])
        assert await room.run(listed) == 0
