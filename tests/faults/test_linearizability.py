"""Registers under concurrent clients while the host is killed: each history can be told one operation at a time."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from durable.testing import App, run
from tests.faults.linearizability import FAILED, Operation, linearizable
from tests.settings import settings

SEED = 20_261_121
OBJECTS = 20
CLIENTS = 3
"""Of each object. A kill leaves at most that many unknown outcomes in its history."""
KILLS = 2
OPERATIONS_OF_A_CLIENT = 24
"""Between two kills: 216 of each object in all."""

SETTINGS = settings("Register", "REGISTER")

PROGRAM = """\
import asyncio
from durable import DurableObject, Response, WorkerEntrypoint


class Register(DurableObject):
    async def read(self):
        return await self.ctx.storage.get("value")

    async def write(self, new):
        await self.ctx.storage.put("value", int(new))

    async def cas(self, expected, new):
        if await self.read() != int(expected):
            return False
        await self.write(new)
        return True


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name, method, *arguments = request.url.partition("//")[2].split("/")[1:]
        return Response.json(await getattr(self.env.REGISTER.get_by_name(name), method)(*arguments))
"""
LOSES_UPDATES = PROGRAM.replace(
    "        await self.write(", "        await asyncio.sleep(0.002)\n        await self.write("
)
FORGETS = PROGRAM.replace('await self.ctx.storage.get("value")', 'getattr(self, "value", None)').replace(
    'await self.ctx.storage.put("value", int(new))', "self.value = int(new)"
)


class Histories:
    """Of every object, as its clients saw it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.of: dict[str, list[Operation]] = {f"r{number}": [] for number in range(OBJECTS)}
        self.statuses: Counter[int] = Counter()
        self.answers = 0
        self._session = session
        self._url = url
        self._now = 0
        self._last: dict[str, int] = dict.fromkeys(self.of, 0)
        self._written = 0
        self._awaited, self._reached = 0, asyncio.Event()

    async def clients(self, seed: int) -> None:
        """All clients of all objects, until each has done its share."""
        await asyncio.gather(
            *(
                self._client(name, random.Random(f"{seed} {name} {client}"))
                for name in self.of
                for client in range(CLIENTS)
            )
        )

    async def _client(self, name: str, choice: random.Random) -> None:
        for _ in range(OPERATIONS_OF_A_CLIENT):
            kind = choice.choice(("read", "write", "cas", "cas"))
            self._written += 1
            arguments = {"read": (), "write": (self._written,), "cas": (self._last[name], self._written)}[kind]
            await self.perform(name, kind, arguments)

    async def perform(self, name: str, kind: str, arguments: tuple[int, ...] = ()) -> Operation:
        self._now += 1
        called = self._now
        path = "/".join([name, kind, *map(str, arguments)])
        async with self._session.get(f"{self._url}/{path}") as response:
            outcome = await response.json() if response.status == 200 else FAILED
        self.statuses[response.status] += 1
        self.answers += 1
        if self.answers >= self._awaited:
            self._reached.set()
        self._now += 1
        operation = Operation(kind, arguments, called, self._now, outcome)
        self.of[name].append(operation)
        if kind == "read" and isinstance(outcome, int):
            self._last[name] = outcome
        elif kind == "write" or outcome is True:
            self._last[name] = arguments[-1]
        return operation

    async def wait_answers(self, count: int) -> None:
        self._awaited, self._reached = count, asyncio.Event()
        await self._reached.wait()

    def wrong(self) -> list[str]:
        return [name for name, history in self.of.items() if not linearizable(history)]


async def histories(folder: Path, program: str, kills: int) -> Histories:
    (folder / "durable.toml").write_text(SETTINGS)
    (folder / "main.py").write_text(program)
    with run(folder / "durable.toml", state=folder / "state") as app:
        connector = aiohttp.TCPConnector(limit=OBJECTS * CLIENTS)
        async with aiohttp.ClientSession(connector=connector) as session:
            seen = Histories(session, app.url)
            for kill in range(kills):
                killer = asyncio.ensure_future(_kill_midway(app, seen))
                await seen.clients(SEED + kill)
                await killer
                # One confirmed read of each says what became of the unknown outcomes.
                await asyncio.gather(*(seen.perform(name, "read") for name in seen.of))
            await seen.clients(SEED + kills)
            return seen


async def _kill_midway(app: App, seen: Histories) -> None:
    share = OBJECTS * CLIENTS * OPERATIONS_OF_A_CLIENT
    wanted = seen.answers + random.Random(SEED + seen.answers).randrange(share // 4, share * 3 // 4)
    await seen.wait_answers(wanted)
    status = await asyncio.to_thread(app.status)
    os.kill(status["hosts"][0]["pid"], signal.SIGKILL)


async def test_every_history_of_a_register_is_linearizable_although_the_host_is_killed(tmp_path: Path) -> None:
    seen = await histories(tmp_path, PROGRAM, KILLS)

    assert seen.wrong() == [], f"seed {SEED}"
    assert set(seen.statuses) == {200, 503}
    for history in seen.of.values():
        assert 200 <= len(history) <= 300
        assert sum(operation.outcome == FAILED for operation in history) <= CLIENTS * KILLS


@pytest.mark.parametrize(("program", "kills"), [(LOSES_UPDATES, 0), (FORGETS, 1)])
async def test_a_program_that_loses_updates_or_forgets_is_found_out(tmp_path: Path, program: str, kills: int) -> None:
    assert program != PROGRAM
    seen = await histories(tmp_path, program, kills)

    assert seen.wrong()


@pytest.mark.parametrize(
    ("possible", "history"),
    [
        (True, [Operation("write", (1,), 1, 2, None), Operation("read", (), 3, 4, 1)]),
        # At the same time as the write: before or after it.
        (True, [Operation("write", (1,), 1, 4, None), Operation("read", (), 2, 3, None)]),
        (True, [Operation("write", (1,), 1, 4, None), Operation("read", (), 2, 3, 1)]),
        # A stale read: the write was over.
        (False, [Operation("write", (1,), 1, 2, None), Operation("read", (), 3, 4, None)]),
        # A lost update: both cannot have found 1.
        (
            False,
            [
                Operation("write", (1,), 1, 2, None),
                Operation("cas", (1, 2), 3, 6, True),
                Operation("cas", (1, 3), 4, 5, True),
            ],
        ),
        (False, [Operation("write", (1,), 1, 2, None), Operation("cas", (1, 2), 3, 4, False)]),
        # A failed write happened or not, but not after its answer, and not twice.
        (True, [Operation("write", (1,), 1, 2, FAILED), Operation("read", (), 3, 4, 1)]),
        (True, [Operation("write", (1,), 1, 2, FAILED), Operation("read", (), 3, 4, None)]),
        (
            False,
            [
                Operation("write", (1,), 1, 2, FAILED),
                Operation("read", (), 3, 4, None),
                Operation("read", (), 5, 6, 1),
            ],
        ),
    ],
)
def test_the_checker_tells_possible_histories_from_impossible_ones(possible: bool, history: list[Operation]) -> None:
    assert linearizable(history) is possible
