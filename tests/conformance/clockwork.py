"""The stage of facts about alarms: a real host, the real index and the real alarm scheduler on one clock, the test's.

Nothing waits for real time: the test lets time pass, and every alarm that falls due meanwhile runs to its end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from durable import AlarmInfo, values
from durable.actor.failure import raise_from_report
from durable.clock import ManualClock
from durable.gateway.alarm_scheduler import AlarmScheduler
from durable.gateway.events import Event
from durable.gateway.index_writer import IndexWriter
from durable.gateway.link import HostLink
from durable.gateway.router import Router
from durable.host.host import Host
from durable.sdk.ids import id_from_name
from durable.storage.layout import StateLayout
from durable.storage.sync_pool import Disk
from durable.wire import messages as wire
from durable.wire.messages import ActorKey
from durable.wire.socket_pair import channel_pair
from tests.conformance.stage import Part, Stage, Thing
from tests.integration.conftest import KEY

WAIT_SECONDS = 20.0
"""A safety net; nothing here takes that long."""

LOOKS_MAX = 50
"""In a row, at one moment."""

Plan = Callable[[Any, AlarmInfo], Any]
"""What an alarm does: `plan(thing, info)`, sync or async."""


class Alarming(Thing):
    """Its alarm is what the fact says."""

    plan: Plan = lambda thing, info: None

    async def alarm(self, info: Any) -> None:
        result = type(self).plan(self, info)
        if hasattr(result, "__await__"):
            await result


class Clockwork:
    """One emulator without its clients: what the scheduler does is done by `look`, what time does by `pass_time`."""

    host: Host
    link: HostLink

    def __init__(self, stage: Stage, folder: Path, clock: ManualClock, *, actor: type[Thing] = Alarming) -> None:
        self.stage = stage
        self.folder = folder
        self.clock = clock
        self.actor = actor
        self.events: list[Event] = []
        self.logs: list[wire.Log] = []
        self.told: list[wire.IndexPut] = []
        self.disk: Disk | None = None
        self.router = Router()
        self.layout = StateLayout(folder / "state")
        self.layout.ensure()
        self.index = IndexWriter(self.layout, clock)
        self.alarms = AlarmScheduler(
            self.index, clock, self.router, on_event=self.events.append, class_name=lambda key: "Thing",
            jitter=random.Random(5),
        )  # fmt: skip
        self.index.watch(self.alarms)
        self.alarms.set_namespaces([KEY])
        self.router.on_attached = self.alarms.hosts_changed
        self._hosts = 0

    async def start_host(self, compatibility_date: str = "2026-11-01") -> None:
        (self.folder / "main.py").write_text(self.stage.main(self.actor))
        ours, theirs = channel_pair()
        self._hosts += 1
        loop = asyncio.get_running_loop()
        self.host = Host(theirs, loop, version="test", python="test", disk=self.disk, clock=lambda _: self.clock)
        link = self.link = HostLink(ours, self._hosts, 0, on_event=self.events.append)
        ready: asyncio.Future[wire.Ready | wire.LoadFailed] = loop.create_future()
        link.on(wire.Ready, ready.set_result)
        link.on(wire.LoadFailed, ready.set_result)
        link.on(wire.Log, self.logs.append)
        self.index.listen(link)
        link.on(wire.IndexPut, lambda message: self._put(link, message))
        link.send(
            wire.Load(
                root=str(self.folder), main=str(self.folder / "main.py"), state=str(self.folder / "state"),
                namespaces=[wire.NamespaceInfo(KEY, "Thing")], bindings={"THINGS": "Thing"}, vars={},
                compatibility_date=compatibility_date, durability="full", idle_seconds=10.0,
                host_number=self._hosts, shard=0, shards=1,
            )
        )  # fmt: skip
        loaded = await ready
        assert isinstance(loaded, wire.Ready), loaded
        self.router.attach([link])

    def _put(self, link: HostLink, message: wire.IndexPut) -> None:
        self.told.append(message)
        self.index.put(message, link.send)

    async def stop_host(self, drain_seconds: float = 5.0) -> None:
        """As a reload does it."""
        closed: asyncio.Future[wire.Closed] = asyncio.get_running_loop().create_future()
        self.link.on(wire.Closed, closed.set_result)
        self.link.send(wire.Drain(drain_seconds))
        await closed
        await self.host.finished
        self.link.lost(reloading=True)
        self.router.detach(self.link)

    async def lose_host(self) -> None:
        """As the end of its process would: what it said and did not make durable is gone."""
        self.link.lost()
        self.router.detach(self.link)
        await self.host.finished
        epochs: Any = self.host.commits.epochs
        epochs.close()
        self.host.registry.close_all()

    async def stop(self) -> None:
        await self.alarms.stop()
        if not self.link.is_lost:
            await self.stop_host(0.0)
        await self.index.close()

    # --- time -----------------------------------------------------------------------------------------------------
    async def look(self) -> float:
        """What the running scheduler does every second at least; alarms that are due run to their end."""
        alarms: Any = self.alarms
        for _ in range(LOOKS_MAX):
            alarms._wake.clear()
            seconds: float = await self.alarms.step()
            await self.until(lambda: not self.alarms.statistics().running)
            await self.settled()
            if not alarms._wake.is_set():
                return seconds
        raise AssertionError("alarms fall due for ever")

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, with a look whenever the scheduler wants one."""
        left = seconds
        while True:
            wait = await self.look()
            if left <= 0:
                return
            self.clock.advance(min(wait, left))
            left -= min(wait, left)

    async def settled(self) -> None:
        """The host has said what it had to, the disk's answers included, and the index has it."""
        if not self.link.is_lost and self.router.links[0] is not None:
            await self._answered()
            await self.host.commits.flush()
            await self._answered()
        await self.index.count(KEY)

    async def _answered(self) -> None:
        """Everything sent so far has been handled: the host answers in order."""
        await self.link.request(lambda number: wire.Evict(number, ActorKey(KEY, "0" * 64)))

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for what nobody tells the test of."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not (found := condition()):
                await asyncio.sleep(0)
        return found

    # --- objects --------------------------------------------------------------------------------------------------
    async def run(self, part: Part, *args: Any, name: str = "a") -> Any:
        """One event of the object; its result, or its error, once it is durable."""
        payload = values.encode(((self.stage.number(part), *args), {}))
        reply = await self.link.request(lambda number: wire.Call(number, key_of(name), "play", payload))
        if isinstance(reply, wire.Failed):
            raise raise_from_report(reply.error)
        assert isinstance(reply, wire.CallReply)
        return values.decode(reply.payload)

    async def set_alarm(self, in_seconds: float = 0.0, *, name: str = "a") -> int:
        """Set the object's alarm that far from now; returns its time."""
        due_ms = self.clock.wall_ms() + round(in_seconds * 1000)
        await self.run(lambda thing: thing.ctx.storage.set_alarm(due_ms), name=name)
        return due_ms

    async def get_alarm(self, name: str = "a") -> int | None:
        found: int | None = await self.run(lambda thing: thing.ctx.storage.get_alarm(), name=name)
        return found

    async def indexed(self, name: str = "a") -> int | None:
        """What the index says."""
        row = await self.index.get(KEY, key_of(name).id)
        return row.alarm_ms if row is not None else None

    async def hibernate(self) -> None:
        """Ten idle seconds pass, and no alarm falls due in them; every object must go."""
        await self.until(lambda: not any(actor.has_work for actor in self.host.registry.actors))
        self.clock.advance(10.1)
        self.host.registry.sweep()
        assert not self.host.registry.actors


def key_of(name: str) -> ActorKey:
    return ActorKey(KEY, id_from_name(KEY, name), name)


@asynccontextmanager
async def clockwork(
    stage: Stage,
    plan: Plan | None = None,
    *,
    actor: type[Thing] = Alarming,
    compatibility_date: str = "2026-11-01",
    disk: Disk | None = None,
) -> AsyncIterator[Clockwork]:
    """The host that every fact begins with gives way to one with an index and a scheduler."""
    await stage.gateway.stop()
    if plan is not None:
        stage.monkeypatch.setattr(Alarming, "plan", plan)
    running = Clockwork(stage, stage.gateway.folder, ManualClock(), actor=actor)
    running.disk = disk
    await running.start_host(compatibility_date)
    try:
        yield running
    finally:
        await running.stop()
