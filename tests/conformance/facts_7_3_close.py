"""Who answers the close frame of a hibernatable socket: by itself from 2026-04-07 on, and before it the handler."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from durable.errors import ActorResetError
from tests.conformance.facts_7_3 import listed, masked
from tests.conformance.stage import Facts, Stage
from tests.conformance.wired import Room, Wired, close_of, journal, say_close, wired

FACTS = Facts()

AUTOMATIC, MANUAL = "2026-04-07", "2026-04-06"
"""The first compatibility date with `web_socket_auto_reply_to_close`, and the last without."""


class AnsweringRoom(Room):
    """The reason of the client's close says what its handler does."""

    async def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> None:
        self.seen = ws
        if reason == "slow":
            self.answer = asyncio.Event()
            await self.answer.wait()
        if reason == "send":
            ws.send("last words")
        if reason in ("answer", "twice", "send"):
            ws.close(4444, "mine")
        if reason == "twice":
            ws.close(4555, "never")
        if reason == "raise":
            raise ValueError("bad close")
        self.journal.append(ws.ready_state)


async def answered(room: Wired, reason: str, code: int = 4000) -> tuple[int | None, str | None]:
    """How the client sees its close answered."""
    client = await room.dial()
    say_close(client, code, reason)
    return await close_of(client)


@FACTS.driven("7.3 from 2026-04-07 a close is answered with its own code and reason when the handler has returned")
async def automatic(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date=AUTOMATIC) as room:
        assert await answered(room, "quiet") == (4000, "quiet")
        client = await room.dial()
        say_close(client, 4001, "slow")
        await room.until_run(lambda thing: hasattr(thing, "answer"), lambda found: found)
        assert client.close_code is None
        await room.run(lambda thing: thing.answer.set())
        assert await close_of(client) == (4001, "slow")
        assert room.logs == []


@FACTS.driven("7.3 a project without a date is answered as a new one is")
async def no_date(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date="") as room:
        assert await answered(room, "quiet") == (4000, "quiet")


@FACTS.driven("7.3 a handler that has answered is not answered for, and a second close does nothing")
async def own_answer(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date=AUTOMATIC) as room:
        assert await answered(room, "answer") == (4444, "mine")
        assert await answered(room, "twice") == (4444, "mine")
        assert await room.run(journal) == [3, 3]


@FACTS.driven("7.3 before 2026-04-07 a handler that answers does all that is needed")
async def manual_answer(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date=MANUAL) as room:
        assert await answered(room, "answer") == (4444, "mine")
        assert await answered(room, "twice") == (4444, "mine")
        assert await room.run(journal) == [3, 3]
        assert room.logs == []


@FACTS.driven("7.3 a close after the automatic answer is a second one")
async def late_close(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom) as room:
        assert await answered(room, "quiet") == (4000, "quiet")
        await room.run(lambda thing: thing.seen.close(4444, "late"))
        assert await room.run(lambda thing: thing.seen.ready_state) == 3


@FACTS.driven("7.3 a handler that raises is answered for all the same")
async def raising_close(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom) as room:
        assert await answered(room, "raise") == (4000, "raise")
        assert [log.text for log in room.logs] == ["ValueError: bad close"]


@FACTS.driven("7.3 a close without a code is answered with 1000: what it is reported as may not be sent")
async def forbidden(stage: Stage) -> None:
    async with wired(stage) as room:
        client = await room.dial()
        say_close(client)
        assert await close_of(client) == (1000, "")


@FACTS.driven("7.3 in the close handler what is sent before the answer is delivered")
async def last_words(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom) as room:
        reader, writer = await room.dial_plainly()
        writer.write(masked(0x8, struct.pack("!H", 4000) + b"send"))
        assert await reader.read() == b"\x81\x0alast words" + b"\x88\x06" + struct.pack("!H", 4444) + b"mine"


@FACTS.driven("7.3 before 2026-04-07 nobody answers for the handler: a warning, and 1006 when the object leaves memory")
async def manual(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date=MANUAL) as room:
        clients = [await room.dial() for _ in range(2)]
        for client in clients:
            say_close(client, 4000, "quiet")
        await room.until_run(journal, lambda found: found == [2, 2])
        assert await room.run(listed) == 0
        (log,) = room.logs  # once for a class: a busy room would fill the terminal
        assert (log.level, log.label) == ("warning", 'Thing "a"')
        assert "web_socket_close() did not" in log.text
        assert 'compatibility_date = "2026-04-07"' in log.text
        assert [client.close_code for client in clients] == [None, None]
        await room.hibernate()
        assert [await close_of(client) for client in clients] == [(1006, ""), (1006, "")]


@FACTS.driven("7.3 before 2026-04-07 the socket may be closed after the handler, while the object is in memory")
async def manual_late(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date=MANUAL) as room:
        client = await room.dial()
        say_close(client, 4000, "quiet")
        await room.until_run(journal, lambda found: found == [2])
        await room.run(lambda thing: thing.seen.close(4444, "late"))
        assert await close_of(client) == (4444, "late")
        assert await room.run(lambda thing: thing.seen.ready_state) == 3


@FACTS.driven("7.3 before 2026-04-07 a client that waits for an answer sees 1006 when the object is reset")
async def manual_reset(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date=MANUAL) as room:
        client = await room.dial()
        say_close(client, 4000, "quiet")
        await room.until_run(journal, lambda found: found == [2])
        with pytest.raises(ActorResetError):
            await room.run(lambda thing: thing.ctx.abort())
        assert (await close_of(client))[0] == 1006


@FACTS.driven("7.3 before 2026-04-07 a client that waits for an answer sees 1006 when the program is reloaded")
async def manual_reload(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom, compatibility_date=MANUAL) as room:
        client = await room.dial()
        say_close(client, 4000, "quiet")
        await room.until_run(journal, lambda found: found == [2])
        await room.stop_host()
        assert (await close_of(client))[0] == 1006
        await room.start_host()


@FACTS.driven("7.3 after the close handler the socket has neither attachment nor tags")
async def nothing_left(stage: Stage) -> None:
    async with wired(stage, AnsweringRoom) as room:
        client = await room.dial("a/tag")
        await room.run(lambda thing: thing.ctx.get_web_sockets()[0].serialize_attachment("kept"))
        say_close(client, 4000, "quiet")
        await close_of(client)
        assert await room.run(lambda thing: thing.seen.deserialize_attachment()) is None
        assert await room.run(lambda thing: thing.ctx.get_web_sockets("tag")) == []
        assert room.room.statistics().sockets == 0
