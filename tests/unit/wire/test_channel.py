"""Channels: framing in whatever pieces, one flush per turn, back-pressure, and the end."""

import asyncio
import struct
from typing import Any

import pytest

from durable.errors import WireError
from durable.limits import CHANNEL_HIGH_WATER_BYTES, FRAME_BYTES_MAX
from durable.wire.channel import Channel
from durable.wire.codec import FrameReader, FrameWriter
from durable.wire.messages import Begun, BodyChunk, EpochDurable, FromHost, Log
from durable.wire.socket_pair import channel_pair


def frames(*messages: Any) -> bytes:
    writer = FrameWriter()
    for message in messages:
        writer.append(message)
    return bytes(writer.take())


def test_messages_arrive_whole_however_the_bytes_are_cut() -> None:
    sent = [Begun([7, 8]), Log("info", "hello"), BodyChunk(1, b"x" * 1000)]
    data = frames(*sent)
    for size in (1, 2, 3, 5, 7, len(data)):
        reader: FrameReader[Any] = FrameReader(FromHost)
        got = [message for at in range(0, len(data), size) for message in reader.feed(data[at : at + size])]
        assert got == sent


def test_a_frame_on_the_wire_looks_as_documented() -> None:
    assert frames(Begun([7, 8])) == bytes.fromhex("0500000092309207 08")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", FRAME_BYTES_MAX + 1),
        struct.pack("<I", 1) + b"\xc1",
        struct.pack("<I", 2) + b"\x91\x7f",
        struct.pack("<I", 0),
    ],
)
def test_what_is_no_message_is_an_error_of_the_wire(data: bytes) -> None:
    reader: FrameReader[Any] = FrameReader(FromHost)
    with pytest.raises(WireError):
        reader.feed(data)


def test_a_message_that_cannot_be_encoded_leaves_nothing_behind() -> None:
    writer = FrameWriter()
    with pytest.raises(WireError, match="Log cannot be encoded"):
        writer.append(Log("info", "\ud800"))
    writer.append(Begun([7, 8]))
    assert bytes(writer.take()) == frames(Begun([7, 8]))


class Ends:
    """Two connected channels and what arrived at the second."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        self.batches: list[list[Any]] = []
        self.closed: list[BaseException | None] = []
        self.raw = theirs
        self.ours: Channel[Any] = Channel(ours, FromHost, on_messages=lambda _: None, on_closed=self.closed.append)

    def read(self) -> None:
        self.theirs: Channel[Any] = Channel(
            self.raw, FromHost, on_messages=self.batches.append, on_closed=self.closed.append
        )


async def step(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_what_one_turn_sends_leaves_at_its_end_and_before_a_task_created_after_it() -> None:
    ends = Ends()
    ends.ours.send(Begun([1]))
    ends.ours.send(Begun([2]))
    with pytest.raises(BlockingIOError):
        ends.raw.recv(1)

    async def look() -> bytes:
        return ends.raw.recv(4096)

    assert await asyncio.create_task(look()) == frames(Begun([1]), Begun([2]))
    ends.ours.close()
    ends.raw.close()


async def test_a_sender_waits_for_a_reader_that_is_far_behind() -> None:
    ends = Ends()
    ends.ours.send(BodyChunk(1, b"x" * (CHANNEL_HIGH_WATER_BYTES + 2_000_000)))
    ends.ours.flush()
    waiting = asyncio.create_task(ends.ours.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    ends.read()
    await waiting
    await step(lambda: ends.batches)
    assert ends.ours.unsent_bytes == 0
    ends.ours.close()
    await step(lambda: ends.closed)


async def test_the_end_of_the_stream_is_told_once_after_everything_before_it() -> None:
    ends = Ends()
    ends.ours.send(EpochDurable(3))
    ends.ours.close()
    ends.read()
    await step(lambda: ends.closed)
    assert ends.batches == [[EpochDurable(3)]]
    assert ends.closed == [None]
    ends.theirs.send(Begun([1]))
    assert ends.theirs.closed


async def test_a_connection_that_is_reset_has_ended_like_any_other() -> None:
    ends = Ends()
    ends.ours.send(Begun([1]))
    ends.ours.flush()
    ends.raw.close()
    await step(lambda: ends.closed)
    assert ends.closed == [None]


async def test_garbage_closes_the_channel_with_the_reason() -> None:
    ends = Ends()
    ends.raw.send(b"\x01\x00\x00\x00\xc1")
    await step(lambda: ends.closed)
    assert isinstance(ends.closed[0], WireError)
    ends.raw.close()
