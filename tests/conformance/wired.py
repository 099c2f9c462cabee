"""The stage of facts that end at a client: a real host and the real room of client sockets on one loop, one clock.

The test is the client, over TCP and with a library that is not ours, and it owns the clock of the host and the room.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from durable import Response, WebSocketPair, values
from durable.actor.failure import raise_from_report
from durable.clock import ManualClock
from durable.gateway.events import Event
from durable.gateway.link import HostLink
from durable.gateway.router import Router
from durable.gateway.websockets import ClientSockets
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

IDLE_SECONDS = 10.0
"""The platform's, on a clock that the test moves."""

_PROGRAM = """\
from {module} import {name} as Base
from durable import WorkerEntrypoint

__all__ = ["Thing", "Default"]


class Thing(Base):
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.split("/")[3]
        return await self.env.THINGS.get_by_name(name).fetch(request)
"""


class Room(Thing):
    """Takes every socket with the tags of its path, `/name/tag/tag`, and writes down what its handlers are told."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.journal: list[Any] = []

    def fetch(self, request: Any) -> Response:
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server, request.url.split("/")[4:])
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws: Any, message: Any) -> Any:
        self.journal.append(message)

    def web_socket_close(self, ws: Any, code: int, reason: str, was_clean: bool) -> Any:
        self.journal.append((code, reason, was_clean, ws.ready_state))

    def web_socket_error(self, ws: Any, error: Any) -> Any:
        self.journal.append((str(error), ws.ready_state))


def journal(thing: Any) -> list[Any]:
    """A part that says what the room's handlers were told."""
    return list(thing.journal)


