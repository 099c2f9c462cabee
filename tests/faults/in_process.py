"""A host in this process behind the gateway's own link and index writer: what the link lets out, a client would see."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from durable import values
from durable.actor.failure import raise_from_report
from durable.clock import ManualClock
from durable.gateway.events import Event
from durable.gateway.index_writer import IndexWriter
from durable.gateway.link import HostLink, Reply
from durable.host.host import Host
from durable.sdk.ids import id_from_name
from durable.storage.layout import StateLayout
from durable.storage.sync_pool import Disk
from durable.wire import messages as wire
from durable.wire.messages import ActorKey
from durable.wire.socket_pair import channel_pair
from tests.faults.ledger import PROGRAM

NAMESPACE = "Thing-0123456789ab"
PATIENCE_SECONDS = 10.0
"""A safety net."""


def key_of(name: str) -> ActorKey:
    return ActorKey(NAMESPACE, id_from_name(NAMESPACE, name), name)


class TellingLink(HostLink):
    """`on_answer(request)` is called where the gateway lets an answer out."""

    on_answer: Callable[[Reply], None] = staticmethod(lambda reply: None)

    def _answered(self, reply: Reply) -> None:
        self.on_answer(reply)
        super()._answered(reply)


class InProcess:
    """One host and one gateway's worth of output gate."""

    def __init__(self, folder: Path) -> None:
        self.layout = StateLayout(folder / "state")
        self.folder = folder
        self.clock = ManualClock()
        self.logged: list[wire.Log] = []
        self.faults: list[Event] = []
        self.asked: dict[int, tuple[str, tuple[Any, ...]]] = {}
        """Number of a question → who was asked, and what."""
        self.host: Host
        self.link: TellingLink
        self.index: IndexWriter

    async def start(self, *, disk: Disk | None, program: str, pitr_days: int) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "main.py").write_text(program)
        self.layout.ensure()
        ours, theirs = channel_pair()
        loop = asyncio.get_running_loop()
        self.host = Host(theirs, loop, version="test", python="test", disk=disk, clock=lambda _: self.clock)
        self.link = TellingLink(ours, 1, 0, on_event=self.faults.append)
        self.link.on(wire.Log, self.logged.append)
        self.index = IndexWriter(self.layout, self.clock)
        self.index.listen(self.link)
        loaded: asyncio.Future[Any] = loop.create_future()
        self.link.on(wire.Ready, loaded.set_result)
        self.link.on(wire.LoadFailed, loaded.set_result)
        self.link.send(
            wire.Load(
                root=str(self.folder), main=str(self.folder / "main.py"), state=str(self.layout.state),
                namespaces=[wire.NamespaceInfo(NAMESPACE, "Thing")], bindings={}, vars={},
                compatibility_date="2026-11-01", durability="full", idle_seconds=3600.0, host_number=1,
                shard=0, shards=1, pitr_days=pitr_days,
            )
        )  # fmt: skip
        ready = await asyncio.wait_for(loaded, PATIENCE_SECONDS)
        assert isinstance(ready, wire.Ready), ready

    def object_file(self, name: str) -> Path:
        return self.layout.object_file(NAMESPACE, key_of(name).id)

    async def ask(self, name: str, method: str, *args: Any) -> Reply:
        payload = values.encode((args, {}))

        def question(number: int) -> wire.Call:
            self.asked[number] = name, args
            return wire.Call(number, key_of(name), method, payload)

        return await asyncio.wait_for(self.link.request(question), PATIENCE_SECONDS)

    async def call(self, name: str, method: str, *args: Any) -> Any:
        """The result; raises what the caller would see."""
        reply = await self.ask(name, method, *args)
        if isinstance(reply, wire.Failed):
            raise raise_from_report(reply.error)
        assert isinstance(reply, wire.CallReply)
        return values.decode(reply.payload)

    def close_idle_files(self) -> None:
        """Evict what nothing pins, and close the files that nobody needs."""
        for actor in self.host.registry.actors:
            if not actor.is_pinned:
                actor.evict()
        self.host.registry.sweep()

    async def settled(self) -> None:
        """Wait until no thread has any object's file."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.sleep(0)
            while self.host.registry.is_lending:
                await asyncio.sleep(0)

    async def stop(self) -> None:
        self.link.send(wire.Drain(5.0))
        await asyncio.wait_for(self.host.finished, PATIENCE_SECONDS)
        self.link.lost()
        await self.index.close()


@asynccontextmanager
async def in_process(
    folder: Path, *, disk: Disk | None = None, program: str = PROGRAM, pitr_days: int = 0
) -> AsyncIterator[InProcess]:
    """Started, and stopped at the end; what the program's import left in this process is taken back."""
    path, finders, main = list(sys.path), list(sys.meta_path), sys.modules.pop("main", None)
    running = InProcess(folder)
    try:
        await running.start(disk=disk, program=program, pitr_days=pitr_days)
        yield running
    finally:
        await running.stop()
        sys.path[:], sys.meta_path[:] = path, finders
        sys.modules.pop("main", None)
        if main is not None:
            sys.modules["main"] = main
