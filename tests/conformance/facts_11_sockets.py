"""Items 16 to 22 of the quick list: hibernation, auto-response, closes, the largest message, orders, tags."""

from __future__ import annotations

from typing import Any

from tests.conformance.facts_3_1 import accepted
from tests.conformance.facts_3_1_settings import answers, now, timestamp
from tests.conformance.facts_7_3 import VANISHED
from tests.conformance.facts_7_4 import attach, attachment
from tests.conformance.facts_7_5 import CountingRoom, say
from tests.conformance.stage import Facts, Stage, Thing
from tests.conformance.wired import close_of, journal, say_close, wired

FACTS = Facts()

MIB = 1024 * 1024


@FACTS.driven("11.16 idle for ten seconds, then a message: a new instance, attachment and tags kept")
async def hibernation(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        client = await room.dial("a/tag")
        await room.run(attach("ann"))
        assert await say(client, "before") == "before 1"
        await room.hibernate()
        assert await say(client, "after") == "after 1"
        assert await room.run(attachment) == "ann"
        assert await room.run(lambda thing: thing.ctx.get_tags(thing.ctx.get_web_sockets()[0])) == ["tag"]


@FACTS.driven("11.17 a ping is auto-answered while the object sleeps: no constructor, and the time is kept")
async def auto_response(stage: Stage) -> None:
    async with wired(stage, CountingRoom) as room:
        client = await room.dial()
        await room.run(answers())
        await room.hibernate()
        before = CountingRoom.constructed
        assert await say(client, "ping") == "pong"
        assert (room.in_memory, CountingRoom.constructed) == (False, before)
        at = now(room)
        room.clock.advance(1)
        assert await room.run(timestamp) == at


@FACTS.driven("11.18 a client that terminates: 1006, the platform's reason, not clean")
async def terminates(stage: Stage) -> None:
    async with wired(stage) as room:
        (await room.dial()).transport.abort()
        await room.until_run(journal, lambda found: found == [(1006, VANISHED, False, 2)])


@FACTS.driven("11.19 a client that closes without a code: 1005, no reason, clean")
async def without_code(stage: Stage) -> None:
    async with wired(stage) as room:
        say_close(await room.dial())
        await room.until_run(journal, lambda found: found == [(1005, "", True, 2)])


@FACTS.driven("11.20 a message of 32 MiB is delivered; of one byte more it is 1009 and web_socket_error")
async def largest(stage: Stage) -> None:
    def lengths(thing: Any) -> list[Any]:
        return [len(each) if isinstance(each, bytes) else each for each in thing.journal]

    async with wired(stage) as room:
        client = await room.dial()
        await client.send(bytes(32 * MIB))
        await room.until_run(lengths, lambda found: found == [32 * MIB])
        await client.send(bytes(32 * MIB + 1))
        assert await close_of(client) == (1009, "Message is too large")
        text = (
            "WebSocket protocol error; protocolError.statusCode = 1009; "
            "protocolError.description = Message is too large"
        )
        await room.until_run(lengths, lambda found: found[1:] == [(text, 2)])


@FACTS.inside("11.21 get_web_sockets lists the newest first, and by tag the oldest first")
def orders(thing: Thing) -> None:
    one, two, three, four = (accepted(thing, "t", str(n)) for n in range(4))
    assert thing.ctx.get_web_sockets() == [four, three, two, one]
    assert thing.ctx.get_web_sockets("t") == [one, two, three, four]


@FACTS.inside('11.22 the tags ["t", "t", "1"] are ["t", "1"]')
def tags(thing: Thing) -> None:
    assert thing.ctx.get_tags(accepted(thing, "t", "t", "1")) == ["t", "1"]
