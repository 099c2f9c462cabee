"""The ledger of socket events: order, and never twice."""

from __future__ import annotations

from durable.gateway.socket_events import Entry, SocketEvents
from durable.wire.messages import SocketClosed, SocketMessage


def add(events: SocketEvents, socket: int, text: str, host: int = 0) -> int:
    number = events.number()
    events.add(SocketMessage(number, socket, text, None), len(text)).host = host
    return number


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.message.event for entry in entries]


def test_numbers_grow_and_are_never_used_again():
    events = SocketEvents()
    first = add(events, 1, "a", host=1)
    events.finish(1, [first])

    assert add(events, 1, "b") > first


def test_events_that_are_done_are_forgotten_with_their_bytes():
    events = SocketEvents()
    first = add(events, 1, "abc", host=1)
    second = add(events, 1, "de", host=1)

    assert numbers(events.finish(1, [first])) == [first]

    assert (len(events), events.bytes) == (1, 2)
    assert numbers(events.finish(1, [first, second])) == [second]


def test_a_host_cannot_finish_or_begin_what_another_one_owns():
    events = SocketEvents()
    number = add(events, 1, "a", host=1)

    events.begin(2, [number])
    assert events.finish(2, [number, 99]) == []

    assert numbers(events.end_host(1).returned) == [number]


def test_after_a_death_what_was_not_begun_waits_again_in_order_and_what_was_begun_is_lost():
    events = SocketEvents()
    sent = [add(events, socket, "x", host=1) for socket in (1, 2, 1, 2)]
    later = add(events, 1, "y")
    events.begin(1, sent[:2])

    ended = events.end_host(1)

    assert numbers(ended.lost) == sent[:2]
    assert numbers(ended.returned) == sent[2:]
    assert numbers(events.waiting()) == [*sent[2:], later]
    assert len(events) == 3


def test_the_last_word_of_a_drained_host_counts_over_what_it_said_before():
    events = SocketEvents()
    begun, finished_late = add(events, 1, "a", host=1), add(events, 1, "b", host=1)
    events.begin(1, [begun, finished_late])

    ended = events.end_host(1, not_begun={finished_late})

    assert numbers(ended.lost) == [begun]
    assert numbers(ended.returned) == [finished_late]


def test_a_returned_event_can_be_begun_by_the_next_host():
    events = SocketEvents()
    number = add(events, 1, "a", host=1)
    events.end_host(1)
    entry = events.waiting()[0]

    entry.host = 2
    events.begin(2, [number])

    assert numbers(events.end_host(2).lost) == [number]


def test_the_events_of_a_dropped_socket_are_gone():
    events = SocketEvents()
    add(events, 1, "abc", host=1)
    kept = add(events, 2, "de")

    events.drop({1})

    assert numbers(events.waiting()) == [kept]
    assert events.bytes == 2


def test_only_messages_are_followed_by_more():
    closed = Entry(SocketClosed(1, 1, 1000, "", True), 0)

    assert closed.final
    assert not Entry(SocketMessage(2, 1, "a", None), 1).final
