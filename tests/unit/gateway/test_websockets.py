"""The room of client sockets without clients: what it keeps, for whom, and which host hears what. No network."""

from __future__ import annotations

from typing import Any

import pytest

from durable.clock import ManualClock
from durable.errors import WireError
from durable.gateway.events import Event, SocketEventsLost
from durable.gateway.websockets import ClientSockets
from durable.wire.messages import (
    ActorKey,
    AutoResponseState,
    Begun,
    Done,
    HttpReply,
    SetAutoResponse,
    SocketAccepted,
    SocketAttachment,
    SocketClose,
    SocketClosed,
    SocketMessage,
    SocketSend,
    SocketState,
)
from tests.integration.scripted_host import Host

VANISHED = "WebSocket disconnected without sending Close frame."


def actor(shard: int) -> ActorKey:
    """An actor that two shards place on `shard`."""
    return ActorKey("Room-1", f"{shard:08x}" + "0" * 56, None)


class Bench:
    """Two shards with a host each."""

    def __init__(self) -> None:
        self.links: list[Host | None] = [None, None]
        self.events: list[Event] = []
        router: Any = self
        self.room = ClientSockets(router, on_event=self.events.append, class_name=str, clock=ManualClock())
        self.hosts = [self.start(1, 0), self.start(2, 1)]

    def owner_nowait(self, owned: ActorKey | None) -> Any:
        assert owned is not None
        return self.links[int(owned.id[:8], 16) % 2]

    def start(self, number: int, shard: int) -> Any:
        link: Any = Host(number, shard)
        self.room.listen(link)
        self.links[shard] = link
        return link

    def lose(self, link: Any) -> None:
        link.is_lost = True
        self.links[link.shard] = None
        self.room.host_lost(link)

    def accept(self, socket: int, shard: int, *, hibernatable: bool = True) -> Any:
        """A socket whose client comes later; returns its record."""
        self.hosts[shard].say(SocketAccepted(socket, actor(shard), [], hibernatable))
        return self.room._records[socket]


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.room._records.remove(list(bench.room._records.values()))


async def test_events_go_to_the_host_of_the_actors_shard(bench: Bench):
    bench.accept(1, shard=0).message("to the first", None)
    bench.accept(2, shard=1).message(None, b"to the second")

    assert bench.hosts[0].heard == [SocketMessage(1, 1, "to the first", None)]
    assert bench.hosts[1].heard == [SocketMessage(2, 2, None, b"to the second")]


async def test_while_one_shard_has_no_host_the_other_goes_on(bench: Bench):
    first, second = bench.accept(1, shard=0), bench.accept(2, shard=1)
    bench.lose(bench.hosts[0])

    first.message("waits", None)
    second.message("goes on", None)
    replacement = bench.start(3, 0)
    bench.room.release()

    assert bench.hosts[1].heard == [SocketMessage(2, 2, "goes on", None)]
    assert replacement.heard == [SocketMessage(1, 1, "waits", None)]


async def test_releasing_one_shard_leaves_the_events_of_another_waiting(bench: Bench):
    records = [bench.accept(1, shard=0), bench.accept(2, shard=1)]
    for host in bench.hosts:
        bench.lose(host)
    for record in records:
        record.message("x", None)

    first = bench.start(3, 0)
    bench.room.release()
    second = bench.start(4, 1)
    bench.room.release()

    assert [message.socket for message in first.heard] == [1]
    assert [message.socket for message in second.heard] == [2]


async def test_a_host_that_said_closed_gets_nothing_more(bench: Bench):
    record = bench.accept(1, shard=0)
    bench.hosts[0].closed_in_order = True

    record.message("x", None)

    assert bench.hosts[0].heard == []
    assert bench.room.statistics().events == 1


async def test_a_hold_keeps_every_event_here(bench: Bench):
    record = bench.accept(1, shard=0)
    bench.room.hold()
    record.message("a", None)
    record.message("b", None)
    assert bench.hosts[0].heard == []

    bench.room.release()

    assert [message.text for message in bench.hosts[0].heard] == ["a", "b"]


async def test_an_event_returned_twice_is_delivered_once_per_host(bench: Bench):
    bench.accept(1, shard=0).message("x", None)

    for number in (3, 4, 5):
        bench.lose(bench.links[0])
        bench.start(number, 0)
        bench.room.release()

    latest: Any = bench.links[0]
    latest.say(Begun([1]))
    latest.say(Done([1]))
    assert latest.heard == [SocketMessage(1, 1, "x", None)]
    assert bench.room.statistics().events == 0
    assert bench.events == []


