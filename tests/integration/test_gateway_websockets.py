"""Client sockets over real connections: aiohttp's server on our side, `websockets`, aiohttp and bare TCP on the other.

The host is scripted: it answers each upgrade with a socket of its own and says what the test tells it to.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from durable.clock import ManualClock
from durable.errors import WireError
from durable.gateway import client_socket, socket_delivery
from durable.gateway.events import Event, SocketEventsLost, SocketGone, SocketOpened
from durable.gateway.headers import InvalidHeaderError
from durable.gateway.websockets import ClientSockets
from durable.limits import SOCKET_SEND_BUFFER_BYTES_MAX
from durable.wire.messages import (
    ActorKey,
    AutoResponded,
    AutoResponseState,
    Begun,
    Done,
    HttpReply,
    SetAutoResponse,
    SocketAccepted,
    SocketAttachment,
    SocketClose,
    SocketClosed,
    SocketFailed,
    SocketMessage,
    SocketSend,
    SocketState,
)

ROOM = ActorKey("Room-1", f"{1:064x}", "general")
VANISHED = "WebSocket disconnected without sending Close frame."


class Host:
    """A link whose other side is the test. `heard` is what the gateway sent it."""

    def __init__(self, number: int, shard: int = 0) -> None:
        self.host_number = number
        self.shard = shard
        self.is_lost = False
        self.closed_in_order = False
        self.unclaimed: Any = None
        self.socket_owner: Any = None
        self.handlers: dict[type, Any] = {}
        self.heard: list[Any] = []

    def on(self, kind: type, handler: Any) -> None:
        self.handlers[kind] = handler

    def send(self, message: Any) -> None:
        self.heard.append(message)

    def say(self, *messages: Any) -> None:
        for message in messages:
            self.handlers[type(message)](message)

    @property
    def texts(self) -> list[str | None]:
        return [message.text for message in self.heard if isinstance(message, SocketMessage)]

    def begin(self, *messages: Any) -> None:
        self.say(Begun([message.event for message in messages]))

    def finish(self, *messages: Any) -> None:
        self.say(Done([message.event for message in messages]))


class Placement:
    """A router with one shard."""

    def __init__(self) -> None:
        self.link: Host | None = None

    def owner_nowait(self, actor: ActorKey | None) -> Any:
        return self.link


class Bench:
    """A server whose every request is upgraded onto a socket that the scripted host accepted."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        router: Any = Placement()
        self.router: Placement = router
        self.clock = ManualClock(wall_ms=5000)
        self.room = ClientSockets(
            router, on_event=self.events.append, class_name=lambda key: key.split("-")[0], clock=self.clock
        )
        self.host = self.start_host(1)
        self.port = 0
        self.sockets = 0
        self.hibernatable = True
        self.reply_headers: list[tuple[str, str]] = []
        self.before_reply: Callable[[int], None] = lambda _socket: None
        self.accept_first = True
        self.connected: asyncio.Queue[int] = asyncio.Queue()
        self.errors: list[BaseException] = []
        self.writers: list[asyncio.StreamWriter] = []

    def start_host(self, number: int) -> Host:
        host = Host(number)
        self.room.listen(host)  # type: ignore[arg-type]
        self.router.link = host
        self.host = host
        return host

    def lose_host(self) -> Host:
        lost = self.host
        lost.is_lost = True
        self.router.link = None
        self.room.host_lost(lost)  # type: ignore[arg-type]
        return lost

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.sockets += 1
        number = self.sockets
        if self.accept_first:
            self.host.say(SocketAccepted(number, ROOM, [f"tag{number}"], self.hibernatable))
        self.before_reply(number)
        reply = HttpReply(1, 0, 101, "", self.reply_headers, socket=number)
        self.connected.put_nowait(number)
        try:
            return await self.room.connect(request, reply, self.host)  # type: ignore[arg-type]
        except ConnectionError:
            assert request.transport is not None
            request.transport.close()
            raise
        except InvalidHeaderError as error:
            self.errors.append(error)
            self.host.unclaimed(reply)
            return web.Response(status=500, text=str(error))

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    async def dial(self, **options: Any) -> ClientConnection:
        options.setdefault("compression", None)
        connection = await connect(self.url, max_size=None, **options)
        await self.connected.get()
        return connection

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection after its handshake, for bytes that no library would send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        await self.connected.get()
        return reader, writer

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (found := condition()):
                await asyncio.sleep(0.002)
        return found

    async def next(self, kind: type, count: int = 1) -> Any:
        """The `count`-th message of that kind that the present host heard."""
        found = await self.until(
            lambda: len(all_of := [m for m in self.host.heard if isinstance(m, kind)]) >= count and all_of
        )
        return found[count - 1]


