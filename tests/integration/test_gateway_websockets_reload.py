"""Client sockets while hosts come and go, over real connections."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from durable.gateway.events import SocketEventsLost
from durable.wire.messages import (
    ActorKey,
    Done,
    SocketAccepted,
    SocketAttachment,
    SocketClose,
    SocketClosed,
    SocketMessage,
    SocketSend,
    SocketState,
)
from tests.integration.scripted_host import ROOM, Bench, running_bench


@pytest.fixture
async def bench():
    async with running_bench() as bench:
        yield bench


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
