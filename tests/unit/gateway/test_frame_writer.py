"""Frames to one client, with a transport that only counts: what leaves together, and who is let go when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable.gateway import frame_writer
from durable.gateway.frame_writer import FrameWriter, Outbox
from durable.gateway.websocket_frames import Frame, close_frame
from durable.limits import (
    SOCKET_HELD_BYTES_MAX,
    SOCKET_SEND_BUFFER_BYTES_MAX,
    SOCKET_SEND_BURST_BYTES_MAX,
    SOCKET_SEND_UNTAKEN_BYTES_MAX,
)

MIB = 1024 * 1024
PIECE = Frame(None, bytes(MIB))


class Transport:
    """Takes what it is told to, and remembers each call."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.size = 0
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.size

    def write(self, data: bytes) -> None:
        self.calls.append(data)
        self.size += len(data)

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def take(self, size: int) -> None:
        """The client reads."""
        self.size -= size


class Bench:
    def __init__(self) -> None:
        self.transport: Any = Transport()
        self.slow = 0
        self.outbox = Outbox()
        self.writer = self.make()

    def make(self, window_bits: int = 0) -> FrameWriter:
        return FrameWriter(self.transport, window_bits, self.outbox, self._let_go)

    def _let_go(self) -> None:
        self.slow += 1

    def fill(self, pieces: int) -> None:
        for _ in range(pieces):
            self.writer.send(PIECE)


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.writer.drop()


async def test_frames_of_one_turn_leave_in_one_call_at_its_end(bench: Bench):
    for text in ("a", "b", "c"):
        bench.writer.send(Frame(text, None))
    assert bench.transport.calls == []
    assert bench.writer.waiting == 9

    await asyncio.sleep(0)

    assert bench.transport.calls == [b"\x81\x01a\x81\x01b\x81\x01c"]


async def test_every_client_gets_its_frames_in_order_turn_after_turn(bench: Bench):
    for text in ("a", "b"):
        bench.writer.send(Frame(text, None))
        await asyncio.sleep(0)

    assert bench.transport.calls == [b"\x81\x01a", b"\x81\x01b"]


async def test_much_data_is_not_held_back(bench: Bench):
    bench.writer.send(Frame("a", None))
    bench.writer.send(Frame("x" * SOCKET_HELD_BYTES_MAX, None))

    assert len(bench.transport.calls) == 1
    assert bench.transport.calls[0].startswith(b"\x81\x01a\x81\x7f")


async def test_the_close_frame_comes_after_what_was_said_and_nothing_after_it(bench: Bench):
    bench.writer.send(Frame("last words", None))
    bench.writer.close(close_frame(1000, ""))
    bench.writer.send(Frame("never", None))
    bench.writer.pong(b"never")
    await asyncio.sleep(0)

    assert bench.transport.calls == [b"\x81\x0alast words", b"\x88\x02\x03\xe8"]


async def test_a_dropped_client_gets_nothing_more(bench: Bench):
    bench.writer.send(Frame("too late", None))
    bench.writer.drop()
    await asyncio.sleep(0)

    assert bench.transport.calls == []


async def test_a_connection_that_closes_meanwhile_is_not_written_to(bench: Bench):
    bench.writer.send(Frame("too late", None))
    bench.transport.closing = True
    await asyncio.sleep(0)
    bench.writer.close(close_frame(1000, ""))

    assert bench.transport.calls == []


async def test_a_client_that_takes_nothing_is_let_go_at_its_bound(bench: Bench):
    pieces = 0
    while not bench.slow:
        bench.fill(1)
        pieces += 1

    assert SOCKET_SEND_UNTAKEN_BYTES_MAX <= bench.transport.size <= SOCKET_SEND_UNTAKEN_BYTES_MAX + 2 * MIB


async def test_a_client_that_takes_as_much_as_it_lags_behind_is_kept_to_the_larger_bound(bench: Bench):
    while not bench.slow:
        bench.fill(2)
        bench.transport.take(MIB)

    assert SOCKET_SEND_BURST_BYTES_MAX - MIB <= bench.transport.size <= SOCKET_SEND_BURST_BYTES_MAX + MIB


@pytest.mark.parametrize(("taken", "slow"), [(SOCKET_SEND_BUFFER_BYTES_MAX - 1, 1), (SOCKET_SEND_BUFFER_BYTES_MAX, 0)])
async def test_the_clock_asks_for_a_buffer_full(bench: Bench, taken: int, slow: int):
    bench.fill(6)
    bench.transport.take(taken)
    bench.transport.size += 5 * MIB  # it is spoken to meanwhile
    bench.writer._written += 5 * MIB

    bench.writer.check_progress()

    assert bench.slow == slow


async def test_a_client_that_has_caught_up_begins_anew(bench: Bench):
    bench.fill(7)
    bench.transport.take(bench.transport.size)
    bench.writer.check_progress()
    bench.fill(7)

    assert not bench.slow
    assert len(bench.transport.calls) == 14


async def test_without_the_bounds_everything_would_be_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frame_writer, "SOCKET_SEND_BUFFER_BYTES_MAX", 10**12)

    bench.fill(100)

    assert not bench.slow
    assert bench.transport.size > 100 * MIB


async def test_pongs_fill_no_buffer_that_is_full(bench: Bench):
    bench.writer.pong(b"p")
    assert bench.transport.calls == [b"\x8a\x01p"]
    bench.fill(5)
    bench.transport.calls.clear()

    for _ in range(10):
        bench.writer.pong(b"x" * 125)

    assert bench.transport.calls == []


async def test_a_client_with_deflate_gets_the_deflated_form(bench: Bench):
    frame = Frame("words " * 1000, None)
    writer = bench.make(window_bits=15)

    writer.send(frame)
    await asyncio.sleep(0)

    assert bench.transport.calls == [frame.for_window(15)]
    writer.drop()
