"""A constructor that always fails: events get the same error, and neither the processor nor the log pays for it."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from durable.gateway.events import UserCodeFailed
from durable.limits import CONSTRUCTION_SECONDS_FIRST, CONSTRUCTION_SECONDS_MAX
from durable.supervisor.events import ConstructionFailing, Reloaded
from tests.integration.running_emulator import Running, running

PROGRAM = """\
import time

from durable import DurableObject, Response, WorkerEntrypoint

CONSTRUCTED = []


def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTED.append(ctx.id.name)
        compute(0.02)
        raise LookupError("no such room plan")

    def increment(self):
        return 1


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rpartition("/")[2]
        if name == "constructed":
            return Response(str(len(CONSTRUCTED)))
        return Response(str(await self.env.COUNTER.get_by_name(name).increment()))
"""

WITHOUT_PAUSE = """
import durable.host.constructions
durable.host.constructions.Constructions.pausing = lambda self, actor_id, store: None
"""

MENDED = PROGRAM.replace("raise LookupError", "LookupError")

CPU_SHARE_MAX = 0.2
"""Of one processor, that the host of an object which fails at 20 requests a second may take."""


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PROGRAM) as found:
        yield found


async def errors_of(emulator: Running, requests: int) -> set[tuple[int, str]]:
    """What so many requests are answered, one after another."""
    found: set[tuple[int, str]] = set()
    for _ in range(requests):
        status, answer = await emulator.get("/broken", headers={"Accept": "application/json"})
        found.add((status, json.loads(answer)["error"]["message"]))
    return found


async def check_bounded(emulator: Running, requests: int) -> None:
    """A burst of requests meets the same error, few constructors, one stack and a count."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await errors_of(emulator, requests) == {(500, "no such room plan")}
    seconds = loop.time() - started
    doublings = math.log2(seconds / CONSTRUCTION_SECONDS_FIRST + 1)
    assert int((await emulator.get("/constructed"))[1]) <= 2 + doublings + seconds / CONSTRUCTION_SECONDS_MAX
    assert len(emulator.told(UserCodeFailed)) == 1


async def test_a_failing_constructor_costs_few_constructions_and_one_stack_and_recovers_at_a_reload(
    emulator: Running,
) -> None:
    await check_bounded(emulator, 100)
    await emulator.watching()
    emulator.main.write_text(MENDED)
    await emulator.event(Reloaded)
    assert await emulator.get("/broken") == (200, "1")
    counts = emulator.told(ConstructionFailing)
    assert sum(event.count for event in counts) == 99
    assert {(event.label, event.type, event.message) for event in counts} == {
        ('Counter "broken"', "LookupError", "no such room plan")
    }


async def test_without_the_pause_the_check_fails(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM + WITHOUT_PAUSE) as emulator:
        with pytest.raises(AssertionError):
            await check_bounded(emulator, 100)


async def cpu_share(emulator: Running, requests: int, per_second: float) -> float:
    """Of one processor: what the host takes while requests come at this rate."""
    (pid,) = emulator.pids
    loop = asyncio.get_running_loop()
    before, started = _cpu_seconds(pid), loop.time()
    for number in range(requests):
        await asyncio.sleep(max(0.0, started + number / per_second - loop.time()))
        await errors_of(emulator, 1)
    return (_cpu_seconds(pid) - before) / max(loop.time() - started, requests / per_second)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
async def test_a_failing_constructor_leaves_the_processor_alone(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM) as emulator:
        assert await cpu_share(emulator, 100, 20) < CPU_SHARE_MAX


@pytest.mark.slow
async def test_without_the_pause_it_would_not(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM + WITHOUT_PAUSE) as emulator:
        with pytest.raises(AssertionError):
            assert await cpu_share(emulator, 100, 20) < CPU_SHARE_MAX