@pytest.fixture
async def bench():
    bench = Bench()
    server = web.Server(bench.handle, handler_cancellation=True)
    runner = web.ServerRunner(server)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    bench.port = listening.getsockname()[1]
    await web.SockSite(runner, listening).start()
    yield bench
    for writer in bench.writers:
        writer.transport.abort()
    for record in list(bench.room._records.values()):
        record.close(1006, "")
    await runner.shutdown()
    await runner.cleanup()


def masked(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    key = os.urandom(4)
    body = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return bytes((first | opcode, 0x80 | len(payload))) + key + body


# --- messages --------------------------------------------------------------------------------------------------------
async def test_messages_reach_the_host_in_order_with_growing_numbers(bench: Bench):
    client = await bench.dial()

    await client.send("hello")
    await client.send(b"\x00\x01")
    last = await bench.next(SocketMessage, 2)

    assert bench.host.heard[0] == SocketMessage(last.event - 1, 1, "hello", None)
    assert last == SocketMessage(last.event, 1, None, b"\x00\x01")
    assert bench.events == [SocketOpened("Room", "general")]


async def test_what_the_actor_said_before_the_client_was_connected_comes_first(bench: Bench):
    bench.before_reply = lambda number: bench.host.say(
        SocketSend([number], "early", None), SocketSend([number], None, b"b")
    )

    client = await bench.dial()
    bench.host.say(SocketSend([1], "late", None))

    assert [await client.recv() for _ in range(3)] == ["early", b"b", "late"]


async def test_one_message_reaches_every_socket_and_unknown_ones_do_no_harm(bench: Bench):
    clients = [await bench.dial() for _ in range(5)]

    bench.host.say(SocketSend([1, 2, 99, 3, 4, 5], "to all", None))

    assert [await client.recv() for client in clients] == ["to all"] * 5


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1_000_000])
async def test_every_length_arrives_whole_both_ways(bench: Bench, size: int):
    client = await bench.dial()

    await client.send("x" * size)
    message = await bench.next(SocketMessage)
    bench.host.say(SocketSend([1], message.text, None))

    assert len(await client.recv()) == size


async def test_clients_that_offer_deflate_get_it_and_share_the_work(bench: Bench):
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(bench.url, compress=15) for _ in range(2)]
        plain = await bench.dial()
        assert sockets[0].compress
        text = "many words " * 1000

        for _ in range(3):
            bench.host.say(SocketSend([1, 2, 3], text, None))
        await sockets[0].send_str(text)

        for client in sockets:
            assert [await client.receive_str() for _ in range(3)] == [text] * 3
        assert [await plain.recv() for _ in range(3)] == [text] * 3
        assert (await bench.next(SocketMessage)).text == text
        bench.room.close_all()


async def test_32_mib_arrive_and_one_byte_more_does_not(bench: Bench):
    client = await bench.dial()
    await client.send(bytes(32 * 1024 * 1024))
    message = await bench.next(SocketMessage)
    assert len(message.binary) == 32 * 1024 * 1024
    bench.host.finish(message)

    with pytest.raises(ConnectionClosed):
        await client.send(bytes(32 * 1024 * 1024 + 1))
        await client.recv()

    assert (client.close_code, client.close_reason) == (1009, "Message is too large")
    failed = await bench.next(SocketFailed)
    assert failed.message == (
        "WebSocket protocol error; protocolError.statusCode = 1009; protocolError.description = Message is too large"
    )


