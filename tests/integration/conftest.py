"""A host in this process, with the test as its gateway: real storage, real gates, no HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from durable import values
from durable.actor.failure import raise_from_report
from durable.host.host import Host
from durable.sdk.ids import id_from_name
from durable.storage.layout import StateLayout
from durable.wire import messages as wire
from durable.wire.channel import Channel, channel_pair
from durable.wire.messages import ActorKey

KEY = "Thing-0123456789ab"


class Gateway:
    """The other end of the host's channel: asks, collects, and believes nothing that is not durable yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages: list[Any] = []
        self.durable = 0
        self.index: dict[str, int | None] = {}
        self.answers_index = True
        self.index_asked: list[wire.IndexPut] = []
        self._ids = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()

    async def start(self, program: str, *, shards: int = 1, compatibility_date: str = "2026-11-01") -> None:
        (self.folder / "main.py").write_text(program)
        layout = StateLayout(self.folder / "state")
        layout.ensure()
        ours, theirs = channel_pair()
        self.host = Host(theirs, asyncio.get_running_loop(), version="test", python="test")
        self.channel: Channel[Any] = Channel(
            ours, wire.FromHost, on_messages=self._take, on_closed=lambda error: self._changed.set()
        )
        self.channel.send(
            wire.Load(
                root=str(self.folder), main=str(self.folder / "main.py"), state=str(self.folder / "state"),
                namespaces=[wire.NamespaceInfo(KEY, "Thing")], bindings={"THINGS": "Thing"}, vars={"COLOUR": "blue"},
                compatibility_date=compatibility_date, durability="full", idle_seconds=3600.0, host_number=1, shard=0,
                shards=shards,
            )
        )  # fmt: skip
        await self.until(lambda: self.of(wire.Ready, wire.LoadFailed))

    def _take(self, messages: list[Any]) -> None:
        for message in messages:
            self.messages.append(message)
            if isinstance(message, wire.EpochDurable):
                self.durable = message.epoch
            elif isinstance(message, wire.IndexPut):
                self.index_asked.append(message)
                if self.answers_index:
                    self.answer_index()
            elif isinstance(message, (wire.HttpReply, wire.CallReply, wire.Failed, wire.AlarmReply, wire.InspectReply)):
                waiting = self._waiting.pop(message.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        self._changed.set()

    def answer_index(self) -> None:
        for put in self.index_asked:
            self.index[put.actor.id] = put.alarm_ms
            if put.id:
                self.channel.send(wire.IndexDurable([put.id]))
        self.index_asked = []

    def of(self, *kinds: type) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kinds)]

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(20):
            while not (found := condition()):
                self._changed.clear()
                await self._changed.wait()
        return found

    def key(self, name: str = "a") -> ActorKey:
        return ActorKey(KEY, id_from_name(KEY, name), name)

    def ask(self, question: Callable[[int], Any]) -> asyncio.Future[Any]:
        self._ids += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._ids] = future
        self.channel.send(question(self._ids))
        return future

    def send_call(self, method: str, *args: Any, name: str = "a", **kwargs: Any) -> asyncio.Future[Any]:
        payload = values.encode((args, kwargs))
        return self.ask(lambda number: wire.Call(number, self.key(name), method, payload))

    async def call(self, method: str, *args: Any, name: str = "a", **kwargs: Any) -> Any:
        reply = await self.send_call(method, *args, name=name, **kwargs)
        await self.until(lambda: reply.epoch <= self.durable)
        if isinstance(reply, wire.Failed):
            raise raise_from_report(reply.error)
        return values.decode(reply.payload)

    async def fetch(self, path: str = "/", *, method: str = "GET", upgrade: bool = False) -> Any:
        reply = await self.ask(
            lambda number: wire.HttpRequest(number, None, method, f"http://localhost{path}", [], upgrade=upgrade)
        )
        await self.until(lambda: reply.epoch <= self.durable)
        return reply

    async def stop(self) -> wire.Closed:
        self.channel.send(wire.Drain(5.0))
        closed: wire.Closed = (await self.until(lambda: self.of(wire.Closed)))[0]
        self.channel.close()
        await self.host.finished
        return closed


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    path, finders, modules = list(sys.path), list(sys.meta_path), set(sys.modules)
    gateway = Gateway(tmp_path)
    yield gateway
    if hasattr(gateway, "channel") and not gateway.channel.closed:
        await gateway.stop()
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        if name == "main":
            del sys.modules[name]
