"""An emulator on a project in a temporary folder, for tests that watch it from outside: events, requests, processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from durable import config
from durable.emulator import Emulator
from durable.gateway.accepted_sockets import OnReload
from durable.gateway.events import Event
from durable.supervisor.spawner import HostSpawner
from tests.settings import settings

WAIT_SECONDS = 20.0
"""A safety net; nothing here takes more than a second on an idle machine."""

SETTINGS = (
    settings("Counter", "COUNTER")
    + """
[dev]
port = 0
"""
)

PROGRAM = """\
import asyncio
from pathlib import Path

from durable import DurableObject, Response, WorkerEntrypoint

VERSION = "one"


class Counter(DurableObject):
    def increment(self):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS counter(n INTEGER)")
        if not sql.exec("SELECT n FROM counter").to_array():
            sql.exec("INSERT INTO counter VALUES (0)")
        return sql.exec("UPDATE counter SET n = n + 1 RETURNING n").one()["n"]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.partition("//")[2].partition("/")[2]
        if path.startswith("count/"):
            return Response(str(await self.env.COUNTER.get_by_name(path.removeprefix("count/")).increment()))
        if path.startswith("sleep/"):
            await asyncio.sleep(float(path.removeprefix("sleep/")))
        while path == "closed" and not Path(__file__).with_name("opened").exists():
            await asyncio.sleep(0.005)
        return Response(VERSION)
"""

E = TypeVar("E", bound=Event)


class Running:
    """One emulator, what it reported, and a client."""

    def __init__(
        self,
        root: Path,
        *,
        hosts: int = 1,
        python: str | None = None,
        watch: bool = True,
        on_reload: OnReload = "keep",
    ) -> None:
        self.root = root
        self.main = root / "main.py"
        self.events: list[Event] = []
        self.hosts = hosts
        self._python = python
        self._watch = watch
        self._on_reload: OnReload = on_reload
        self._news = asyncio.Event()
        self.emulator: Emulator
        self.client: aiohttp.ClientSession

    def write(self, program: str = PROGRAM, settings: str = SETTINGS) -> None:
        self.main.write_text(program)
        (self.root / "durable.toml").write_text(settings.replace("port = 0", f"port = 0\nhosts = {self.hosts}"))

    def make(self) -> Emulator:
        loaded = config.load(self.root / "durable.toml")
        return Emulator(
            loaded,
            HostSpawner(self.root / ".durable" / "state", self.root, python=self._python),
            on_event=self._tell,
            watch=self._watch,
            on_reload=self._on_reload,
        )

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    # --- what it says ---------------------------------------------------------------------------------------------
    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def event(self, kind: type[E], count: int = 1) -> E:
        """The `count`-th event of a kind, waited for."""
        await self.until(lambda: len(self.told(kind)) >= count)
        return self.told(kind)[count - 1]

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not condition():
                    self._news.clear()
                    # Some conditions change without an event: look again now and then.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), 0.02)
        except TimeoutError:
            raise AssertionError(f"did not happen; reported were: {self.events}") from None

    async def watching(self) -> None:
        """Wait until saves are noticed and the standbys are there."""
        serving = sum(pid is not None for pid in self.pids)
        await self.until(lambda: self.statistics().processes == serving + self.hosts)

    # --- what it does ---------------------------------------------------------------------------------------------
    def statistics(self) -> Any:
        return self.emulator.supervisor.statistics()

    @property
    def pids(self) -> tuple[int, ...]:
        return self.statistics().pids

    @property
    def in_flight(self) -> int:
        """Requests that the first host has not answered."""
        link = self.emulator.router.links[0]
        return link.in_flight if link is not None else 0

    async def get(self, path: str = "/", *, headers: dict[str, str] | None = None) -> tuple[int, str]:
        async with self.client.get(self.emulator.url + path, headers=headers) as response:
            return response.status, await response.text()


@asynccontextmanager
async def running(
    root: Path,
    program: str = PROGRAM,
    settings: str = SETTINGS,
    *,
    hosts: int = 1,
    python: str | None = None,
    watch: bool = True,
    on_reload: OnReload = "keep",
) -> AsyncIterator[Running]:
    """Start it; at the end stop it and make sure that no process is left."""
    run = Running(root, hosts=hosts, python=python, watch=watch, on_reload=on_reload)
    run.write(program, settings)
    run.emulator = run.make()
    before = children()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_SECONDS)) as run.client:
        try:
            await run.emulator.start()
            yield run
        finally:
            # A client whose test reads no more answers no close frame, and the end would wait for its answer.
            await run.client.close()
            await run.emulator.stop()
        assert children() <= before, "a host outlived the emulator"


def children() -> set[int]:
    """Processes whose parent is this one."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                    found.add(int(entry.name))
    return found


def foreign_python() -> str:
    """An interpreter outside of this virtual environment, without our package."""
    return os.path.join(sys.base_prefix, "bin", "python3")