async def test_pings_are_answered_without_the_host(bench: Bench):
    client = await bench.dial()

    latency = await (await client.ping())

    assert latency >= 0
    assert bench.host.heard == []


# --- closing ---------------------------------------------------------------------------------------------------------
async def test_a_close_frame_becomes_an_event_and_is_answered_by_the_host_only(bench: Bench):
    client = await bench.dial()
    closing = asyncio.ensure_future(client.close(4001, "done here"))

    closed = await bench.next(SocketClosed)
    assert closed == SocketClosed(closed.event, 1, 4001, "done here", True)
    await asyncio.sleep(0.02)
    assert not closing.done()
    bench.host.say(SocketSend([1], "last words", None), SocketClose(1, 4002, "bye"))
    await closing

    assert (client.close_code, client.close_reason) == (4002, "bye")
    assert bench.events[-1] == SocketGone("Room", "general", 4001)


async def test_a_close_frame_without_a_code_is_1005_and_may_be_answered_without_one(bench: Bench):
    reader, writer = await bench.raw()
    writer.write(masked(8, b""))

    closed = await bench.next(SocketClosed)
    bench.host.say(SocketClose(1, 0, ""))

    assert closed == SocketClosed(closed.event, 1, 1005, "", True)
    assert await reader.read() == b"\x88\x00"


async def test_a_client_that_vanishes_is_1006_and_not_clean(bench: Bench):
    client = await bench.dial()
    await client.send("just before")

    client.transport.abort()
    closed = await bench.next(SocketClosed)

    assert bench.host.texts == ["just before"]
    assert closed == SocketClosed(closed.event, 1, 1006, VANISHED, False)


async def test_messages_sent_right_before_the_connection_is_dropped_are_delivered(bench: Bench):
    _, writer = await bench.raw()

    writer.write(b"".join(masked(1, b"%d" % number) for number in range(50)))
    writer.close()
    closed = await bench.next(SocketClosed)

    assert bench.host.texts == [str(number) for number in range(50)]
    assert closed.code == 1006


async def test_a_close_by_the_host_ends_when_the_client_answers_and_both_hear_of_it(bench: Bench):
    client = await bench.dial()
    bench.host.say(SocketSend([1], "before", None), SocketClose(1, 4000, "enough"), SocketSend([1], "after", None))

    received = [message async for message in _until_closed(client)]
    closed = await bench.next(SocketClosed)

    assert received == ["before"]
    assert (client.close_code, client.close_reason) == (4000, "enough")
    assert (closed.code, closed.was_clean) == (4000, True)
    bench.host.finish(closed)
    assert bench.room.statistics().sockets == 0


async def _until_closed(client: ClientConnection):
    try:
        while True:
            yield await client.recv()
    except ConnectionClosed:
        return


async def test_a_socket_closed_before_its_client_came_sends_what_was_said_and_closes(bench: Bench):
    bench.before_reply = lambda number: bench.host.say(
        SocketSend([number], "sorry", None), SocketClose(number, 4003, "full"), SocketSend([number], "never", None)
    )

    client = await bench.dial()

    assert [message async for message in _until_closed(client)] == ["sorry"]
    assert client.close_code == 4003


async def test_1006_drops_the_connection_without_a_frame_and_without_an_event(bench: Bench):
    client = await bench.dial()
    await client.send("x")
    await bench.next(SocketMessage)

    bench.host.say(SocketClose(1, 1006, ""))

    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == 1006
    assert not any(isinstance(message, SocketClosed) for message in bench.host.heard)
    assert bench.room.statistics() == bench.room.statistics().__class__(0, 0, 0, 0, 0, 0)


async def test_a_client_that_does_not_answer_a_close_is_dropped(bench: Bench):
    reader, _ = await bench.raw()
    bench.host.say(SocketClose(1, 1000, ""))
    assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"

    bench.room._records[1].client.give_up_waiting()  # type: ignore[union-attr]

    assert await reader.read() == b""
    assert (await bench.next(SocketClosed)).code == 1006


