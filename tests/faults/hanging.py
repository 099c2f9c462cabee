"""A program whose objects hang, block and crash on request, and the emulator around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from durable.sdk.ids import id_from_name
from tests.integration.running_emulator import SETTINGS, Running, running

WATCHDOG_SECONDS = 2

PROGRAM = """\
import asyncio
import ctypes
import gc
import os
import re
import signal
import sys
import threading
import time

from durable import DurableObject, Response, WorkerEntrypoint, WebSocketPair

KEPT = []


class Counter(DurableObject):
    def count(self):
        self.ctx.storage.kv.put("n", self.ctx.storage.kv.get("n", 0) + 1)
        return self.ctx.storage.kv.get("n")

    def spin(self):
        while True:
            pass

    def catastrophe(self):
        return re.match(r"(a+)+$", "a" * 60 + "b")

    def nap(self):
        time.sleep(0.4)

    def crash(self):
        ctypes.string_at(0)

    def abort(self):
        ctypes.CDLL(None).abort()

    def exit(self):
        os._exit(3)

    def sys_exit(self):
        sys.exit(4)

    def recurse(self):
        return self.recurse()

    def close_all(self):
        os.closerange(3, 4096)

    def take_signals(self):
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def forget_signal(self):
        import faulthandler
        faulthandler.unregister(signal.SIGUSR1)

    def leave_thread(self):
        threading.Thread(target=time.sleep, args=[600], name="left behind").start()

    def patch_asyncio(self):
        async def never(*arguments, **options):
            raise RuntimeError("patched")
        asyncio.sleep = asyncio.wait = asyncio.wait_for = asyncio.gather = never
        asyncio.create_task = asyncio.ensure_future = asyncio.get_running_loop = None

    def too_much(self):
        return len(b"x" * 10**10)

    def leak(self):
        found = []
        while True:
            found.append(bytes(100_000))

    def hoard(self):
        while True:
            KEPT.append(bytes(100_000))

    def pid(self):
        return os.getpid()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.headers.get("Upgrade") == "websocket":
            return await self.env.COUNTER.get_by_name("general").fetch(request)
        _, name, method = request.url.partition("//")[2].split("/")
        return Response(str(await getattr(self.env.COUNTER.get_by_name(name), method)()))
"""


def line_of(statement: str) -> int:
    """Where a statement of the program is."""
    return next(number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.strip() == statement)


@asynccontextmanager
async def hanging(
    folder: Path, settings: str = f"watchdog_seconds = {WATCHDOG_SECONDS}\n", *, hosts: int = 1, program: str = PROGRAM
) -> AsyncIterator[Running]:
    """The program, running; `settings` are lines of `[dev]`."""
    async with running(folder, program, SETTINGS + settings, hosts=hosts, watch=False) as run:
        yield run


async def until_taken(run: Running, requests: int = 1) -> None:
    """Wait until hosts have begun with so many requests."""
    await run.until(lambda: sum(len(link.running()) for link in run.emulator.router.links if link) >= requests)


async def until_stuck(run: Running, shard: int, label: str) -> None:
    """Wait until this object's code keeps its host's loop."""
    host = run.emulator.supervisor._hosts[shard]
    assert host is not None
    await run.until(lambda: host.label == label)


def name_on(run: Running, shard: int) -> str:
    """An object that lives on this shard."""
    namespace = run.emulator.namespaces()["Counter"].key
    names = (f"room{number}" for number in range(1000))
    return next(name for name in names if run.emulator.router.placement(id_from_name(namespace, name)) == shard)


async def timed(work: Any) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def ask(run: Running, path: str) -> asyncio.Future[tuple[int, str]]:
    """A request that is under way."""
    return asyncio.ensure_future(run.get(path))
