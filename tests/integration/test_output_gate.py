"""Both halves of the output gate: a host on a disk that the test holds, and the gateway's end of its channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from durable import values
from durable.gateway.link import HostLink
from durable.host.host import Host
from durable.host.transport import Transport
from durable.sdk.ids import id_from_name
from durable.storage.layout import StateLayout
from durable.wire import messages as wire
from durable.wire.messages import ActorKey
from durable.wire.socket_pair import channel_pair
from tests.conformance.held_disk import HeldDisk

KEY = "Thing-0123456789ab"

PROGRAM = """
import asyncio
from durable import DurableObject, WebSocketPair

class Thing(DurableObject):
    def put(self, value):
        self.ctx.storage.kv.put("k", value)
        return value

    async def put_and_ask(self, value, name):
        self.ctx.storage.kv.put("k", value)
        return await self.env.THINGS.get_by_name(name).put(value)

    def put_and_forget(self, value, name):
        self.ctx.storage.kv.put("k", value)
        self.asked = self.env.THINGS.get_by_name(name).put(value)

    def put_and_send(self, value):
        self.ctx.storage.kv.put("k", value)
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        server.send("revealing")
"""


class Linked:
    """A host of two, the first; `seen` are the messages that its link let through."""

    def __init__(self, folder: Path) -> None:
        self.disk = HeldDisk()
        self.seen: list[Any] = []
        (folder / "main.py").write_text(PROGRAM)
        layout = StateLayout(folder / "state")
        layout.ensure()
        ours, theirs = channel_pair()
        self.host = Host(theirs, asyncio.get_running_loop(), version="test", python="test", disk=self.disk)
        self.link = HostLink(ours, 1, 0, on_event=lambda event: None)
        kinds: list[type] = [wire.Ready, wire.Call, wire.SocketAccepted, wire.SocketSend]
        for kind in kinds:
            self.link.on(kind, self.seen.append)
        self.link.on(wire.IndexPut, lambda put: self.link.send(wire.IndexDurable([put.id])))
        self.link.on(wire.IndexFind, lambda find: self.link.send(wire.IndexFound(find.id, False)))
        self.link.send(
            wire.Load(
                root=str(folder), main=str(folder / "main.py"), state=str(folder / "state"),
                namespaces=[wire.NamespaceInfo(KEY, "Thing")], bindings={"THINGS": "Thing"}, vars={},
                compatibility_date="2026-11-01", durability="full", idle_seconds=3600.0, host_number=1,
                shard=0, shards=2,
            )
        )  # fmt: skip
        self.names = [
            [name for name in "abcdefghijkl" if int(id_from_name(KEY, name)[:8], 16) % 2 == shard] for shard in (0, 1)
        ]
        """Of objects of this host, and of the other."""

    def call(self, name: str, method: str, *args: Any) -> asyncio.Task[Any]:
        key = ActorKey(KEY, id_from_name(KEY, name), name)
        payload = values.encode((args, {}))
        return asyncio.ensure_future(self.link.request(lambda number: wire.Call(number, key, method, payload)))

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.seen if isinstance(message, kind)]

    async def quiet(self) -> None:
        """All has been said that will be, the disk aside."""
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.fixture
async def linked(gateway: Any, tmp_path: Path) -> AsyncIterator[Linked]:
    # `gateway` is there for what it puts back afterwards: modules, paths.
    linked = Linked(tmp_path)
    while not linked.of(wire.Ready):
        await asyncio.sleep(0)
    yield linked
    linked.disk.fails = False
    linked.link.send(wire.Drain(5.0))
    await linked.host.finished
    linked.link.lost()


async def test_an_answer_leaves_when_the_disk_has_what_it_reveals(linked: Linked) -> None:
    name = linked.names[0][0]
    await linked.call(name, "put", 1)
    with linked.disk.held():
        asking = linked.call(name, "put", 2)
        await linked.quiet()
        assert not asking.done()
    assert values.decode((await asking).payload) == 2


async def test_nothing_of_a_failed_flush_leaves_and_who_asked_is_told_of_the_reset(linked: Linked) -> None:
    name = linked.names[0][0]
    await linked.call(name, "put", 1)
    with linked.disk.held():
        asking = linked.call(name, "put_and_send", 2)
        await linked.quiet()
        linked.disk.fails = True
    failed = await asking
    linked.disk.fails = False
    assert (failed.error.type, failed.error.flags, failed.broken) == ("ActorResetError", ["durable_object_reset"], True)
    await linked.call(name, "put", 3)
    assert linked.of(wire.SocketAccepted) == []
    assert linked.of(wire.SocketSend) == []


async def fail_the_epoch_before_a_question(linked: Linked, method: str) -> None:
    """A question leaves the actor in the epoch after one that fails, and that later epoch becomes durable."""
    (name, other), (theirs, *_) = linked.names[0][:2], linked.names[1]
    await asyncio.gather(linked.call(name, "put", 1), linked.call(other, "put", 1))
    with linked.disk.held():
        first = linked.call(name, "put", 2)
        await linked.quiet()
        second = linked.call(name, method, 3, theirs)
        await linked.quiet()
        linked.disk.fails = True
    assert (await first).broken
    linked.disk.fails = False
    await linked.call(other, "put", 2)
    await linked.call(other, "put", 3)
    assert (await second).broken
    await linked.quiet()


@pytest.mark.parametrize("method", ["put_and_ask", "put_and_forget"])
async def test_a_question_to_another_host_never_leaves_when_an_earlier_write_was_lost(
    linked: Linked, method: str
) -> None:
    await fail_the_epoch_before_a_question(linked, method)
    assert linked.of(wire.Call) == []


async def test_a_host_that_does_not_name_the_questions_of_a_failed_actor_is_found_out(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transport, "questions_of", lambda transport, callers: [])
    await fail_the_epoch_before_a_question(linked, "put_and_forget")
    assert [call.method for call in linked.of(wire.Call)] == ["put"]
