"""More requests to one object than it can take: a bounded queue, a quick answer to the rest, and peace for others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop

from durable.limits import KIB, MAILBOX_EVENTS_MAX
from tests.acceptance.running_dev import Dev
from tests.integration.raw_http import Answer, RawClient, connected
from tests.integration.running_emulator import SETTINGS

PROGRAM = """
import asyncio
import itertools

from durable import DurableObject, Response, WorkerEntrypoint

tickets = itertools.count()

class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.served = []
        self.open = False
        self.asked = 0

    async def work(self, ticket):
        # A handler of 100 ms that nobody else may interrupt, as often as the test needs it to be.
        async def alone():
            while not self.served and not await self.env.COUNTER.get_by_name("flag").is_open():
                await asyncio.sleep(0.1)
            self.served.append(ticket)
        await self.ctx.block_concurrency_while(alone)

    def is_open(self):
        self.asked += 1
        return self.open

    def times_asked(self):
        return self.asked

    def set_open(self):
        self.open = True

    def in_order(self):
        return [len(self.served), self.served == sorted(self.served)]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, _, name = request.url.partition("//")[2].partition("/")[2].partition("/")
        stub = self.env.COUNTER.get_by_name(name)
        if what == "toil":
            await stub.work(next(tickets))
        elif what == "open":
            await stub.set_open()
        elif what == "asked":
            return Response.json(await stub.times_asked())
        elif what == "order":
            return Response.json(await stub.in_order())
        return Response(what)
"""
WITHOUT_BOUND = "import durable.actor.actor\ndurable.actor.actor.MAILBOX_EVENTS_MAX = 1_000_000\n"


def request(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n"


@dataclass
class Flood:
    """What became of it."""

    refused: list[Answer]
    served: int
    others: list[int]
    in_order: bool
    grown_bytes: int


async def flood(dev: Dev, size: int, *, expected_refusals: int) -> Flood:
    port = urlsplit(dev.url).port or 0
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connected(port)) for _ in range(size)]
        other = await stack.enter_async_context(connected(port))
        await other.ask(request("/order/other"))
        before = resident_bytes(dev)
        answers: asyncio.Queue[Answer] = asyncio.Queue()

        async def ask(client: RawClient) -> None:
            answers.put_nowait(await client.ask(request("/toil/a")))

        asking = [asyncio.ensure_future(ask(crowd[0]))]
        # What arrives together before the section is begun is begun as well, and waits inside: no queue is full then.
        while (await other.ask(request("/asked/flag"))).body == b"0":
            await asyncio.sleep(0)
        asking += [asyncio.ensure_future(ask(client)) for client in crowd[1:]]
        # The object stands still all the while: whoever is answered now is turned away or asks somebody else.
        while answers.qsize() < expected_refusals:
            for each in asking:
                if each.done():
                    each.result()
            assert (await other.ask(request("/order/other"))).status == 200
        others = [(await other.ask(request(f"/order/other{number}"))).status for number in range(20)]
        refused = [answers.get_nowait() for _ in range(answers.qsize())]
        grown = resident_bytes(dev) - before
        await other.ask(request("/open/flag"))
        await asyncio.gather(*asking)
        served = [answers.get_nowait() for _ in range(answers.qsize())]
        order = await other.ask(request("/order/a"))
        count, in_order = json.loads(order.body)
        refused += [answer for answer in served if answer.status == 503]
        assert count == len([answer for answer in served if answer.status == 200])
        return Flood(refused, count, others, in_order, grown)


def resident_bytes(dev: Dev) -> int:
    """Memory of the command and all its processes, shared pages counted once for each."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in dev.processes()]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def serving(folder: Path, program: str = PROGRAM) -> Iterator[Dev]:
    (folder / "main.py").write_text(program)
    (folder / "durable.toml").write_text(SETTINGS)
    dev = Dev(folder, "--no-reload")
    try:
        yield dev.wait_ready()
        assert dev.end() == 0
    finally:
        dev.discard()


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@pytest.mark.parametrize("size", [1_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_flood_of_requests_to_a_busy_object_is_bounded_and_others_go_on(tmp_path: Path, size: int) -> None:
    accepted = 1 + MAILBOX_EVENTS_MAX
    with serving(tmp_path) as dev:
        found: Flood = run(flood(dev, size, expected_refusals=size - accepted))

    assert (found.served, len(found.refused)) == (accepted, size - accepted)
    assert {answer.status for answer in found.refused} == {503}
    assert {answer.headers.get("retry-after") for answer in found.refused} == {"1"}
    assert {json.loads(answer.body)["error"]["code"] for answer in found.refused} == {"overloaded"}
    assert found.in_order
    assert found.others == [200] * 20
    # A client, its request here and there, and a task for it: about seven KiB, whatever becomes of it.
    assert found.grown_bytes < size * 20 * KIB
    # A line now and then, and none of them an error of the program.
    lines = [line for line in dev.err if "is overloaded" in line]
    assert 1 <= len(lines) <= 60
    assert lines[0].startswith('Counter "a" is overloaded: a request was answered 503')
    assert "Traceback" not in dev.told
    assert "main.py" not in dev.told


def test_without_the_bound_nobody_is_turned_away(tmp_path: Path) -> None:
    with serving(tmp_path, WITHOUT_BOUND + PROGRAM) as dev:
        found: Flood = run(flood(dev, MAILBOX_EVENTS_MAX + 200, expected_refusals=0))

    assert found.refused == []
    assert found.served == MAILBOX_EVENTS_MAX + 200
