"""Clients that leave in the middle of something: the turn is whole or never was, and nothing of them stays behind.

The gateway and its clients share this process and the loop, so what would complain of a forgotten task complains here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from durable.gateway.events import GatewayFault, HostLog, RequestServed, UserCodeFailed
from durable.gateway.streams import BodyReader, BodyWriter
from tests.integration.raw_http import connected
from tests.integration.running_emulator import SETTINGS, Running, running

PROGRAM = """
import asyncio

from durable import DurableObject, Response, WorkerEntrypoint

class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.go = asyncio.Event()

    async def pair(self):
        async def both(transaction=None):
            await self.ctx.storage.put("left", await self.read("left") + 1)
            await asyncio.sleep(0.02)
            await self.ctx.storage.put("right", await self.read("right") + 1)
        await self.ctx.storage.transaction(both)

    async def read(self, side):
        return await self.ctx.storage.get(side) or 0

    async def sides(self):
        return [await self.read("left"), await self.read("right")]

    async def wait(self):
        await self.go.wait()

    async def fetch(self, request):
        size = 0
        async for piece in request.body:
            size += len(piece)
        await self.ctx.storage.put("size", size)
        return Response(str(size))

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, _, name = request.url.partition("//")[2].partition("/")[2].partition("/")
        stub = self.env.COUNTER.get_by_name(name)
        if what == "pair":
            await stub.pair()
        elif what == "wait":
            await stub.wait()
        elif what == "upload":
            return await stub.fetch(request)
        elif what == "stream":
            async def pieces():
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0)
            return Response(pieces())
        elif what == "sides":
            return Response.json(await stub.sides())
        return Response(what)
"""
HOST = "Host: localhost\r\n"


@pytest.fixture(params=[1, 2], ids=["one host", "two hosts"])
async def run(
    request: pytest.FixtureRequest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> AsyncIterator[Running]:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with running(tmp_path, PROGRAM, SETTINGS, hosts=request.param, watch=False) as run:
        yield run
    assert complaints == []
    assert run.told(GatewayFault) == []
    assert run.told(UserCodeFailed) == []
    assert [log for log in run.told(HostLog) if log.level == "error"] == []
    assert "never retrieved" not in capfd.readouterr().err


def left_behind(run: Running) -> dict[str, int]:
    """What the gateway still holds for clients."""
    emulator = run.emulator
    links = [link.statistics() for link in emulator.router.links if link is not None]
    return {
        "connections": emulator._front.server.statistics().connections,
        "requests": sum(link.pending for link in links),
        "bodies": sum(link.bodies for link in links),
        "relayed": emulator._host_side.relay.statistics().open,
        "waiting": emulator.router.statistics().waiting,
    }


NOTHING = dict.fromkeys(("connections", "requests", "bodies", "relayed", "waiting"), 0)


def port_of(run: Running) -> int:
    return urlsplit(run.emulator.url).port or 0


async def sides(run: Running, name: str) -> list[int]:
    async with connected(port_of(run)) as client:
        answer = await client.ask(f"GET /sides/{name} HTTP/1.1\r\n{HOST}\r\n")
    assert answer.status == 200, answer
    left, right = answer.body.decode().strip("[]").split(",")
    return [int(left), int(right)]


PHASES = {
    "before anything": b"",
    "within the request line": b"GET /pair/a HT",
    "within the headers": b"GET /pair/a HTTP/1.1\r\nHost: local",
    "before the body": f"POST /upload/a HTTP/1.1\r\n{HOST}Content-Length: 900000\r\n\r\n".encode(),
    "within a small body": f"POST /upload/a HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\nabc".encode(),
    "within a large body": f"POST /upload/a HTTP/1.1\r\n{HOST}Content-Length: 900000\r\n\r\n".encode() + b"x" * 400_000,
    "within a chunk": f"POST /upload/a HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nff\r\nabc".encode(),
    "before the answer": f"GET /wait/a HTTP/1.1\r\n{HOST}\r\n".encode(),
    "before the first of two answers": f"GET /wait/a HTTP/1.1\r\n{HOST}\r\n".encode() * 2,
    "within a stream": f"GET /stream/a HTTP/1.1\r\n{HOST}\r\n".encode(),
}


@pytest.mark.parametrize("gone", ["reset", "closed"])
async def test_at_every_phase_nothing_of_the_client_stays_behind(run: Running, gone: str) -> None:
    tasks = len(asyncio.all_tasks())
    for phase, sent in PHASES.items():
        async with connected(port_of(run)) as client:
            await client.send(sent)
            if phase == "within a stream":
                await client.reader.readexactly(5000)
            elif sent.endswith(b"\r\n\r\n") or (b"\r\n\r\n" in sent[:-9] and b"900000" in sent):
                await run.until(lambda: left_behind(run)["requests"] > 0)
            else:
                await run.until(lambda: left_behind(run)["connections"] > 0)
            if gone == "reset":
                client.leave()
            else:
                client.writer.close()

        await run.until(lambda: left_behind(run) == NOTHING)
        assert await sides(run, "a") == [0, 0], phase
        await run.until(lambda: left_behind(run) == NOTHING)
    await run.until(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_a_transaction_whose_client_leaves_is_whole(run: Running) -> None:
    for steps in range(12):
        served = len(run.told(RequestServed))
        async with connected(port_of(run)) as client:
            await client.send(f"GET /pair/a HTTP/1.1\r\n{HOST}\r\n")
            await run.until(lambda: left_behind(run)["requests"] > 0 or len(run.told(RequestServed)) > served)  # noqa: B023
            # At another moment each time: on the way there, before, within and after the transaction.
            await asyncio.sleep(steps * 0.003)

        await run.until(lambda: left_behind(run) == NOTHING)
        left, right = await sides(run, "a")
        assert left == right


async def test_a_storm_of_clients_that_leave_anywhere_leaves_nothing(run: Running) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    scripts = [script for script in PHASES.values() if script]

    async def come_and_go() -> None:
        async with connected(port_of(run)) as client:
            script = chance.choice(scripts) + chance.choice([b"", b"x" * 1000, b"\r\n\r\n"])
            await client.send(script[: chance.randrange(len(script))])
            for _ in range(chance.randrange(20)):
                await asyncio.sleep(0)
            client.leave()

    for _ in range(10):
        await asyncio.gather(*(come_and_go() for _ in range(30)))

    await run.until(lambda: left_behind(run) == NOTHING)
    assert (await sides(run, "b")) == [0, 0]


@pytest.mark.parametrize(("kind", "methods"), [(BodyReader, ["cancel"]), (BodyWriter, ["end", "credit"])])
async def test_a_body_that_is_forgotten_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, methods: list[str]
) -> None:
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        # A writer has two ways to its end: the gateway's own, and the host that wants no more of it.
        for method in methods:
            monkeypatch.setattr(kind, method, lambda self, *arguments: None)
        phase = "within a stream" if kind is BodyReader else "within a large body"
        async with connected(port_of(run)) as client:
            await client.send(PHASES[phase])
            await run.until(lambda: left_behind(run)["bodies"] > 0)

        await run.until(lambda: left_behind(run)["connections"] == 0)
        await run.until(lambda: left_behind(run)["requests"] == 0)
        assert left_behind(run)["bodies"] > 0
        monkeypatch.undo()