async def test_a_close_that_nobody_answers_ends_after_the_bound(bench: Bench):
    reader, writer = await bench.raw()
    writer.write(masked(8, b"\x03\xe8"))
    closed = await bench.next(SocketClosed)
    bench.host.finish(closed)
    assert bench.room.statistics().sockets == 1

    bench.room._records[1].client.give_up_waiting()  # type: ignore[union-attr]

    assert await reader.read() == b""
    assert bench.room.statistics().sockets == 0


async def test_a_client_that_leaves_while_its_close_is_unanswered_is_forgotten(bench: Bench):
    _, writer = await bench.raw()
    writer.write(masked(8, b"\x03\xe8"))
    closed = await bench.next(SocketClosed)
    bench.host.finish(closed)

    writer.transport.abort()

    await bench.until(lambda: bench.room.statistics().sockets == 0)


# --- the protocol ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\x05hello", 1002, id="unmasked"),
        pytest.param(masked(3, b""), 1002, id="reserved opcode"),
        pytest.param(masked(1, b"x", first=0xC0), 1002, id="RSV1 without deflate"),
        pytest.param(masked(0, b"x"), 1002, id="continuation of nothing"),
        pytest.param(masked(9, b"x", first=0), 1002, id="fragmented ping"),
        pytest.param(masked(1, b"\xff\xfe"), 1007, id="text that is no UTF-8"),
        pytest.param(masked(8, b"\x03"), 1002, id="half a close code"),
        pytest.param(masked(8, (1004).to_bytes(2, "big")), 1002, id="close 1004"),
        pytest.param(masked(8, (1005).to_bytes(2, "big")), 1002, id="close 1005"),
        pytest.param(masked(8, (1006).to_bytes(2, "big")), 1002, id="close 1006"),
        pytest.param(masked(8, (1015).to_bytes(2, "big")), 1002, id="close 1015"),
        pytest.param(masked(8, (999).to_bytes(2, "big")), 1002, id="close 999"),
        pytest.param(masked(8, (5000).to_bytes(2, "big")), 1002, id="close 5000"),
        pytest.param(b"\x82\xff" + (2**63).to_bytes(8, "big") + b"mask", 1009, id="2**63 bytes announced"),
        pytest.param(b"\x82\xff" + (2**40).to_bytes(8, "big") + b"mask", 1009, id="2**40 bytes announced"),
    ],
)
async def test_a_violation_closes_with_its_code_and_is_an_error_for_the_actor(bench: Bench, data: bytes, code: int):
    reader, writer = await bench.raw()

    writer.write(masked(1, b"fine") + data)
    frame = await reader.readexactly(4)
    failed = await bench.next(SocketFailed)

    assert frame[0] == 0x88
    assert int.from_bytes(frame[2:4], "big") == code
    assert failed.message.startswith(
        f"WebSocket protocol error; protocolError.statusCode = {code}; protocolError.description = "
    )
    assert bench.host.texts == ["fine"]
    writer.close()
    await asyncio.sleep(0.01)
    assert not any(isinstance(message, SocketClosed) for message in bench.host.heard)


async def test_after_a_violation_the_client_may_finish_what_it_is_sending(bench: Bench):
    reader, writer = await bench.raw()
    writer.write(b"\x81\x05hello")
    frame = await reader.read()

    for _ in range(20):
        writer.write(bytes(256 * 1024))
        await writer.drain()

    assert frame == b"\x88\x1c" + (1002).to_bytes(2, "big") + b"Received an unmasked frame"


# --- upgrades --------------------------------------------------------------------------------------------------------
async def test_headers_and_protocol_of_the_response_reach_the_client(bench: Bench):
    bench.reply_headers = [
        ("Sec-WebSocket-Protocol", "chat.v2"),
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("Connection", "close"),
    ]

    client = await bench.dial(subprotocols=["chat.v1", "chat.v2"])

    assert client.subprotocol == "chat.v2"
    assert client.response is not None
    assert client.response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert client.response.headers["Connection"] == "upgrade"
    states, _ = bench.room.attach_states(0, 1)
    assert states[0].protocol == "chat.v2"


