"""Two accepted sockets joined in the gateway: what one host says, another host hears. No network."""

from __future__ import annotations

from typing import Any

import pytest

from durable.limits import SOCKET_JOINED_EVENTS_MAX, SOCKET_SEND_BURST_BYTES_MAX
from durable.wire.messages import (
    WORKER,
    Begun,
    Done,
    SetAutoResponse,
    SocketAccepted,
    SocketClose,
    SocketClosed,
    SocketMessage,
    SocketSend,
)
from tests.unit.gateway.test_websockets import Bench, actor

VANISHED = "WebSocket disconnected without sending Close frame."
OBJECT, CLIENT = 1, 2
"""The end of an object in the first host, and the end that a worker in the second one has."""


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.room._records.remove(list(bench.room._records.values()))


def join(bench: Bench, *, hibernatable: bool = True) -> tuple[Any, Any]:
    """The two hosts."""
    bench.accept(OBJECT, shard=0, hibernatable=hibernatable)
    bench.hosts[1].say(SocketAccepted(CLIENT, WORKER, [], False, 0, OBJECT))
    return bench.hosts[0], bench.hosts[1]


def what(host: Any) -> list[tuple[Any, ...]]:
    """What a host heard, without the numbers of the events."""
    found: list[tuple[Any, ...]] = []
    for message in host.heard:
        if isinstance(message, SocketMessage):
            found.append((message.socket, message.text if message.text is not None else message.binary))
        elif isinstance(message, SocketClosed):
            found.append((message.socket, message.code, message.reason, message.was_clean))
    return found


def finish(host: Any) -> None:
    """The host does everything that it has heard of."""
    for message in host.heard:
        host.say(Begun([message.event]))
        host.say(Done([message.event]))


async def test_what_one_end_says_the_other_hears_in_order_text_and_binary(bench: Bench) -> None:
    first, second = join(bench)
    for text, binary in (("one", None), (None, b"two"), ("", None)):
        first.say(SocketSend([OBJECT], text, binary))
        second.say(SocketSend([CLIENT], text, binary))
    assert what(second) == [(CLIENT, "one"), (CLIENT, b"two"), (CLIENT, "")]
    assert what(first) == [(OBJECT, "one"), (OBJECT, b"two"), (OBJECT, "")]


async def test_what_was_said_before_the_other_end_came_is_heard_first(bench: Bench) -> None:
    bench.accept(OBJECT, shard=0)
    bench.hosts[0].say(SocketSend([OBJECT], "early", None))
    bench.hosts[0].say(SocketClose(OBJECT, 4000, "and gone"))
    bench.hosts[1].say(SocketAccepted(CLIENT, WORKER, [], False, 0, OBJECT))
    assert what(bench.hosts[1]) == [(CLIENT, "early"), (CLIENT, 4000, "and gone", True)]


async def test_a_close_is_over_when_both_ends_have_said_it(bench: Bench) -> None:
    first, second = join(bench)
    first.say(SocketClose(OBJECT, 0, ""))
    second.say(SocketSend([CLIENT], "still", None))
    second.say(SocketClose(CLIENT, 1000, ""))
    second.say(SocketSend([CLIENT], "too late", None))
    assert what(second) == [(CLIENT, 1005, "", True)]
    assert what(first) == [(OBJECT, "still"), (OBJECT, 1000, "", True)]
    assert bench.room.statistics().sockets == 2
    finish(first)
    finish(second)
    assert bench.room.statistics().sockets == 0


async def test_an_end_that_is_dropped_vanishes_for_the_other(bench: Bench) -> None:
    first, second = join(bench)
    first.say(SocketClose(OBJECT, 1006, ""))
    assert what(second) == [(CLIENT, 1006, VANISHED, False)]
    finish(second)
    assert what(first) == []
    assert bench.room.statistics().sockets == 0


@pytest.mark.parametrize("case", ["unknown", "gone", "taken"])
async def test_who_joins_a_socket_that_has_no_free_end_hears_that_it_is_gone(bench: Bench, case: str) -> None:
    if case != "unknown":
        bench.accept(OBJECT, shard=0)
    if case == "gone":
        bench.hosts[0].say(SocketClose(OBJECT, 1006, ""))
    if case == "taken":
        bench.hosts[1].say(SocketAccepted(CLIENT + 1, WORKER, [], False, 0, OBJECT))
    bench.hosts[1].say(SocketAccepted(CLIENT, WORKER, [], False, 0, OBJECT))
    assert what(bench.hosts[1]) == [(CLIENT, 1006, VANISHED, False)]
    finish(bench.hosts[1])
    assert CLIENT not in bench.room._records


async def test_an_auto_response_answers_user_code_as_it_answers_clients(bench: Bench) -> None:
    first, second = join(bench)
    first.say(SetAutoResponse(actor(0), "ping", "pong"))
    second.say(SocketSend([CLIENT], "ping", None))
    assert what(second) == [(CLIENT, "pong")]
    assert what(first) == []


async def test_a_hibernatable_end_outlives_its_host_and_hears_what_came_meanwhile(bench: Bench) -> None:
    first, second = join(bench)
    bench.lose(first)
    second.say(SocketSend([CLIENT], "meanwhile", None))
    replacement = bench.start(3, 0)
    bench.room.release()
    assert what(replacement) == [(OBJECT, "meanwhile")]
    replacement.say(SocketSend([OBJECT], "here", None))
    assert what(second) == [(CLIENT, "here")]


async def test_an_end_in_memory_ends_with_its_host_and_the_other_hears_1012(bench: Bench) -> None:
    first, second = join(bench)
    bench.lose(second)
    assert what(first) == [(OBJECT, 1012, "the program was restarted", True)]
    finish(first)
    first.say(SocketClose(OBJECT, 1012, ""))
    assert bench.room.statistics().sockets == 0


@pytest.mark.parametrize("limit", ["messages", "bytes"])
async def test_an_end_that_does_not_keep_up_is_let_go_and_both_hear_1013(bench: Bench, limit: str) -> None:
    first, second = join(bench)
    if limit == "messages":
        count, payload = SOCKET_JOINED_EVENTS_MAX, b""
    else:
        payload = bytes(SOCKET_SEND_BURST_BYTES_MAX // 4 + 1)
        count = 4
    for _ in range(count):
        second.say(SocketSend([CLIENT], None, payload))
    assert what(second) == []
    second.say(SocketSend([CLIENT], None, payload))
    slow = (1013, "the other end reads too slowly", False)
    assert what(second) == [(CLIENT, *slow)]
    assert len(what(first)) == count + 1
    assert what(first)[-1] == (OBJECT, *slow)
    second.say(SocketSend([CLIENT], "never heard", None))
    finish(first)
    finish(second)
    assert bench.room.statistics().sockets == 0


async def test_an_end_that_keeps_up_may_hear_any_number_of_messages(bench: Bench) -> None:
    first, second = join(bench)
    for _ in range(3):
        for _ in range(SOCKET_JOINED_EVENTS_MAX):
            second.say(SocketSend([CLIENT], "x", None))
        finish(first)
        first.heard.clear()
    assert what(second) == []
