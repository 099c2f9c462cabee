"""How client sockets end, over real connections: in order, without a word, or by breaking the protocol."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from durable.gateway.events import SocketGone
from durable.wire.messages import SocketClose, SocketClosed, SocketFailed, SocketMessage, SocketSend
from tests.integration.scripted_host import ROOM, VANISHED, Bench, masked, running_bench, until_closed


@pytest.fixture
async def bench():
    async with running_bench() as bench:
        yield bench


# --- closing -------------------------------------------------------------------------------------------------------
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
    assert bench.events[-1] == SocketGone("Room", "general", 4001, ROOM.id)


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

    received = [message async for message in until_closed(client)]
    closed = await bench.next(SocketClosed)

    assert received == ["before"]
    assert (client.close_code, client.close_reason) == (4000, "enough")
    assert (closed.code, closed.was_clean) == (4000, True)
    bench.host.finish(closed)
    assert bench.room.statistics().sockets == 0


async def test_a_socket_closed_before_its_client_came_sends_what_was_said_and_closes(bench: Bench):
    bench.before_reply = lambda number: bench.host.say(
        SocketSend([number], "sorry", None), SocketClose(number, 4003, "full"), SocketSend([number], "never", None)
    )

    client = await bench.dial()

    assert [message async for message in until_closed(client)] == ["sorry"]
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


# --- the protocol --------------------------------------------------------------------------------------------------
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
        pytest.param(b"\x82\xfe\x00\x01mask_", 1002, id="a length that is not in its shortest form"),
        pytest.param(masked(1, b"", first=0) + masked(0, b"", first=0) * 65_000, 1008, id="65 000 empty fragments"),
        pytest.param(masked(10, b"") * 5000, 1008, id="5000 pongs"),
    ],
)
async def test_a_violation_closes_with_its_code_and_is_an_error_for_the_actor(bench: Bench, data: bytes, code: int):
    reader, writer = await bench.raw()

    writer.write(masked(1, b"fine") + data)
    failed = await bench.failed()
    frame = await reader.readexactly(4)

    assert frame[0] == 0x88
    assert int.from_bytes(frame[2:4], "big") == code
    assert failed.message.startswith(
        f"WebSocket protocol error; protocolError.statusCode = {code}; protocolError.description = "
    )
    assert bench.host.texts == ["fine"]
    writer.close()
    await asyncio.sleep(0.01)
    assert not any(isinstance(message, SocketClosed) for message in bench.host.heard)


async def test_answers_to_what_was_said_before_a_violation_come_before_its_close_frame(bench: Bench):
    reader, writer = await bench.raw()
    writer.write(masked(1, b"hello") + masked(3, b""))
    await bench.next(SocketFailed)

    bench.host.say(SocketSend([1], "answer", None))
    await bench.failed()

    assert (await reader.read()).startswith(b"\x81\x06answer\x88")


@pytest.mark.parametrize("end", ["the actor closes", "the actor takes too long"])
async def test_a_violation_is_what_the_client_is_told_however_it_ends(bench: Bench, end: str):
    reader, writer = await bench.raw()
    writer.write(masked(3, b""))
    failed = await bench.next(SocketFailed)

    if end == "the actor closes":
        bench.host.say(SocketClose(1, 4000, "mine"))
    else:
        bench.room._records[1].client.settled()  # type: ignore[union-attr]
    bench.host.finish(failed)

    assert await reader.read() == b"\x88\x12" + (1002).to_bytes(2, "big") + b"Unknown opcode 3"


async def test_after_a_violation_the_client_may_finish_what_it_is_sending(bench: Bench):
    reader, writer = await bench.raw()
    writer.write(b"\x81\x05hello")
    await bench.failed()
    frame = await reader.read()

    for _ in range(20):
        writer.write(bytes(256 * 1024))
        await writer.drain()

    assert frame == b"\x88\x1c" + (1002).to_bytes(2, "big") + b"Received an unmasked frame"


async def test_a_frame_that_comes_with_the_handshake_is_held_to_the_rules(bench: Bench):
    reader, _ = await bench.raw(along=masked(1, b"fine") + b"\x81\x05hello")

    await bench.failed()
    assert (await reader.readexactly(4))[2:] == (1002).to_bytes(2, "big")
    assert bench.host.texts == ["fine"]


async def test_a_small_message_that_inflates_to_too_much_is_refused(bench: Bench):
    async with aiohttp.ClientSession() as session:
        client = await session.ws_connect(bench.url, compress=15)

        await client.send_bytes(bytes(32 * 1024 * 1024))
        message = await bench.next(SocketMessage)
        bench.host.finish(message)
        await client.send_bytes(bytes(32 * 1024 * 1024 + 1))

        assert len(message.binary) == 32 * 1024 * 1024
        assert "Message is too large" in (await bench.failed()).message
        assert (await client.receive()).data == 1009
        assert "client_no_context_takeover" in client._response.headers["Sec-WebSocket-Extensions"]