async def test_a_header_that_would_inject_another_is_refused_and_the_actor_told(bench: Bench):
    bench.reply_headers = [("X-Bad", "a\r\nSet-Cookie: evil=1")]

    with pytest.raises(websockets.exceptions.InvalidStatus):
        await bench.dial()

    assert "X-Bad" in str(bench.errors[0])
    assert (await bench.next(SocketClosed)).code == 1006


async def test_a_handshake_without_a_key_is_refused_and_the_actor_told(bench: Bench):
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 500")
    assert str(bench.errors[0]) == "The response has status 101, but the client's WebSocket handshake is not valid."
    assert (await bench.next(SocketClosed)).code == 1006
    writer.close()


async def test_a_socket_accepted_after_its_reply_begins_then(bench: Bench):
    bench.accept_first = False
    client = await bench.dial()
    await client.send("waiting")
    await asyncio.sleep(0.01)
    assert bench.host.heard == []

    bench.host.say(SocketAccepted(1, ROOM, [], True))

    assert (await bench.next(SocketMessage)).text == "waiting"
    assert bench.events == [SocketOpened("Room", "general")]


async def test_a_socket_that_is_never_accepted_is_closed_at_the_bound(bench: Bench):
    bench.accept_first = False
    client = await bench.dial()

    bench.room.expire(bench.room._records[1])

    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, client.close_reason) == (1011, "the server did not accept this WebSocket")


async def test_a_socket_whose_client_never_comes_is_closed_for_its_actor(bench: Bench):
    bench.host.say(SocketAccepted(9, ROOM, [], True), SocketSend([9], "kept", None))

    bench.room.expire(bench.room._records[9])

    closed = await bench.next(SocketClosed)
    assert closed == SocketClosed(closed.event, 9, 1006, VANISHED, False)
    bench.host.finish(closed)
    assert bench.room.statistics().sockets == 0


async def test_a_client_that_comes_as_its_socket_is_given_up_is_turned_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    prepare = client_socket.Upgrade.prepare

    async def late(upgrade: client_socket.Upgrade, request: web.BaseRequest) -> Any:
        bench.room.expire(bench.room._records[1])
        return await prepare(upgrade, request)

    monkeypatch.setattr(client_socket.Upgrade, "prepare", late)
    client = await bench.dial()

    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (await bench.next(SocketClosed)).code == 1006
    assert bench.room.statistics().connected == 0


async def test_a_socket_accepted_twice_is_the_hosts_fault(bench: Bench):
    bench.host.say(SocketAccepted(9, ROOM, [], True))

    with pytest.raises(WireError, match="socket 9 was accepted twice"):
        bench.host.say(SocketAccepted(9, ROOM, [], True))


# --- auto-response ---------------------------------------------------------------------------------------------------
async def test_an_exact_match_is_answered_here_and_the_host_told_when(bench: Bench):
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"))
    client = await bench.dial()

    await client.send("ping")
    assert await client.recv() == "pong"
    await client.send("ping ")
    await client.send(b"ping")
    await bench.next(SocketMessage, 2)

    assert [message for message in bench.host.heard if isinstance(message, AutoResponded)] == [AutoResponded(1, 5000)]
    assert bench.host.texts == ["ping ", None]


async def test_without_a_host_the_answer_still_comes_and_the_time_is_kept(bench: Bench):
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"))
    client = await bench.dial()
    bench.room.hold()

    await client.send("ping")
    assert await client.recv() == "pong"

    states, pairs = bench.room.attach_states(0, 1)
    assert states == [SocketState(1, ROOM, ["tag1"], None, "", 5000)]
    assert pairs == [AutoResponseState(ROOM, "ping", "pong")]
    assert bench.host.heard == []


async def test_unsetting_the_pair_ends_the_answers(bench: Bench):
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"), SetAutoResponse(ROOM, None, None))
    client = await bench.dial()

    await client.send("ping")

    assert (await bench.next(SocketMessage)).text == "ping"
    assert bench.room.attach_states(0, 1)[1] == []


