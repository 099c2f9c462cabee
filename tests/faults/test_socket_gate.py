"""What the gateway keeps of sockets waits for the disk, too: it may lag behind the database, never lead it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from durable import values
from durable.errors import ActorResetError
from durable.gateway import link as link_module
from durable.gateway.link import HostLink
from durable.gateway.websockets import ClientSockets
from durable.gateway.withheld import GATED
from durable.wire.messages import (
    ActorKey,
    HttpReply,
    HttpRequest,
    SetAutoResponse,
    SocketAccepted,
    SocketAttachment,
)
from tests.conformance.held_disk import HeldDisk
from tests.faults.in_process import PATIENCE_SECONDS, InProcess, in_process, key_of

PROGRAM = """\
from durable import DurableObject, Response, WebSocketPair, WebSocketRequestResponsePair


class Thing(DurableObject):
    def write(self, n):
        self.ctx.storage.kv.put("n", n)
        for ws in self.ctx.get_web_sockets():
            ws.serialize_attachment(n)
        self.ctx.set_web_socket_auto_response(WebSocketRequestResponsePair("ping", f"pong {n}"))
        return n

    def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.storage.kv.put("n", request.url)
        self.ctx.accept_web_socket(server, tags=["t"])
        return Response(None, status=101, web_socket=client)
"""


class OneHost:
    """A router with one link."""

    def __init__(self, link: HostLink) -> None:
        self.link = link

    def owner_nowait(self, actor: ActorKey | None) -> HostLink:
        return self.link


class Bench:
    """A host, the gateway's link to it, and the gateway's room of sockets; their clients are still to come."""

    def __init__(self, running: InProcess, disk: HeldDisk) -> None:
        self.running = running
        self.disk = disk
        router: Any = OneHost(running.link)
        self.room = ClientSockets(router, on_event=running.faults.append, class_name=lambda key: key)
        self.room.listen(running.link)

    async def accept(self, name: str, url: str = "http://x/1") -> int:
        """The number of a new socket of this object."""
        reply = await asyncio.wait_for(
            self.running.link.request(lambda number: HttpRequest(number, key_of(name), "GET", url, [])),
            PATIENCE_SECONDS,
        )
        assert isinstance(reply, HttpReply)
        return reply.socket

    def known(self) -> list[tuple[list[str], Any]]:
        """Tags and attachment of every socket, as the next host would be told now."""
        states, _ = self.room.attach_states(0, 1)
        return [(state.tags, None if state.attachment is None else values.decode(state.attachment)) for state in states]

    def pongs(self) -> list[str]:
        return [pair.response for pair in self.room.attach_states(0, 1)[1] if pair.response is not None]

    async def something_waits(self) -> None:
        """Until the gateway has an answer that it may not let out: all that was said before it has arrived."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.running.link.statistics().withheld:
                await asyncio.sleep(0)


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    disk = HeldDisk()
    async with in_process(folder / "run", disk=disk, program=PROGRAM) as running:
        made = Bench(running, disk)
        yield made
        made.room.close_all(1006)
        for record in list(made.room._records.values()):
            made.room.expire(record)


async def look_while_the_disk_is_held(folder: Path) -> None:
    async with bench(folder) as here:
        await here.accept("a")
        assert await here.running.call("a", "write", 1) == 1
        assert (here.known(), here.pongs()) == ([(["t"], 1)], ["pong 1"])

        with here.disk.held():
            writing = asyncio.ensure_future(here.running.call("a", "write", 2))
            accepting = asyncio.ensure_future(here.accept("a", "http://x/2"))
            try:
                await here.something_waits()
                # A power cut now would take the second row back: whoever comes next must not know more than the disk.
                assert (here.known(), here.pongs()) == ([(["t"], 1)], ["pong 1"])
            finally:
                here.disk._may.set()
                await asyncio.gather(writing, accepting)
        assert (here.known(), here.pongs()) == ([(["t"], 2), (["t"], None)], ["pong 2"])


async def test_attachments_tags_and_auto_responses_are_never_ahead_of_the_database(tmp_path: Path):
    await look_while_the_disk_is_held(tmp_path)


@pytest.mark.parametrize("kind", [SocketAttachment, SetAutoResponse, SocketAccepted])
async def test_a_gate_that_lets_them_run_ahead_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type
):
    monkeypatch.setattr(link_module, "GATED", GATED - {kind})
    with pytest.raises(AssertionError):
        await look_while_the_disk_is_held(tmp_path)


async def test_a_failing_disk_drops_the_sockets_of_its_object_and_no_others(tmp_path: Path):
    async with bench(tmp_path) as here:
        mine, other = await here.accept("a"), await here.accept("b")
        await here.running.call("b", "write", 5)
        here.disk.fails = True
        with pytest.raises(ActorResetError):
            await here.running.call("a", "write", 1)
        here.disk.fails = False

        async with asyncio.timeout(PATIENCE_SECONDS):
            while here.room._records[mine].wanted_close is None:
                await asyncio.sleep(0)
        assert here.room._records[mine].wanted_close == (1006, "")
        assert here.room._records[other].wanted_close is None
        assert (here.known(), here.pongs()) == ([(["t"], 5)], ["pong 5"])
