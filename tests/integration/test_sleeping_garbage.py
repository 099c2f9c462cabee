"""What sleeps leaves nothing to the garbage collector, whose full run stands a host still for a tenth of a second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from durable.testing import App, run
from tests.settings import settings

PROGRAM = """\
import asyncio
import gc
import json
import time
from collections import Counter

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Sleeper(DurableObject):
    def keys(self):
        kv = self.ctx.storage.kv
        kv.put("a", {"b": [1]})
        return [*kv.list()]

    def rows(self):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS t(n)")
        sql.exec("INSERT INTO t VALUES (1), (2)")
        next(iter(sql.exec("SELECT n FROM t")))

    async def transaction(self):
        async def write(txn):
            await txn.put("a", 1)

        await self.ctx.storage.transaction(write)
        self.ctx.storage.transaction_sync(lambda: self.ctx.storage.kv.put("b", 2))

    async def critical(self):
        async def wait():
            await asyncio.sleep(0)

        await self.ctx.block_concurrency_while(wait)

    async def wakes(self):
        await self.ctx.storage.set_alarm(time.time() * 1000 + 20)

    async def alarm(self, info):
        await self.ctx.storage.put("rung", 1)

    async def tasks(self):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        asyncio.get_running_loop().call_later(0.01, lambda: None)
        self.ctx.wait_until(asyncio.sleep(0))

    async def calls(self):
        await self.env.SLEEPER.get_by_name("callee").keys()

    def sockets(self):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server, tags=["a"])
        server.serialize_attachment({"n": 1})
        self.ctx.get_web_sockets("a")

    def itself(self):
        self.me = [self]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what = request.url.split("/")[3]
        if what == "begin":
            gc.collect()
            gc.disable()
            return Response("ok")
        if what == "awake":
            registry = self.env.SLEEPER._transport._host.registry
            return Response(str(len(registry.actors) + len(registry.stores)))
        if what == "found":
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            kinds = Counter(type(each).__qualname__ for each in gc.garbage)
            return Response(json.dumps(kinds))
        for number in range(20):
            await getattr(self.env.SLEEPER.get_by_name(f"{what}-{number}"), what)()
        return Response("ok")
"""


@pytest.mark.parametrize("what", ["keys", "rows", "transaction", "critical", "wakes", "tasks", "calls", "sockets"])
def test_what_sleeps_leaves_nothing_to_the_collector(tmp_path: Path, what: str) -> None:
    assert garbage(tmp_path, what) == {}


def test_objects_that_refer_to_themselves_are_found(tmp_path: Path) -> None:
    assert garbage(tmp_path, "itself")["Sleeper"] == 20


def garbage(project: Path, what: str) -> dict[str, int]:
    """Numbers by type, when twenty objects have done it and sleep."""
    (project / "durable.toml").write_text(settings("Sleeper", "SLEEPER") + "[dev]\nidle_seconds = 0.1\n")
    (project / "main.py").write_text(PROGRAM)
    with run(project / "durable.toml") as app:
        sleep(app, what)  # what a first time leaves is imported modules
        assert app.get("/begin").status == 200
        sleep(app, what)
        found: dict[str, int] = app.get("/found").json()
        return found


def sleep(app: App, what: str) -> None:
    assert app.get(f"/{what}").status == 200
    until = time.monotonic() + 30
    while app.get("/awake").text != "0":
        assert time.monotonic() < until, "they do not fall asleep"
        time.sleep(0.02)
