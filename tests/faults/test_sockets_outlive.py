"""Clients of a real `durable dev` chat while it is saved and its hosts are killed: what they notice is nothing."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running_dev import DURABLE, Dev
from tests.faults.chat import Book, Chat, write_project

SEED = 20_261_121
WAIT_SECONDS = 60.0
"""A safety net."""
MIB = 1024 * 1024


class Run:
    """One `durable dev` and what it logs."""

    def __init__(self, folder: Path, *words: str, durable: Sequence[str] = DURABLE) -> None:
        self.folder = folder
        write_project(folder)
        self.version = 0
        self.dev = Dev(folder, "--quiet", "--log-format", "json", *words, durable=durable)
        self.dev.wait_ready()

    # --- what it logs ---------------------------------------------------------------------------------------------
    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for line in list(self.dev.err) if (entry := json.loads(line))["event"] == event]

    async def wait_logged(self, event: str, count: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.logged(event)) < count:
                await asyncio.sleep(0.01)

    @property
    def counted(self) -> int:
        """Events that are said to be lost."""
        return sum(entry["count"] for entry in self.logged("socket_events_lost"))

    # --- what is done to it ---------------------------------------------------------------------------------------
    async def save(self) -> None:
        self.version += 1
        write_project(self.folder, self.version)
        await self.wait_logged("reloaded", self.version)

    async def kill(self, kills: int, *, meanwhile: Callable[[], None] | None = None) -> None:
        """Kill every host, with `meanwhile` done while they stand still; `kills` counts hosts, this one included."""
        pids = [host["pid"] for host in (await self._ask("/__durable/status"))["hosts"] if host["pid"]]
        if meanwhile is not None:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            meanwhile()
            # Until all of it has reached the gateway, and more than enough of it the hosts that do not read.
            await self._ask("/__durable/status")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await self.wait_logged("host_restarted", kills)

    async def books(self, rooms: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        return {room: await self._ask(f"/{room}/book") for room in rooms}

    async def _ask(self, path: str) -> Any:
        token = json.loads((self.folder / ".durable" / "run" / "emulator.json").read_text())["token"]
        request = urllib.request.Request(self.dev.url + path, headers={"Authorization": f"Bearer {token}"})

        def ask() -> Any:
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
                return json.load(response)

        return await asyncio.to_thread(ask)

    def gateway_bytes(self) -> int:
        """The gateway's resident memory."""
        pages = int(Path(f"/proc/{self.dev.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(folder: Path, *words: str, durable: Sequence[str] = DURABLE) -> Iterator[Run]:
    run = Run(folder, *words, durable=durable)
    try:
        yield run
    finally:
        run.dev.discard()


async def survive(run: Run, *, hosts: int = 1) -> Book:
    """Three rooms, six who chat, two reloads, and hosts killed with handlers begun and messages on their way."""
    chat = Chat(run.dev.url, rooms=3, clients=24, chatting=6, seed=SEED)
    await chat.connect()
    chat.start()
    await chat.heard_anew()
    for _ in range(2):
        await run.save()
        await chat.heard_anew()
    assert run.counted == 0
    await chat.hang()
    await run.kill(hosts, meanwhile=lambda: chat.burst(5))
    await chat.heard_anew()
    await chat.stop()
    book = await chat.close_book(await run.books(chat.rooms), may_lag=run.counted)
    assert {found["version"] for found in (await chat.kept(chat.chatters)).values()} == {2}
    chat.end()
    return book


def assert_unharmed(book: Book, counted: int) -> None:
    """Nothing happened to anybody, except to what had begun when a host died: that is lost, and counted."""
    assert (book.dropped, book.doubled, book.reordered, book.rerun, book.kept_wrong) == (0, 0, 0, 0, []), str(book)
    assert book.lost <= counted, str(book)


@pytest.mark.parametrize("hosts", [1, 2])
async def test_sockets_and_attachments_survive_reloads_and_the_death_of_hosts(tmp_path: Path, hosts: int):
    with running(tmp_path, "--hosts", str(hosts)) as run:
        book = await survive(run, hosts=hosts)
        assert_unharmed(book, run.counted)
        assert book.lost >= 3  # the handlers that were begun and could not end, one in each room
        assert run.dev.end() == 0
    assert not run.logged("gateway_fault")


FORGETTING = """
from durable.gateway.socket_events import SocketEvents
end_host = SocketEvents.end_host
def forget(self, host, not_begun=()):
    ended = end_host(self, host, not_begun)
    self.drop({entry.message.socket for entry in ended.returned})
    ended.returned.clear()
    return ended
SocketEvents.end_host = forget
"""
REPEATING = """
from durable.gateway.socket_events import SocketEvents
SocketEvents.begin = lambda self, host, events: None
"""
FORGERY = """
from msgspec.structs import replace
from durable import values
from durable.gateway.socket_record import SocketRecord
state = SocketRecord.state
def forged(self):
    found = state(self)
    return None if found is None else replace(found, attachment=values.encode({"who": "?", "sent": 0}))
SocketRecord.state = forged
"""
OVERTAKING = """
from durable.gateway.socket_events import SocketEvents
waiting = SocketEvents.waiting
SocketEvents.waiting = lambda self: waiting(self)[::-1]
"""


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        pytest.param(FORGETTING, r"lost [1-9]", id="what was not begun is forgotten"),
        pytest.param(REPEATING, r"run twice [1-9]", id="what was begun runs again"),
        pytest.param(FORGERY, r"wrong tags or attachments [1-9]", id="the next host gets other attachments"),
        pytest.param(OVERTAKING, r"reordered [1-9]", id="what waited comes in another order"),
    ],
)
async def test_a_gateway_that_breaks_the_promise_is_found_out(tmp_path: Path, broken: str, found: str):
    twin = tmp_path / "twin.py"
    twin.write_text(f"import sys\n{broken}\nfrom durable_cli.main import main\nsys.exit(main())\n")
    (tmp_path / "app").mkdir()
    with running(tmp_path / "app", durable=[sys.executable, str(twin)]) as run:
        book = await survive(run)
        with pytest.raises(AssertionError, match=found):
            assert_unharmed(book, run.counted)


