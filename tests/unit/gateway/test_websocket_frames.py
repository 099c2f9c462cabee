"""Frames as bytes, held against RFC 6455 and an independent decoder."""

from __future__ import annotations

import zlib

import pytest
from websockets.frames import Close

from durable.gateway.websocket_frames import Frame, close_frame, pong_frame


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


@pytest.mark.parametrize("payload", [b"", b"x", bytes(125)])
def test_a_pong_carries_what_the_ping_did(payload: bytes):
    assert pong_frame(payload) == bytes((0x8A, len(payload))) + payload