async def test_sockets_without_hibernation_have_no_auto_response(bench: Bench):
    bench.hibernatable = False
    bench.host.say(SetAutoResponse(ROOM, "ping", "pong"))
    client = await bench.dial()

    await client.send("ping")

    assert (await bench.next(SocketMessage)).text == "ping"


# --- reload and loss -------------------------------------------------------------------------------------------------
async def test_a_reload_keeps_the_connection_its_tags_its_attachment_and_every_message_in_order(bench: Bench):
    client = await bench.dial()
    bench.host.say(SocketAttachment(1, b"\x01state"))
    for number in range(3):
        await client.send(str(number))
    await bench.next(SocketMessage, 3)
    old = bench.host
    first, second, third = (message for message in old.heard if isinstance(message, SocketMessage))
    old.begin(first)

    bench.room.hold()
    await client.send("3")
    await asyncio.sleep(0.02)
    old.finish(first)
    old.closed_in_order = True
    bench.room.host_closed(old, [second.event, third.event])  # type: ignore[arg-type]
    assert bench.room.attach_states(0, 1)[0] == [SocketState(1, ROOM, ["tag1"], b"\x01state")]
    new = bench.start_host(2)
    bench.room.release()
    await client.send("4")
    await bench.next(SocketMessage, 4)

    assert old.texts == ["0", "1", "2"]
    assert new.texts == ["1", "2", "3", "4"]
    new.say(SocketSend([1], "still here", None))
    assert await client.recv() == "still here"
    assert not any(isinstance(event, SocketEventsLost) for event in bench.events)


async def test_after_a_death_begun_events_are_dropped_and_counted_and_the_others_delivered_once(bench: Bench):
    client = await bench.dial()
    for number in range(4):
        await client.send(str(number))
    await bench.next(SocketMessage, 4)
    messages = list(bench.host.heard)
    bench.host.begin(*messages[:2])
    bench.host.finish(messages[0])

    bench.lose_host()
    await client.send("4")
    await asyncio.sleep(0.02)
    new = bench.start_host(2)
    bench.room.release()
    await bench.next(SocketMessage, 3)

    assert new.texts == ["2", "3", "4"]
    assert [event for event in bench.events if isinstance(event, SocketEventsLost)] == [SocketEventsLost(1)]
    assert bench.room.statistics().events_lost == 1


async def test_events_that_come_between_attach_and_release_do_not_overtake(bench: Bench):
    client = await bench.dial()
    bench.lose_host()
    await client.send("first")
    await bench.until(lambda: bench.room.statistics().events == 1)

    new = bench.start_host(2)
    await client.send("second")
    await bench.until(lambda: bench.room.statistics().events == 2)
    bench.room.release()
    await client.send("third")
    await bench.next(SocketMessage, 3)

    assert new.texts == ["first", "second", "third"]


async def test_a_close_that_was_not_begun_is_told_to_the_next_host(bench: Bench):
    client = await bench.dial()
    closing = asyncio.ensure_future(client.close(4001))
    await bench.next(SocketClosed)

    bench.lose_host()
    assert [state.socket for state in bench.room.attach_states(0, 1)[0]] == [1]
    bench.start_host(2)
    bench.room.release()
    closed = await bench.next(SocketClosed)
    bench.host.say(SocketClose(1, 4001, ""), Done([closed.event]))
    await closing

    assert client.close_code == 4001
    assert bench.room.statistics().sockets == 0


async def test_a_close_whose_handler_died_is_answered_here(bench: Bench):
    client = await bench.dial()
    closing = asyncio.ensure_future(client.close(4001))
    bench.host.begin(await bench.next(SocketClosed))

    bench.lose_host()
    await closing

    assert client.close_code == 4001
    assert bench.room.attach_states(0, 1)[0] == []
    assert bench.room.statistics().sockets == 0


async def test_sockets_without_hibernation_are_told_to_come_again(bench: Bench):
    bench.hibernatable = False
    client = await bench.dial()
    await client.send("never answered")
    await bench.next(SocketMessage)

    bench.lose_host()
    new = bench.start_host(2)
    bench.room.release()

    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, client.close_reason) == (1012, "the program was restarted")
    assert new.heard == []
    assert bench.room.statistics().sockets == 0