async def test_sockets_that_a_reload_drops_are_noticed(tmp_path: Path):
    with running(tmp_path, "--drop-sockets") as run:
        with pytest.raises(AssertionError, match="dropped"):
            await survive(run)
        assert run.logged("sockets_dropped")[0]["sockets"] == 24


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_thousand_sockets_survive_fifty_reloads_and_ten_deaths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """1 000 sockets in ten rooms, 20 of them chatting: `pytest -m slow tests/faults/test_sockets_outlive.py`.

    It prints its figures as it goes, and takes two minutes on an idle machine.
    """
    # Pytest ends a run that seems to hang; this test has its own limit, above.
    faulthandler.cancel_dump_traceback_later()

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="", flush=True)

    with running(tmp_path) as run:
        chat = Chat(run.dev.url, rooms=10, clients=1000, chatting=20, seed=SEED, pause=0.5)
        await chat.connect()
        chat.start()
        await chat.heard_anew()
        resident: list[int] = []
        for reload in range(1, 51):
            await run.save()
            await chat.heard_anew()
            if reload % 10 == 0:
                resident.append(run.gateway_bytes())
                sent = sum(len(client.sent) for client in chat.chatters)
                tell(f"{reload} reloads, {sent} messages: gateway {resident[-1] / MIB:.1f} MiB")
        assert run.counted == 0
        assert not run.logged("host_died")
        assert not [client for client in chat.clients if client.gaps]

        for kill in range(1, 11):
            await chat.hang()
            await run.kill(kill, meanwhile=(lambda: chat.burst(3)) if kill % 2 else None)
            await chat.heard_anew()
        await chat.stop()
        resident.append(run.gateway_bytes())
        book = await chat.close_book(await run.books(chat.rooms), may_lag=run.counted)
        tell(f"10 deaths: {book}; {run.counted} counted as lost; gateway {resident[-1] / MIB:.1f} MiB\n")
        assert_unharmed(book, run.counted)
        assert book.lost >= 100  # one handler in each room had begun at each death, and could not end
        assert max(resident) - resident[0] < 16 * MIB
        chat.end()
        assert run.dev.end() == 0
    assert not run.logged("gateway_fault")
