"""What runs when the code is reloaded: short requests, long ones, streams; and that nobody else notices them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from durable.gateway.events import AlarmFired
from durable.supervisor.events import Reloaded
from tests.integration.running_emulator import SETTINGS, Running, running

PROGRAM = """\
import asyncio
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint

VERSION = "one"


async def count(numbers, seconds):
    for number in range(numbers):
        yield f"{number} "
        await asyncio.sleep(seconds)


class Counter(DurableObject):
    async def fetch(self, request):
        *_, numbers, seconds = urlsplit(request.url).path.split("/")
        return Response(count(int(numbers), float(seconds)))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, *words = urlsplit(request.url).path.strip("/").split("/")
        if what == "stream":
            return Response(count(int(words[0]), float(words[1])))
        if what == "object":
            return await self.env.COUNTER.get_by_name("a").fetch(request)
        if what == "sleep":
            await asyncio.sleep(float(words[0]))
        return Response(VERSION)
"""
TWO = PROGRAM.replace('"one"', '"two"')


async def save(run: Running) -> None:
    run.main.write_text(TWO)
    await run.event(Reloaded)


async def test_a_stream_of_the_worker_goes_on_to_its_end_while_the_new_code_serves(tmp_path: Path):
    async with running(tmp_path, PROGRAM) as run:
        await run.watching()
        async with run.client.get(run.emulator.url + "/stream/8/0.1") as streaming:
            assert await streaming.content.readexactly(2) == b"0 "
            await save(run)
            assert await run.get() == (200, "two")
            assert not streaming.content.at_eof()

            assert (await streaming.content.read()).decode().split() == [str(number) for number in range(1, 8)]
        # And then the old process is gone.
        await run.watching()


async def test_a_stream_that_outlasts_the_deadline_is_cut_alone_and_delays_nobody(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS + "drain_seconds = 0.3\n") as run:
        await run.watching()
        async with run.client.get(run.emulator.url + "/stream/1000/0.05") as streaming:
            assert await streaming.content.readexactly(2) == b"0 "
            await save(run)
            assert await run.get() == (200, "two")

            with pytest.raises(aiohttp.ClientPayloadError):
                await streaming.content.read()
        await run.watching()


async def test_a_stream_of_an_object_ends_with_the_file_that_it_could_write_to(tmp_path: Path):
    async with running(tmp_path, PROGRAM) as run:
        await run.watching()
        async with run.client.get(run.emulator.url + "/object/1000/0.05") as streaming:
            assert await streaming.content.readexactly(2) == b"0 "
            await save(run)

            with pytest.raises(aiohttp.ClientPayloadError):
                await streaming.content.read()
        assert await run.get() == (200, "two")
        await run.watching()


async def test_of_many_requests_only_the_long_ones_are_answered_503(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS + "drain_seconds = 0.5\n", hosts=2) as run:
        await run.watching()
        headers = {"Accept": "application/json"}
        long = [asyncio.ensure_future(run.get("/sleep/60", headers=headers)) for _ in range(3)]
        short = [asyncio.ensure_future(run.get("/sleep/0.2", headers=headers)) for _ in range(20)]
        await run.until(lambda: sum(link.in_flight for link in run.emulator.router.links if link is not None) == 23)

        await save(run)

        assert await asyncio.gather(*short) == [(200, "one")] * 20
        answers = await asyncio.gather(*long)
        assert [status for status, _ in answers] == [503] * 3
        assert {json.loads(text)["error"]["code"] for _, text in answers} == {"reloading"}
        assert await run.get() == (200, "two")


async def test_the_end_of_the_emulator_waits_for_no_stream_of_an_earlier_generation(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS + "drain_seconds = 60\n") as run:
        await run.watching()
        async with run.client.get(run.emulator.url + "/stream/100000/0.05") as streaming:
            assert await streaming.content.readexactly(2) == b"0 "
            await save(run)

            async with asyncio.timeout(10):
                await run.emulator.stop()

            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
                await streaming.content.read()


HALVES = """\
import asyncio
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint

VERSION = "one"
PAUSE = 60


class Pair(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS halves(half TEXT, version TEXT)")

    async def both(self):
        async def write():
            self.sql.exec("INSERT INTO halves VALUES ('first', ?)", VERSION)
            await asyncio.sleep(PAUSE)
            self.sql.exec("INSERT INTO halves VALUES ('second', ?)", VERSION)

        await self.ctx.storage.transaction(lambda transaction: write())

    async def alarm(self):
        await self.both()

    def halves(self):
        return [[row["half"], row["version"]] for row in self.sql.exec("SELECT * FROM halves")]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        pair = self.env.COUNTER.get_by_name("a")
        what = urlsplit(request.url).path.strip("/")
        if what == "both":
            await pair.both()
        return Response.json(await pair.halves()) if what == "halves" else Response(VERSION)
"""
"""Writes two rows in one transaction, with a pause in between that no drain waits for."""


async def test_a_transaction_that_a_reload_cuts_short_leaves_nothing_behind(tmp_path: Path):
    settings = SETTINGS.replace("Counter", "Pair") + "drain_seconds = 0.3\n"
    async with running(tmp_path, HALVES, settings) as run:
        await run.watching()
        cut = asyncio.ensure_future(run.get("/both", headers={"Accept": "application/json"}))
        await run.until(lambda: run.in_flight == 1)

        run.main.write_text(HALVES.replace('"one"', '"two"').replace("PAUSE = 60", "PAUSE = 0"))
        await run.event(Reloaded)

        assert (await cut)[0] == 503
        assert await run.get("/halves") == (200, "[]")
        assert (await run.get("/both"))[0] == 200
        assert json.loads((await run.get("/halves"))[1]) == [["first", "two"], ["second", "two"]]


async def test_an_alarm_that_a_reload_cuts_short_runs_again_by_the_new_code_and_as_a_whole(tmp_path: Path):
    settings = SETTINGS.replace("Counter", "Pair") + "drain_seconds = 0.3\n"
    rings = HALVES.replace(
        'if what == "both":', 'if what == "ring":\n            await pair.ring()\n        if what == "both":'
    )
    rings = rings.replace(
        "    async def alarm(self):\n",
        "    async def ring(self):\n        await self.ctx.storage.set_alarm(1)\n\n    async def alarm(self):\n",
    )
    async with running(tmp_path, rings, settings) as run:
        await run.watching()
        assert (await run.get("/ring"))[0] == 200
        # Its gate is shut while the transaction is open: a question that waits says that it has begun.
        await run.until(lambda: run.in_flight == 1)

        run.main.write_text(rings.replace('"one"', '"two"').replace("PAUSE = 60", "PAUSE = 0"))
        await run.event(Reloaded)
        await run.until(lambda: any(event.outcome == "done" for event in run.told(AlarmFired)))

        assert json.loads((await run.get("/halves"))[1]) == [["first", "two"], ["second", "two"]]