async def test_a_late_done_of_a_lost_host_changes_nothing(bench: Bench):
    bench.accept(1, shard=0).message("x", None)
    old = bench.hosts[0]
    bench.lose(old)

    old.say(Done([1]))
    new = bench.start(3, 0)
    bench.room.release()

    assert new.heard == [SocketMessage(1, 1, "x", None)]


async def test_tags_attachment_and_auto_response_are_kept_for_the_next_host(bench: Bench):
    host = bench.hosts[0]
    host.say(SocketAccepted(1, actor(0), ["a", "b"], True))
    host.say(SocketAttachment(1, b"one"))
    host.say(SocketAttachment(1, b"two"))
    host.say(SetAutoResponse(actor(0), "ping", "pong"))

    assert bench.room.attach_states(0, 2) == (
        [SocketState(1, actor(0), ["a", "b"], b"two")],
        [AutoResponseState(actor(0), "ping", "pong")],
    )
    assert bench.room.attach_states(1, 2) == ([], [])


async def test_another_number_of_shards_places_sockets_anew(bench: Bench):
    bench.accept(1, shard=0)
    bench.accept(2, shard=1)

    assert [state.socket for state in bench.room.attach_states(0, 1)[0]] == [1, 2]


async def test_sockets_in_memory_are_not_handed_on(bench: Bench):
    record = bench.accept(1, shard=0, hibernatable=False)
    record.message("x", None)
    assert bench.room.attach_states(0, 2)[0] == []

    bench.lose(bench.hosts[0])
    new = bench.start(3, 0)
    bench.room.release()
    record.closed(1006, VANISHED, False)

    assert new.heard == []
    assert bench.room.statistics().events == 0
    bench.room.expire(record)  # its client, who was to be turned away, did not come
    assert bench.room.statistics().sockets == 0


async def test_the_owner_of_a_socket_is_known_to_the_link(bench: Bench):
    bench.accept(1, shard=1)

    assert bench.hosts[0].socket_owner(1) == actor(1)
    assert bench.hosts[0].socket_owner(2) is None


async def test_a_reply_that_reaches_nobody_tells_the_actor_that_its_client_is_gone(bench: Bench):
    bench.accept(1, shard=0)
    host = bench.hosts[0]

    host.unclaimed(HttpReply(1, 0, 101, "", [], socket=1))
    host.unclaimed(HttpReply(1, 0, 101, "", [], socket=1))

    assert host.heard == [SocketClosed(1, 1, 1006, VANISHED, False)]
    host.say(Done([1]))
    assert bench.room.statistics().sockets == 0


async def test_a_message_after_the_last_word_is_not_delivered(bench: Bench):
    record = bench.accept(1, shard=0)
    record.closed(1000, "", True)

    record.message("late", None)
    record.closed(1006, VANISHED, False)
    record.failed("later still")

    assert bench.hosts[0].heard == [SocketClosed(1, 1, 1000, "", True)]


async def test_a_lost_close_leaves_nothing_behind(bench: Bench):
    record = bench.accept(1, shard=0)
    record.dead = True
    record.closed(1006, VANISHED, False)
    bench.hosts[0].say(Begun([1]))

    bench.lose(bench.hosts[0])

    assert bench.events == [SocketEventsLost(1)]
    assert bench.room.statistics().sockets == 0


async def test_what_is_said_about_unknown_sockets_does_no_harm(bench: Bench):
    host = bench.hosts[0]

    host.say(SocketSend([7], "x", None))
    host.say(SocketClose(7, 1000, ""))
    host.say(SocketAttachment(7, b""))
    host.say(Begun([7]))
    host.say(Done([7]))

    assert bench.room.statistics().sockets == 0


async def test_a_socket_number_is_used_once(bench: Bench):
    bench.accept(1, shard=0)

    with pytest.raises(WireError, match="socket 1 was accepted twice"):
        bench.accept(1, shard=0)


async def test_a_socket_that_its_actor_dropped_turns_the_client_away_who_is_still_to_come(bench: Bench):
    record = bench.accept(1, shard=0)
    bench.hosts[0].say(SocketClose(1, 1006, ""))

    assert record.wanted_close == (1006, "")
    assert bench.room.attach_states(0, 2)[0] == []
    bench.room.expire(record)
    assert bench.room.statistics().sockets == 0


async def test_a_host_is_busy_until_it_has_done_what_it_was_told(bench: Bench):
    record = bench.accept(1, shard=0)
    host, other = bench.hosts[0], bench.hosts[1]
    assert not bench.room.busy(host)
    record.message("x", None)
    assert bench.room.busy(host)
    assert not bench.room.busy(other)
    host.say(Begun([1]))
    assert bench.room.busy(host)
    host.say(Done([1]))
    assert not bench.room.busy(host)
