"""Frames as bytes, held against RFC 6455 and an independent decoder."""

from __future__ import annotations

import os
import random
import zlib

import pytest
from websockets.frames import Close

from durable.gateway.websocket_frames import Frame, MaskGuard, close_frame


class Parser:
    def __init__(self) -> None:
        self.fed = b""
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.fed += data
        return False, b""

    def feed_eof(self) -> None:
        self.ended = True


class Guarded:
    def __init__(self) -> None:
        self.parser = Parser()
        self.unmasked = 0
        self.guard = MaskGuard(self.parser, self._count)

    def _count(self) -> None:
        self.unmasked += 1

    def feed(self, data: bytes) -> bool:
        return self.guard.feed_data(data)[0]


def from_client(payload: bytes, *, masked: bool = True, opcode: int = 2) -> bytes:
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes((0x80 | opcode, bit | len(payload)))
    elif len(payload) < 65536:
        head = bytes((0x80 | opcode, bit | 126)) + len(payload).to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, bit | 127)) + len(payload).to_bytes(8, "big")
    return head + (os.urandom(4) if masked else b"") + payload


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_length_takes_the_shortest_form(length: int, head: bytes):
    assert Frame("x" * length, None).plain == head + b"x" * length


def test_text_and_binary_have_their_opcodes():
    assert Frame("é", None).plain == b"\x81\x02\xc3\xa9"
    assert Frame(None, b"\x00").plain == b"\x82\x01\x00"
    assert Frame(None, b"").plain == b"\x82\x00"


def test_the_bytes_are_made_once_for_all_clients():
    frame = Frame("hello " * 1000, None)

    assert frame.plain is frame.plain
    assert frame.for_window(15) is frame.for_window(15)
    assert frame.for_window(0) is frame.plain


@pytest.mark.parametrize("window_bits", range(9, 16))
def test_a_deflated_message_is_read_by_any_inflater_with_that_window(window_bits: int):
    payload = b"the same words again and again, " * 500
    frame = Frame(None, payload).for_window(window_bits)

    assert frame[0] == 0x80 | 0x40 | 0x2
    assert len(frame) < len(payload) // 10
    inflater = zlib.decompressobj(-window_bits)
    for _ in range(2):  # the window of the message before does no harm
        assert inflater.decompress(frame[4:] + b"\x00\x00\xff\xff") == payload


def test_small_and_huge_messages_and_windows_that_zlib_cannot_make_are_sent_as_they_are():
    for frame, window_bits in (
        (Frame("small", None), 15),
        (Frame("x" * 300_000, None), 15),
        (Frame("x" * 5000, None), 8),
    ):
        assert frame.for_window(window_bits) is frame.plain


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4999, "x" * 123)])
def test_a_close_frame_is_read_by_another_implementation(code: int, reason: str):
    frame = close_frame(code, reason)

    assert frame[0] == 0x88
    assert frame[1] == len(frame) - 2
    assert Close.parse(frame[2:]) == Close(code, reason)


@pytest.mark.parametrize("code", [0, 1005])
def test_a_close_without_a_code_is_empty(code: int):
    assert close_frame(code, "ignored") == b"\x88\x00"


@pytest.mark.parametrize("code", [1, 999, 1004, 1006, 1015, 5000, 70000, -1])
def test_a_code_that_must_not_be_sent_becomes_1000(code: int):
    assert Close.parse(close_frame(code, "")[2:]) == Close(1000, "")


def test_a_reason_is_cut_between_characters():
    parsed = Close.parse(close_frame(1000, "é" * 100)[2:])

    assert parsed.reason == "é" * 61


def test_masked_frames_pass_however_they_are_cut():
    choose = random.Random(7)
    stream = b"".join(from_client(bytes(choose.choice((0, 1, 125, 126, 127, 300, 65535, 65536)))) for _ in range(40))
    guarded = Guarded()

    position = 0
    while position < len(stream):
        size = choose.choice((1, 2, 3, 5, 13, 14, 1000, 70_000))
        assert not guarded.feed(stream[position : position + size])
        position += size

    assert guarded.parser.fed == stream
    assert guarded.unmasked == 0


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_an_unmasked_frame_stops_the_stream_and_is_told_once(size: int):
    stream = from_client(b"fine") + from_client(b"bare", masked=False) + from_client(b"after")
    guarded = Guarded()

    for position in range(0, len(stream), size):
        guarded.feed(stream[position : position + size])

    assert guarded.unmasked == 1
    assert b"after" not in guarded.parser.fed


def test_the_end_of_the_stream_reaches_the_parser():
    guarded = Guarded()

    guarded.guard.feed_eof()

    assert guarded.parser.ended
