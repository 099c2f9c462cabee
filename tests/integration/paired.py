"""One or two hosts behind a real router and relay on one loop: what holds within a host must hold across two."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from durable import DurableObject, values
from durable.actor.failure import raise_from_report
from durable.gateway.events import Event
from durable.gateway.link import HostLink
from durable.gateway.relay import Relay
from durable.gateway.router import Router
from durable.host.host import Host
from durable.sdk.ids import id_from_name
from durable.storage.layout import StateLayout
from durable.wire import messages as wire
from durable.wire.messages import ActorKey
from durable.wire.socket_pair import channel_pair

KEY = "Thing-0123456789ab"
PROGRAM = """\
from durable import Response, WorkerEntrypoint
from {module} import {name} as Base

__all__ = ["Thing", "Default", "Admin"]


class Thing(Base):
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.split("/")[3]
        if not name:
            return await self.env.THINGS.get_by_name("a").fetch(request)
        return Response(await self.env.THINGS.get_by_name(name).keep(lambda: "lent while the request runs"))


class Admin(WorkerEntrypoint):
    def play_here(self, part, *args):
        from tests.integration import paired

        return paired.PARTS[part](self, *args)
"""
PARTS: dict[int, Callable[..., Any]] = {}
_numbers = itertools.count(1)


def part(play: Callable[..., Any]) -> int:
    """A number under which `play` can be sent to objects of this process."""
    number = next(_numbers)
    PARTS[number] = play
    return number


class Paired(DurableObject):
    """Runs what it is sent, by number."""

    async def play(self, number: int, *args: Any) -> Any:
        result = PARTS[number](self, *args)
        return await result if hasattr(result, "__await__") else result

    def play_plainly(self, number: int, *args: Any) -> Any:
        return PARTS[number](self, *args)


class Keeping(Paired):
    """Remembers what it was called with, and what it was told to keep."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.heard: list[Any] = []
        self.kept: Any = None


class Pair:
    """`shards` hosts of one program; objects "a" and "b" are in the first and the last of them."""

    def __init__(self, folder: Path, shards: int) -> None:
        self.shards = shards
        self.folder = folder
        self.router = Router(shards)
        self.events: list[Event] = []
        self.relay = Relay(self.router, self.events.append)
        self.hosts: list[Host] = []
        self.links: list[HostLink] = []
        self.index: set[str] = set()
        names = (f"n{number}" for number in itertools.count())
        self._names = {
            "a": next(name for name in names if self._shard(name) == 0),
            "b": next(name for name in names if self._shard(name) == shards - 1),
        }

    def _shard(self, name: str) -> int:
        return int(id_from_name(KEY, name)[:8], 16) % self.shards

    def name(self, label: str) -> str:
        """The real name of "a" or "b"."""
        return self._names[label]

    def key(self, label: str) -> ActorKey:
        return ActorKey(KEY, id_from_name(KEY, self.name(label)), self.name(label))

    async def start(self, actor: type[Paired] = Paired, **load: Any) -> None:
        (self.folder / "main.py").write_text(PROGRAM.format(module=actor.__module__, name=actor.__name__))
        StateLayout(self.folder / "state").ensure()
        for shard in range(self.shards):
            self.links.append(await self._start_host(shard, **load))
        self.router.attach(self.links)

    async def _start_host(self, shard: int, **load: Any) -> HostLink:
        ours, theirs = channel_pair()
        loop = asyncio.get_running_loop()
        number = shard + 1
        self.hosts.append(Host(theirs, loop, version="test", python="test"))
        link = HostLink(ours, number, shard, on_event=self.events.append)
        ready: asyncio.Future[wire.Ready | wire.LoadFailed] = loop.create_future()
        link.on(wire.Ready, ready.set_result)
        link.on(wire.LoadFailed, ready.set_result)
        link.on(wire.IndexPut, lambda put: self._indexed(link, put))
        link.on(wire.IndexFind, lambda find: link.send(wire.IndexFound(find.id, find.actor.id in self.index)))
        self.relay.serve(link)
        settings: dict[str, Any] = {
            "compatibility_date": "2026-11-01", "durability": "full", "idle_seconds": 3600.0,
        } | load  # fmt: skip
        link.send(
            wire.Load(
                root=str(self.folder), main=str(self.folder / "main.py"), state=str(self.folder / "state"),
                namespaces=[wire.NamespaceInfo(KEY, "Thing")], bindings={"THINGS": "Thing"}, vars={},
                host_number=number, shard=shard, shards=self.shards, **settings,
            )
        )  # fmt: skip
        answer = await asyncio.wait_for(ready, 20)
        if isinstance(answer, wire.LoadFailed):
            raise raise_from_report(answer.error)
        return link

    def _indexed(self, link: HostLink, put: wire.IndexPut) -> None:
        self.index.add(put.actor.id)
        if put.id:
            link.send(wire.IndexDurable([put.id]))

    async def run(self, play: Callable[..., Any], *args: Any, on: str = "a", method: str = "play") -> Any:
        """One event of object `on` that runs `play(thing, other, *args)`; `other` is a stub of the other object."""
        other = self.name("b" if on == "a" else "a")

        def begin(thing: Any, *given: Any) -> Any:
            return play(thing, thing.env.THINGS.get_by_name(other), *given)

        key = self.key(on)
        link = await self.router.link_for(key)
        payload = values.encode(((part(begin), *args), {}))
        reply = await asyncio.wait_for(link.request(lambda number: wire.Call(number, key, method, payload)), 20)
        if isinstance(reply, wire.Failed):
            raise raise_from_report(reply.error, object_id=key.id)
        assert isinstance(reply, wire.CallReply)
        return values.decode(reply.payload)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Step the loop until something is so."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0)

    @property
    def exported(self) -> int:
        """Functions and RpcTargets that somebody holds a stub of, in all hosts."""
        return sum(host.transport.targets.statistics()[0] for host in self.hosts)

    def pinned(self, label: str) -> bool:
        host = self.hosts[self._shard(self.name(label))]
        actor = host.registry.live(self.key(label).id)
        return actor is not None and actor.is_pinned

    def lose(self, label: str) -> None:
        """The process of an object is gone without a word."""
        link = self.links[self._shard(self.name(label))]
        self.router.detach(link)
        link.lost()

    async def stop(self) -> None:
        for host, link in zip(self.hosts, self.links, strict=True):
            if not link.is_lost:
                link.send(wire.Drain(0.1))
                await asyncio.wait_for(host.finished, 20)
                link.lost(reloading=True)


@asynccontextmanager
async def paired(folder: Path, shards: int, actor: type[Paired]) -> AsyncIterator[Pair]:
    """Started, and stopped at the end; what the program's import left in this process is taken back."""
    path, finders = list(sys.path), list(sys.meta_path)
    found = Pair(folder, shards)
    await found.start(actor)
    try:
        yield found
    finally:
        await found.stop()
        sys.path[:], sys.meta_path[:] = path, finders
        sys.modules.pop("main", None)
