"""The host is killed again and again under load: what was acknowledged is there, once, and nobody else notices.

pytest tests/faults/test_host_kill.py -m slow                            twenty thousand increments
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from durable.testing import App, run
from tests.faults.increments import INCREMENTS
from tests.settings import settings

CLIENTS = 8
KILLS = 5
SEED = 20_261_121

SETTINGS = settings("Ledger", "LEDGER")

PROGRAM = f"""\
from durable import DurableObject, Response, WorkerEntrypoint

{INCREMENTS}

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        ledger, _, token = request.url.partition("//")[2].partition("/")[2].partition("/")
        stub = self.env.LEDGER.get_by_name(ledger)
        if token:
            return Response(str(await stub.increment(token)))
        return Response.json(await stub.tokens())
"""


@dataclass
class History:
    """What the clients saw."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    """Token → the number it got."""
    failed: dict[str, int] = field(default_factory=dict)
    """Token → how many kills there had been when its request was sent."""
    statuses: set[int] = field(default_factory=set)
    kills: int = 0
    kill_at: int = 0
    """The killer waits for so many acknowledgements."""
    kill_now: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.mark.parametrize(
    ("hosts", "wanted", "statuses"),
    [
        (1, 6_000, {503}),
        (2, 4_000, {500, 503}),
        pytest.param(1, 20_000, {503}, marks=pytest.mark.slow),
    ],
)
async def test_no_acknowledged_increment_is_lost_or_doubled_when_the_host_is_killed_five_times(
    tmp_path: Path, hosts: int, wanted: int, statuses: set[int]
):
    # With two hosts the worker's call can fail while the worker lives; it does not catch that, so it is its own 500.
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    history = History()
    with run(tmp_path / "durable.toml", hosts=hosts, state=tmp_path / "state") as app:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS)) as session:
            killer = asyncio.ensure_future(_kill_now_and_then(app, history, wanted))
            await asyncio.gather(*(_increment(session, app.url, client, history, wanted) for client in range(CLIENTS)))
            await killer
        stored = app.get("/shared").json()

    assert len(history.acknowledged) >= wanted
    assert history.kills == KILLS

    # None lost, none doubled: each token is there as often as it may be, under the number that was acknowledged.
    assert len(set(stored)) == len(stored)
    assert [stored[n - 1] for n in history.acknowledged.values()] == list(history.acknowledged)
    assert set(stored) - set(history.acknowledged) <= set(history.failed)

    # Only what was in flight failed: at most one request of each client for each kill.
    assert history.statuses <= statuses
    in_flight = [(token.partition("-")[0], kills) for token, kills in history.failed.items()]
    assert len(in_flight) == len(set(in_flight))
    assert len(in_flight) <= CLIENTS * KILLS


async def _increment(session: aiohttp.ClientSession, url: str, client: int, history: History, wanted: int) -> None:
    last = number = 0
    while len(history.acknowledged) < wanted:
        number += 1
        token = f"{client}-{number}"
        async with session.get(f"{url}/shared/{token}") as response:
            text = await response.text()
        if response.status == 200:
            # Acknowledged in the order in which they were asked for.
            assert int(text) > last
            last = history.acknowledged[token] = int(text)
            if len(history.acknowledged) == history.kill_at:
                history.kill_now.set()
        else:
            history.statuses.add(response.status)
            history.failed[token] = history.kills


async def _kill_now_and_then(app: App, history: History, wanted: int) -> None:
    choice = random.Random(SEED)
    for kill in range(1, KILLS + 1):
        # At a moment that has nothing to do with what the host is doing.
        history.kill_now.clear()
        history.kill_at = wanted * kill // (KILLS + 1) + choice.randrange(wanted // 100)
        await history.kill_now.wait()
        status = await asyncio.to_thread(app.status)
        victim = choice.choice([host["pid"] for host in status["hosts"] if host["pid"] is not None])
        history.kills += 1
        os.kill(victim, signal.SIGKILL)