class Wired:
    """One host behind one room."""

    host: Host
    link: HostLink
    port: int

    def __init__(self, stage: Stage, disk: Disk | None) -> None:
        self._stage = stage
        self._folder = stage.gateway.folder
        self._disk = disk
        self.clock = ManualClock()
        self.router = Router()
        self.events: list[Event] = []
        self.logs: list[wire.Log] = []
        self.known: set[str] = set()
        self.room = ClientSockets(
            self.router, on_event=self.events.append, class_name=lambda key: "Thing", clock=self.clock
        )
        self._clients: list[ClientConnection] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._numbers = 0

    async def start(self, actor: type[Thing], compatibility_date: str) -> None:
        """The first host, and the server in front of it."""
        (self._folder / "main.py").write_text(_PROGRAM.format(module=actor.__module__, name=actor.__name__))
        await self.start_host(compatibility_date)
        self._runner = web.ServerRunner(web.Server(self._serve, handler_cancellation=True))
        await self._runner.setup()
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        await web.SockSite(self._runner, listening).start()

    async def start_host(self, compatibility_date: str = "2026-11-01") -> None:
        """A host that takes over what the room has."""
        StateLayout(self._folder / "state").ensure()
        ours, theirs = channel_pair()
        self._numbers += 1
        loop = asyncio.get_running_loop()
        self.host = Host(theirs, loop, version="test", python="test", disk=self._disk, clock=lambda _: self.clock)
        link = self.link = HostLink(ours, self._numbers, 0, on_event=self.events.append)
        ready: asyncio.Future[wire.Ready | wire.LoadFailed] = loop.create_future()
        link.on(wire.Ready, ready.set_result)
        link.on(wire.LoadFailed, ready.set_result)
        link.on(wire.Log, self.logs.append)
        link.on(wire.IndexPut, lambda put: self._answer_index(link, put))
        link.on(wire.IndexFind, lambda find: link.send(wire.IndexFound(find.id, find.actor.id in self.known)))
        self.room.listen(link)
        link.send(
            wire.Load(
                root=str(self._folder), main=str(self._folder / "main.py"), state=str(self._folder / "state"),
                namespaces=[wire.NamespaceInfo(KEY, "Thing")], bindings={"THINGS": "Thing"}, vars={},
                compatibility_date=compatibility_date, durability="full", idle_seconds=IDLE_SECONDS,
                host_number=self._numbers, shard=0, shards=1,
            )
        )  # fmt: skip
        loaded = await ready
        assert isinstance(loaded, wire.Ready), loaded
        link.send(wire.Attach(*self.room.attach_states(0, 1)))
        self.router.attach([link])
        self.room.release()

    def _answer_index(self, link: HostLink, put: wire.IndexPut) -> None:
        self.known.add(put.actor.id)
        if put.id:
            link.send(wire.IndexDurable([put.id]))

    async def stop_host(self, *, drain_seconds: float = 5.0) -> None:
        """As a reload does it: the host drains, its sockets stay with the room."""
        self.room.hold()
        closed: asyncio.Future[wire.Closed] = asyncio.get_running_loop().create_future()
        self.link.on(wire.Closed, closed.set_result)
        self.link.send(wire.Drain(drain_seconds))
        last_words = await closed
        await self.host.finished
        self.link.lost(reloading=True)
        self.router.detach(self.link)
        self.room.host_closed(self.link, last_words.not_begun)

    def lose_host(self) -> None:
        """As the end of its process would: what it said and did not make durable is gone."""
        self.link.lost()
        self.router.detach(self.link)
        self.room.host_lost(self.link)

    async def stop(self) -> None:
        for client in self._clients:
            if not client.transport.is_closing():
                client.transport.abort()
        for writer in self._writers:
            writer.transport.abort()
        if not self.link.is_lost:
            await self.stop_host(drain_seconds=0.0)
        else:
            await self.host.finished
            epochs: Any = self.host.commits.epochs
            epochs.close()
            self.host.registry.close_all()
        await self._runner.shutdown()
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        url = f"http://localhost{request.path_qs}"
        headers = [(str(name), value) for name, value in request.headers.items()]
        reply = await self.link.request(
            lambda number: wire.HttpRequest(number, None, "GET", url, headers, upgrade=True)
        )
        if not isinstance(reply, wire.HttpReply) or reply.status != 101:
            return web.Response(status=500, text=str(reply))
        try:
            return await self.room.connect(request, reply, self.link)
        except ConnectionError:
            assert request.transport is not None
            request.transport.close()
            raise

    # --- what the test does -------------------------------------------------------------------------------------------
    async def dial(self, path: str = "a", **options: Any) -> ClientConnection:
        """A client of the object that the path begins with; the rest are tags."""
        options.setdefault("compression", None)
        client = await connect(f"ws://127.0.0.1:{self.port}/{path}", max_size=None, **options)
        self._clients.append(client)
        return client

    async def dial_plainly(self, path: str = "a") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The bare connection after its handshake, for bytes that a library would hide."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(
            f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def run(self, part: Part, *args: Any, name: str = "a") -> Any:
        """One event of the object, from outside; its result, or its error, once it is durable."""
        key = ActorKey(KEY, id_from_name(KEY, name), name)
        payload = values.encode(((self._stage.number(part), *args), {}))
        reply = await self.link.request(lambda number: wire.Call(number, key, "play", payload))
        if isinstance(reply, wire.Failed):
            raise raise_from_report(reply.error)
        assert isinstance(reply, wire.CallReply)
        return values.decode(reply.payload)

    async def alarm(self, scheduled_ms: int, *, name: str = "a") -> wire.AlarmReply:
        """Run the object's alarm, as the alarm scheduler does when it is due."""
        key = ActorKey(KEY, id_from_name(KEY, name), name)
        reply = await self.link.request(lambda number: wire.AlarmDue(number, key, scheduled_ms, 0))
        assert isinstance(reply, wire.AlarmReply)
        return reply

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for what nobody tells the test of."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not (found := condition()):
                await asyncio.sleep(0.001)
        return found

    async def until_run(self, part: Part, condition: Callable[[Any], Any], *, name: str = "a") -> Any:
        """Ask the object until its answer is as wanted."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition(found := await self.run(part, name=name)):
                await asyncio.sleep(0.001)
        return found

    @property
    def in_memory(self) -> bool:
        """Whether any object is."""
        return bool(self.host.registry.actors)

    async def hibernate(self) -> None:
        """Ten idle seconds pass; the object must go."""
        await self.until(lambda: not any(actor.has_work for actor in self.host.registry.actors))
        self.clock.advance(IDLE_SECONDS + 0.1)
        self.host.registry.sweep()
        assert not self.in_memory


@asynccontextmanager
async def wired(
    stage: Stage, actor: type[Thing] = Room, *, compatibility_date: str = "2026-11-01", disk: Disk | None = None
) -> AsyncIterator[Wired]:
    """The host that every fact begins with gives way to one behind a room of client sockets."""
    await stage.gateway.stop()
    running = Wired(stage, disk)
    await running.start(actor, compatibility_date)
    try:
        yield running
    finally:
        await running.stop()


def say_close(client: ClientConnection, code: int | None = None, reason: str = "") -> None:
    """Send a close frame, and wait for nothing."""
    client.protocol.send_close(code, reason)
    client.send_data()


async def close_of(client: ClientConnection) -> tuple[int | None, str | None]:
    """How the connection ends: the code and reason that the client sees, after whatever it still receives."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                await client.recv()
    except ConnectionClosed:
        return client.close_code, client.close_reason
