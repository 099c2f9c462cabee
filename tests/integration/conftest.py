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
from durable.clock import Clock, SystemClock
from durable.host.host import Host
from durable.host.outgoing import close_client
from durable.sdk.ids import id_from_name
from durable.storage.layout import StateLayout
from durable.storage.sync_pool import Disk
from durable.wire import messages as wire
from durable.wire.channel import Channel
from durable.wire.messages import ActorKey
from durable.wire.socket_pair import channel_pair

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
        self.holds_removals = False
        self.removals_asked: list[wire.IndexRemove] = []
        self._ids = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()

    async def start(
        self,
        program: str,
        *,
        shards: int = 1,
        compatibility_date: str = "2026-11-01",
        idle_seconds: float = 3600.0,
        clock: Clock | None = None,
        disk: Disk | None = None,
        attach: wire.Attach | None = None,
        sqlite: bool = True,
        pitr_days: int = 0,
        portability: str = "off",
    ) -> None:
        """One host of `shards`, the first; all others are played by the test, which sees what is asked of them."""
        (self.folder / "main.py").write_text(program)
        layout = StateLayout(self.folder / "state")
        layout.ensure()
        ours, theirs = channel_pair()
        self.host = Host(
            theirs, asyncio.get_running_loop(), version="test", python="test", disk=disk,
            clock=SystemClock if clock is None else lambda _: clock,
        )  # fmt: skip
        self.channel: Channel[Any] = Channel(
            ours, wire.FromHost, on_messages=self._take, on_closed=lambda error: self._changed.set()
        )
        self.channel.send(
            wire.Load(
                root=str(self.folder), main=str(self.folder / "main.py"), state=str(self.folder / "state"),
                namespaces=[wire.NamespaceInfo(KEY, "Thing", sqlite)], bindings={"THINGS": "Thing"},
                vars={"COLOUR": "blue"},
                compatibility_date=compatibility_date, durability="full", idle_seconds=idle_seconds, host_number=1,
                shard=0, shards=shards, pitr_days=pitr_days, portability=portability,
            )
        )  # fmt: skip
        await self.until(lambda: self.of(wire.Ready, wire.LoadFailed))
        if attach is not None:
            self.channel.send(attach)

    def _take(self, messages: list[Any]) -> None:
        for message in messages:
            self.messages.append(message)
            if isinstance(message, wire.EpochDurable):
                self.durable = message.epoch
            elif isinstance(message, wire.IndexPut):
                self.index_asked.append(message)
                if self.answers_index:
                    self.answer_index()
            elif isinstance(message, wire.IndexFind):
                self.channel.send(wire.IndexFound(message.id, message.actor.id in self.index))
            elif isinstance(message, wire.IndexRemove):
                self.removals_asked.append(message)
                if not self.holds_removals:
                    self.answer_removals()
            elif isinstance(message, (wire.HttpReply, wire.CallReply, wire.Failed, wire.AlarmReply, wire.InspectReply)):
                waiting = self._waiting.pop(message.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        self._changed.set()

    def answer_removals(self, error: str = "") -> None:
        for removal in self.removals_asked:
            if not error:
                self.index.pop(removal.actor.id, None)
            self.channel.send(wire.IndexDurable([removal.id], error))
        self.removals_asked = []

    def answer_index(self) -> None:
        for put in self.index_asked:
            self.index[put.actor.id] = put.alarm_ms
            if put.id:
                self.channel.send(wire.IndexDurable([put.id]))
        self.index_asked = []

    def send(self, message: wire.Message) -> None:
        self.channel.send(message)

    def of(self, *kinds: type) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kinds)]

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(20):
            while not (found := condition()):
                self._changed.clear()
                await self._changed.wait()
        return found

    async def settled(self) -> None:
        """Everything sent so far has been handled: the host answers in order."""
        await self.ask(lambda number: wire.Evict(number, ActorKey(KEY, "0" * 64)))

    async def step_until(self, condition: Callable[[], Any]) -> None:
        """Step the loop until something is so in the host, which tells nobody."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0)

    def key(self, name: str = "a") -> ActorKey:
        return ActorKey(KEY, id_from_name(KEY, name), name)

    def ask(self, question: Callable[[int], Any]) -> asyncio.Future[Any]:
        self._ids += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._ids] = future
        self.channel.send(question(self._ids))
        return asyncio.ensure_future(asyncio.wait_for(future, 20))

    def send_call(self, method: str, *args: Any, name: str = "a", **kwargs: Any) -> asyncio.Future[Any]:
        payload = values.encode((args, kwargs))
        return self.ask(lambda number: wire.Call(number, self.key(name), method, payload))

    async def call(self, method: str, *args: Any, name: str = "a", **kwargs: Any) -> Any:
        return await self.call_sent(self.send_call(method, *args, name=name, **kwargs))

    async def call_sent(self, sent: asyncio.Future[Any]) -> Any:
        """The result, or error, of a call that is on its way, once what it reveals is durable."""
        reply = await sent
        await self.until(lambda: reply.epoch <= self.durable)
        if isinstance(reply, wire.Failed):
            raise raise_from_report(reply.error)
        return values.decode(reply.payload)

    def send_fetch(
        self, path: str = "/", *, method: str = "GET", name: str | None = None, **more: Any
    ) -> asyncio.Future[Any]:
        """To the worker, or with `name` to an actor, as a host of another shard would ask."""
        key = None if name is None else self.key(name)
        headers = more.pop("headers", [])
        return self.ask(
            lambda number: wire.HttpRequest(number, key, method, f"http://localhost{path}", headers, **more)
        )

    async def fetch(self, path: str = "/", **more: Any) -> Any:
        reply = await self.send_fetch(path, **more)
        await self.until(lambda: reply.epoch <= self.durable)
        return reply

    async def body(self, stream: int, *, credit: bool = True) -> bytes:
        """The whole of a body that the host streams, with credit for each chunk."""
        data, seen = b"", 0
        while True:
            pieces = [message for message in self.of(wire.BodyChunk, wire.BodyEnd) if message.stream == stream]
            for piece in pieces[seen:]:
                if isinstance(piece, wire.BodyEnd):
                    if piece.error:
                        raise OSError(piece.error)
                    return data
                data += piece.data
                if credit:
                    self.send(wire.BodyCredit(stream, len(piece.data)))
            seen = len(pieces)
            self._changed.clear()
            async with asyncio.timeout(20):
                await self._changed.wait()

    async def stop(self, drain_seconds: float = 5.0) -> wire.Closed:
        self.channel.send(wire.Drain(drain_seconds))
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
        # What a test has left running, nobody waits for any more.
        await gateway.stop(0.1)
    # The client belongs to the loop of its test.
    await close_client()
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        if name == "main":
            del sys.modules[name]
