"""A seeded campaign against a real `durable dev`: clients that never rest, and somebody who does everything wrong."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.acceptance.running_dev import DURABLE, Dev, is_alive
from tests.faults.chaos_project import PROGRAM, Project
from tests.faults.chaos_verdict import Answer, History, Rest, faults_of_answers, faults_of_ledgers, faults_of_rest
from tests.faults.chat import Book, Chat

HTTP_CLIENTS = 40
SOCKET_CLIENTS = 10
LEDGERS = 8
FLOOD_REQUESTS = 300
BAD_ACTIONS_MAX = 3
"""In a row; then the project is mended."""
WAIT_SECONDS = 60.0
"""A safety net: the gateway itself answers whoever has waited for 30 seconds."""


class Campaign:
    """One `durable dev`, 50 clients, and a script that its seed determines."""

    def __init__(
        self, folder: Path, seed: int, *, hosts: int = 1, program: str = PROGRAM, durable: Sequence[str] = DURABLE
    ) -> None:
        self._choice = random.Random(seed)
        self.project = Project(folder, random.Random(seed + 1), program)
        self.hosts = hosts
        self.dev = Dev(folder, "--quiet", "--log-format", "json", "--hosts", str(hosts), durable=durable)
        self.history = History()
        self.done: Counter[str] = Counter()
        self.longest_seconds = 0.0
        self._last_token = 0
        self._session: aiohttp.ClientSession
        self._background: set[asyncio.Task[None]] = set()
        self._actions: list[tuple[int, Callable[[], Awaitable[None]], bool]] = [
            (6, self.project.save_good, False),
            (3, self.project.save_twice, False),
            (3, self.project.save_in_halves, False),
            (1, self.project.save_storm, False),
            (2, self.project.edit_config, False),
            (1, self.project.write_beside, False),
            (6, self.project.save_broken, True),
            (2, self.project.delete, True),
            (2, self.project.rename, True),
            (3, self.project.break_config, True),
            (4, self._kill_host, False),
            (2, self._stop_host, False),
            (1, self._loop, False),
            (2, self._flood, False),
            (2, self._take_long, False),
        ]

    # --- the campaign -------------------------------------------------------------------------------------------------
    async def run(self, seconds: float) -> list[str]:
        """What went wrong, as sentences."""
        await asyncio.to_thread(self.dev.wait_ready)
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=WAIT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            chat = Chat(self.dev.url, rooms=2, clients=SOCKET_CLIENTS, chatting=SOCKET_CLIENTS, seed=1, pause=0.4)
            await chat.connect()
            # Once through, so that everything has been imported and allocated that ever will be.
            await self._flood()
            await self.heal()
            before = await self._at_rest()
            clients = [asyncio.ensure_future(self._increment()) for _ in range(HTTP_CLIENTS)]
            chat.start()
            try:
                await self._do_damage(seconds)
                await self.heal()
            finally:
                for client in clients:
                    client.cancel()
                await asyncio.gather(*clients, *self._background, return_exceptions=True)
            await self.heal()
            await chat.heard_anew()
            await chat.stop()
            stored = {ledger: json.loads(await self._text(f"/tokens/{ledger}")) for ledger in self._ledgers()}
            books = {room: json.loads(await self._text(f"/{room}/book")) for room in chat.rooms}
            counted = sum(event["count"] for event in self.logged("socket_events_lost"))
            book = await chat.close_book(books, may_lag=counted)
            after = await self._at_rest()
            chat.end()
        faults = faults_of_answers(self.history) + faults_of_ledgers(self.history, stored)
        faults += faults_of_rest(before, after) + _faults_of_book(book, counted)
        faults += [f"a bug in the gateway: {event['traceback']}" for event in self.logged("gateway_fault")]
        if self.dev.process.poll() is not None:
            faults.append(f"it ended with {self.dev.process.returncode}")
        return faults

    def summary(self) -> str:
        answers = ", ".join(f"{count} × {status}" for status, count in sorted(self.history.answers.items()))
        actions = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        causes = Counter(f"{error.status} {error.code}" for error in self.history.errors)
        events = Counter(json.loads(line)["event"] for line in list(self.dev.err) if line.startswith("{"))
        examples = {f"{error.status} {error.code}": error.message[:200] for error in self.history.errors}
        return (
            f"{answers}; {dict(causes)}; longest {self.longest_seconds:.1f} s\n{actions}\n"
            f"{dict(sorted(events.items()))}\n{examples}"
        )

    async def heal(self) -> None:
        """Make everything good, and wait until every object answers with it."""
        wanted, told = self.project.mend(), len(self.dev.err)
        deadline = time.monotonic() + WAIT_SECONDS
        while await self._text("/version") != wanted:
            assert time.monotonic() < deadline, f"not healed:\n{self.dev.told[-4000:]}"
            await asyncio.sleep(0.05)
            if any("is still being imported" in line for line in self.dev.err[told:]):
                # The machine was too busy for the time that an import may take here: whoever reads that saves again.
                self.done["mended again"] += 1
                wanted, told = self.project.mend(), len(self.dev.err)
        for ledger in self._ledgers():
            json.loads(await self._text(f"/tokens/{ledger}"))

    async def _do_damage(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        bad = 0
        while time.monotonic() < ends:
            weights = [weight for weight, _, _ in self._actions]
            _, action, harms = self._choice.choices(self._actions, weights)[0]
            self.done[action.__name__.strip("_")] += 1
            await action()
            bad = bad + 1 if harms or bad else 0
            if bad > BAD_ACTIONS_MAX or (bad and self._choice.random() < 0.3):
                self.done["heal"] += 1
                await self.heal()
                bad = 0
            # Sometimes on each other's heels, sometimes with time for a whole reload.
            await asyncio.sleep(self._choice.choice([0, 0.05, 0.3, 1.2]))

    # --- clients ------------------------------------------------------------------------------------------------------
    async def _increment(self) -> None:
        while True:
            await self._increment_once()
            await asyncio.sleep(self._choice.uniform(0.02, 0.4))

    async def _increment_once(self) -> None:
        ledger = self._choice.choice(self._ledgers())
        self._last_token += 1
        token = f"t{self._last_token}"
        # To its end even when the campaign ends: a request that is given up has no answer.
        asking = asyncio.ensure_future(self._ask(f"/increment/{ledger}/{token}"))
        try:
            answer, text = await asyncio.shield(asking)
        except asyncio.CancelledError:
            answer, text = await asking
            self.history.take(answer, ledger, token, text)
            raise
        self.history.take(answer, ledger, token, text)

    async def _ask(self, path: str) -> tuple[Answer, str]:
        began = time.monotonic()
        try:
            # Not GET, which aiohttp asks a second time when a kept connection breaks.
            async with self._session.post(self.dev.url + path, headers={"Accept": "application/json"}) as response:
                text = await response.text()
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answer(path, 0, type(error).__name__, str(error)), ""
        finally:
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
        if 200 <= status < 300:
            return Answer(path, status), text
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(text)["error"]
            return Answer(path, status, said["code"], said["message"]), text
        return Answer(path, status, "", text), text

    async def _text(self, path: str) -> str:
        """Ask until there is a good answer, or for a `/version` whatever it says."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            answer, text = await self._ask(path)
            self.history.take(answer)
            if answer.status == 200 or path == "/version":
                return text
            assert time.monotonic() < deadline, f"not healed: {answer}"
            await asyncio.sleep(0.05)

    def _ledgers(self) -> list[str]:
        return [f"ledger{number}" for number in range(LEDGERS)]

    # --- damage -------------------------------------------------------------------------------------------------------
    async def _host(self) -> int | None:
        token = json.loads((self.project.folder / ".durable" / "run" / "emulator.json").read_text())["token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.get(self.dev.url + "/__durable/status", headers=headers) as response:
            status: dict[str, Any] = await response.json()
        pids = [host["pid"] for host in status["hosts"] if host["pid"] is not None]
        return self._choice.choice(pids) if pids else None

    async def _kill_host(self) -> None:
        if (pid := await self._host()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _stop_host(self) -> None:
        if (pid := await self._host()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(self._choice.uniform(0.1, 1.0))
                os.kill(pid, signal.SIGCONT)

    async def _loop(self) -> None:
        self._in_background(f"/loop/{self._choice.choice(self._ledgers())}")

    async def _take_long(self) -> None:
        self._in_background(f"/sleep/{self._choice.uniform(0.5, 3):.2f}")

    def _in_background(self, path: str) -> None:
        async def ask() -> None:
            self.history.take((await self._ask(path))[0])

        task = asyncio.ensure_future(ask())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _flood(self) -> None:
        await asyncio.gather(*(self._increment_once() for _ in range(FLOOD_REQUESTS)))

    # --- what is left -------------------------------------------------------------------------------------------------
    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in list(self.dev.err) if f'"{event}"' in line]
        return [entry for entry in lines if entry["event"] == event]

    async def _at_rest(self) -> Rest:
        """Hosts and standbys are there, nothing runs, and connections that nobody needs are closed."""
        deadline = time.monotonic() + WAIT_SECONDS
        last = None
        still = 0
        while still < 5 and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            now = self._rest()
            same = last is not None and (now.descriptors, now.processes) == (last.descriptors, last.processes)
            still = still + 1 if same and now.processes == 1 + 2 * self.hosts else 0
            last = now
        assert last is not None
        return last

    def _rest(self) -> Rest:
        pid = self.dev.process.pid
        family = self.dev.processes()
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return Rest(resident, _descriptors(pid), len(family), sum(not is_alive(member) for member in family))


def _descriptors(pid: int) -> int:
    """Open files, but for the connections of clients, which come and go with them."""
    tcp = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    connections = {f"socket:[{line.split()[9]}]" for line in tcp}
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/{pid}/fd/{name}") not in connections
    return count


def _faults_of_book(book: Book, counted: int) -> list[str]:
    harmed = (book.dropped, book.doubled, book.reordered, book.rerun, len(book.kept_wrong))
    return [f"sockets: {book}; {counted} counted as lost"] if any(harmed) or book.lost > counted else []
