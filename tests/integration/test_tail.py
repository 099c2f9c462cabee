"""`/__durable/tail` of a running emulator: who is sent what, and what is left when a client goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from durable.gateway.events import Output, RequestServed
from durable.limits import TAILS_MAX
from durable.supervisor.events import HostRestarted
from tests.integration.running_emulator import Running, running
from tests.integration.talkative import PROGRAM, SETTINGS


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        yield run


class Reader:
    """One client that reads its lines."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.lines: list[dict[str, Any]] = []

    async def until(self, event: str, **fields: object) -> dict[str, Any]:
        """The first line from here on of this event with these fields."""
        async with asyncio.timeout(20):
            while line := await self.response.content.readline():
                self.lines.append(json.loads(line))
                found = self.lines[-1]
                if found["event"] == event and fields.items() <= found["fields"].items():
                    return found
        raise AssertionError(f"the stream ended without {event}: {self.lines}")

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


@asynccontextmanager
async def tail(emulator: Running, query: str = "", *, token: str | None = None) -> AsyncIterator[Reader]:
    headers = {"Authorization": f"Bearer {emulator.emulator.token if token is None else token}"}
    url = f"{emulator.emulator.url}/__durable/tail{query}"
    async with emulator.client.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as response:
        yield Reader(response)


def listeners(emulator: Running) -> int:
    return len(emulator.emulator._front.tails)


async def test_a_client_sees_events_as_they_happen(emulator: Running) -> None:
    async with tail(emulator) as reader:
        await reader.until("Tailing")
        assert reader.response.content_type == "application/x-ndjson"
        await emulator.get("/a/plain")
        output = await reader.until("Output")
        assert output["fields"]["text"] == "hello"
        assert output["clock"] == [0, False]
        served = await reader.until("RequestServed")
        assert (served["fields"]["status"], served["fields"]["object_name"]) == (200, "a")


@pytest.mark.parametrize("query", ["?class=ChatRoom&name=a", "?class=ROOM&name=a"])
async def test_a_client_may_want_one_object(emulator: Running, query: str) -> None:
    async with tail(emulator, query) as reader:
        await reader.until("Tailing", class_name="ChatRoom")
        for path in ("/b/plain", "/b/fail", "/x/worker", "/a/fail", "/a/plain"):
            await emulator.get(path)
        await reader.until("RequestServed", path="/a/plain")
        named = {line["fields"].get("object_name") for line in reader.lines[1:]}
        assert named == {"a"}
        assert "UserCodeFailed" in reader.events


async def test_an_object_may_be_named_by_its_id(emulator: Running) -> None:
    await emulator.get("/a/plain")
    identity = (await emulator.event(RequestServed)).object_id
    async with tail(emulator, f"?class=ChatRoom&id={identity}&verbose=1") as reader:
        await emulator.get("/b/plain")
        await emulator.get("/a/plain")
        await reader.until("RequestServed", object_id=identity)
        assert "b" not in {line["fields"].get("object_name") for line in reader.lines}


async def test_a_client_may_want_failures_only(emulator: Running) -> None:
    async with tail(emulator, "?errors=1") as reader:
        for path in ("/a/plain", "/a/fail"):
            await emulator.get(path)
        await reader.until("RequestServed", status=500)
        assert reader.events == ["Tailing", "UserCodeFailed", "RequestServed"]


async def test_reloads_and_the_death_of_hosts_do_not_end_it(emulator: Running) -> None:
    async with tail(emulator, "?verbose=1") as reader:
        await emulator.get("/a/exit")
        await emulator.event(HostRestarted)
        await reader.until("HostRestarted")
        await emulator.emulator.reload()
        await reader.until("Reloaded")
        await emulator.get("/a/plain")
        # The new host was told to tell.
        await reader.until("ObjectWoke", object_name="a")
        assert {"HostDied", "Output"} <= set(reader.events)


async def test_the_end_of_the_emulator_is_the_end_of_the_stream(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        async with tail(run) as reader:
            await reader.until("Tailing")
            stopping = asyncio.ensure_future(run.emulator.stop())
            await reader.until("Stopped")
            assert await reader.response.content.read() == b""
            await stopping


async def test_nothing_is_left_of_a_client_that_went_away(emulator: Running) -> None:
    before = emulator.emulator._on_event._on_event
    async with tail(emulator, "?verbose=1") as reader:
        await reader.until("Tailing")
        assert listeners(emulator) == 1
        assert emulator.emulator._on_event._on_event is not before
        reader.response.close()
    # No event happens: the end of the connection alone is enough.
    await emulator.until(lambda: listeners(emulator) == 0)
    assert emulator.emulator._on_event._on_event is before
    assert emulator.emulator._host_side.life._wanted == 0


async def test_a_client_that_does_not_read_is_told_how_much_it_missed(emulator: Running) -> None:
    async with tail(emulator) as reader:
        await reader.until("Tailing")
        # The client's buffer, the kernel's and the gateway's fill one after the other.
        total = 0
        while not (total >= 60_000 and emulator.emulator._front.tails._tails[0]._left_out):
            emulator.emulator._on_event(Output("stdout", "x" * 400))
            total += 1
            if total % 1000 == 0:
                await asyncio.sleep(0)
        seen = left_out = 0
        while seen + left_out < total:
            line = json.loads(await reader.response.content.readline())
            seen += line["event"] == "Output"
            left_out += line["fields"].get("Output", 0) if line["event"] == "LeftOut" else 0
        assert left_out > 0
        assert (await emulator.get("/x/worker"))[0] == 200


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?class=ChatRom", 404, "Did you mean"),
        ("?name=a", 400, "class is missing"),
        ("?class=ChatRoom&name=a&id=b", 400, "either name or id"),
        ("?class=ChatRoom&id=zz", 400, ""),
        ("?colour=red", 400, "colour"),
    ],
)
async def test_a_question_that_makes_no_sense_is_answered(
    emulator: Running, query: str, status: int, words: str
) -> None:
    async with tail(emulator, query) as reader:
        assert reader.response.status == status
        assert words in await reader.response.text()
    assert listeners(emulator) == 0


async def test_it_takes_the_token_of_the_emulator(emulator: Running) -> None:
    async with tail(emulator, token="guessed") as reader:
        assert reader.response.status == 403
    assert listeners(emulator) == 0


async def test_there_is_a_bound_on_clients(emulator: Running) -> None:
    opened = [tail(emulator) for _ in range(TAILS_MAX)]
    for each in opened:
        await (await each.__aenter__()).until("Tailing")
    async with tail(emulator) as reader:
        assert reader.response.status == 503
    for each in opened:
        await each.__aexit__(None, None, None)