async def test_states_go_to_the_shard_of_their_actor_oldest_first(bench: Bench):
    other = ActorKey("Room-1", "0" * 7 + "3" + "0" * 56, None)
    for number in (5, 3):
        bench.host.say(SocketAccepted(number, ROOM, [], True))
    bench.host.say(SocketAccepted(9, other, [], True))

    assert [state.socket for state in bench.room.attach_states(0, 2)[0]] == [5, 3]
    assert [state.socket for state in bench.room.attach_states(1, 2)[0]] == [9]


async def test_the_end_of_the_emulator_says_going_away(bench: Bench):
    client = await bench.dial()

    bench.room.close_all()

    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == 1001


# --- bounds ----------------------------------------------------------------------------------------------------------
async def test_a_client_whose_events_pile_up_is_not_read_until_they_are_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socket_delivery, "SOCKET_EVENTS_WAITING_MAX", 4)
    client = await bench.dial()
    quiet = await bench.dial()
    for number in range(10):
        await client.send(str(number))
    await quiet.send("of another client")
    await bench.until(lambda: "of another client" in bench.host.texts)
    await asyncio.sleep(0.02)
    assert [text for text in bench.host.texts if text != "of another client"] == ["0", "1", "2", "3"]

    seen = 0
    while len(bench.host.texts) < 11:
        messages = [message for message in bench.host.heard if isinstance(message, SocketMessage)]
        bench.host.finish(*messages[seen:])
        seen = len(messages)
        await asyncio.sleep(0.002)

    assert [text for text in bench.host.texts if text != "of another client"] == [str(n) for n in range(10)]


@pytest.mark.parametrize("name", ["SOCKET_EVENTS_WAITING_BYTES_MAX", "SOCKET_EVENTS_TOTAL_BYTES_MAX"])
async def test_bytes_are_bounded_like_events(bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(socket_delivery, name, 1000)
    client = await bench.dial()
    for _ in range(4):
        await client.send("x" * 600)
    await asyncio.sleep(0.03)
    assert len(bench.host.texts) == 2

    bench.host.finish(*bench.host.heard)
    await bench.next(SocketMessage, 4)


async def test_a_slow_reader_is_closed_with_1013_and_the_others_go_on(bench: Bench):
    reader, writer = await bench.raw()
    quick = await bench.dial()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    payload = bytes(1024 * 1024)

    received = 0
    for _ in range(100):
        bench.host.say(SocketSend([1, 2], None, payload))
        received += len(await quick.recv())
    closed = await bench.next(SocketClosed)

    assert received == 100 * len(payload)
    assert closed == SocketClosed(closed.event, 1, 1013, "the client reads too slowly", False)
    assert bench.room._records[2].client is not None


async def test_a_client_that_takes_nothing_is_let_go_by_the_clock(bench: Bench):
    reader, _ = await bench.raw()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(20):
        bench.host.say(SocketSend([1], None, bytes(1024 * 1024)))

    bench.room._records[1].client.check_progress()  # type: ignore[union-attr]

    assert (await bench.next(SocketClosed)).code == 1013


async def test_a_burst_beyond_the_buffer_reaches_a_client_that_reads(bench: Bench):
    client = await bench.dial()
    for _ in range(30):
        bench.host.say(SocketSend([1], None, bytes(1024 * 1024)))
    received = 0
    while received < 30 * 1024 * 1024:
        received += len(await client.recv())

    bench.room._records[1].client.check_progress()  # type: ignore[union-attr]

    assert bench.host.heard == []
    assert received > SOCKET_SEND_BUFFER_BYTES_MAX


async def test_too_much_said_to_a_client_that_is_not_there_yet_closes_its_socket(bench: Bench):
    bench.before_reply = lambda number: bench.host.say(
        *(SocketSend([number], None, bytes(1024 * 1024)) for _ in range(6))
    )

    client = await bench.dial()
    received = [message async for message in _until_closed(client)]

    assert len(received) == 5
    assert client.close_code == 1013
