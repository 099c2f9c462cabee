"""The load clients count whole answers, however the bytes arrive."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from benchmarks import http_client, socket_client

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Wire:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def load() -> http_client.Load:
    load = http_client.Load()
    load.measuring = True
    return load


def connected(load: http_client.Load) -> tuple[http_client.Connection, Any]:
    connection, wire = http_client.Connection(load, itertools.repeat(b"GET")), Wire()
    connection.connection_made(wire)  # type: ignore[arg-type]
    return connection, wire


def test_an_answer_in_pieces_counts_once_and_is_followed_by_one_question(load: http_client.Load) -> None:
    connection, wire = connected(load)

    for i in range(len(ANSWER)):
        connection.data_received(ANSWER[i : i + 1])

    assert len(load.durations) == 1
    assert wire.written == [b"GET", b"GET"]
    assert load.errors == 0


def test_connections_together_ask_all_objects_equally_often() -> None:
    asked = [http_client.turns(i, connections=64, objects=200) for i in range(64)]

    assert asked[3][:5] == [3, 67, 131, 195, 59]
    assert len(set(map(len, asked))) == 1
    assert set(Counter(number for each in asked for number in each).values()) == {8}
    assert len(Counter(number for each in asked for number in each)) == 200


def test_a_connection_keeps_to_its_object_when_there_are_enough_connections() -> None:
    assert http_client.turns(70, connections=64, objects=64) == [6]
    assert http_client.turns(70, connections=64, objects=1) == [0]


def test_answers_may_change_their_length(load: http_client.Load) -> None:
    connection, _ = connected(load)

    connection.data_received(ANSWER)
    connection.data_received(ANSWER)
    connection.data_received(ANSWER.replace(b": 2", b": 3").replace(b"hi", b"hi!"))

    assert len(load.durations) == 3
    assert load.errors == 0


def test_an_error_is_counted_and_its_text_is_kept(load: http_client.Load) -> None:
    connection, _ = connected(load)

    connection.data_received(ANSWER.replace(b"200 OK", b"503 No"))

    assert load.errors == 1
    assert load.first_error.startswith("HTTP/1.1 503 No")


def test_an_answer_without_a_length_ends_the_connection(load: http_client.Load) -> None:
    connection, wire = connected(load)

    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    assert load.first_error.startswith("no Content-Length")
    assert wire.closed


def test_frames_are_counted_across_pieces() -> None:
    load = socket_client.Load()
    load.measuring = True
    frames = socket_client.Frames(load)
    data = socket_client.ANSWER * 3

    whole = [frames.add(data[:50]), frames.add(data[50:250]), frames.add(data[250:])]

    assert sum(whole) == 3
    assert load.frames == 3
    assert load.errors == 0


def test_a_first_frame_that_is_not_the_message_is_an_error() -> None:
    load = socket_client.Load()

    socket_client.Frames(load).add(b"\x88\x02\x03\xe8")

    assert load.first_error.startswith("unexpected first frame")
