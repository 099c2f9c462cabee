"""What a client's bytes become, held against RFC 6455: a table of frames that are refused, and what is let through."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from durable.gateway import frame_reader
from durable.gateway.frame_reader import FrameReader
from durable.limits import SOCKET_CONTROL_FRAMES_MAX, SOCKET_EMPTY_FRAGMENTS_MAX

MASK = b"\x11\x22\x33\x44"
MIB = 1024 * 1024


def frame(first: int, payload: bytes = b"", *, masked: bool = True, length: int | None = None, form: int = 0) -> bytes:
    """One frame; `length` announces another number of bytes than come, `form` forces the form 125, 126 or 127."""
    size = len(payload) if length is None else length
    form = form or (125 if size < 126 else 126 if size < 65536 else 127)
    bit = 0x80 if masked else 0
    head = {
        125: lambda: bytes((first, bit | size)),
        126: lambda: bytes((first, bit | 126)) + size.to_bytes(2, "big"),
        127: lambda: bytes((first, bit | 127)) + size.to_bytes(8, "big"),
    }[form]()
    if not masked:
        return head + payload
    keys = MASK * (len(payload) // 4 + 1)
    body = (int.from_bytes(payload, "big") ^ int.from_bytes(keys[: len(payload)], "big")).to_bytes(len(payload), "big")
    return head + MASK + body


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(0x88, code.to_bytes(2, "big") + reason)


def deflated(payload: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


class Heard:
    """A listener that writes everything down, with a clock of its own."""

    def __init__(self, *, deflate: bool = False) -> None:
        self.told: list[Any] = []
        self.now = 100.0
        self.pause_after: int | None = None
        self.reader = FrameReader(self, deflate=deflate, now=lambda: self.now)

    def received(self, text: str | None, binary: bytes | None) -> None:
        self.told.append(text if text is not None else binary)
        if self.pause_after is not None and len(self.messages) >= self.pause_after:
            self.reader.paused = True

    def pinged(self, payload: bytes) -> None:
        self.told.append(("ping", payload))

    def closed(self, code: int, reason: str) -> None:
        self.told.append(("close", code, reason))

    def broken(self, code: int, description: str) -> None:
        self.told.append(("broken", code, description))

    def unfinished(self) -> None:
        self.reader.watched = True
        self.told.append("unfinished")

    def overfull(self) -> None:
        self.told.append("overfull")

    def ended(self) -> None:
        self.told.append("ended")

    @property
    def messages(self) -> list[str | bytes]:
        notes = ("unfinished", "overfull", "ended")
        return [told for told in self.told if isinstance(told, (str, bytes)) and told not in notes]

    @property
    def verdict(self) -> Any:
        """The last word but for the watch over unfinished messages."""
        return next((told for told in reversed(self.told) if told != "unfinished"), None)


def hear(data: bytes, *, deflate: bool = False, cut: int = 0) -> Heard:
    heard = Heard(deflate=deflate)
    for position in range(0, len(data), cut or len(data)):
        heard.reader.feed_data(data[position : position + (cut or len(data))])
    return heard


UNMASKED = "Received an unmasked frame"
SHORTEST = "The length of a frame is not in its shortest form"
RSV23 = "Received frame had RSV bits 2 or 3 set"
COMPRESSION = (
    "Received a WebSocket frame whose compression bit was set, but the compression extension was not negotiated for "
    "this connection."
)
CONTROL_SIZE = "Control frame payload cannot be larger than 125 bytes"
FRAGMENTED = "Received fragmented control frame"
TOO_LARGE = "Message is too large"
BAD_TEXT = "Invalid UTF-8 text message"

REFUSED = [
    # --- masks (§5.1)
    ("unmasked text", frame(0x81, b"hello", masked=False), 1002, UNMASKED),
    ("unmasked and empty", frame(0x81, masked=False), 1002, UNMASKED),
    ("unmasked ping", frame(0x89, masked=False), 1002, UNMASKED),
    ("unmasked close", b"\x88\x02\x03\xe8", 1002, UNMASKED),
    ("unmasked, 16-bit length", frame(0x82, bytes(300), masked=False), 1002, UNMASKED),
    # --- first byte (§5.2)
    ("RSV2", frame(0xA1), 1002, RSV23),
    ("RSV3", frame(0x91), 1002, RSV23),
    ("RSV2 of a ping", frame(0xA9), 1002, RSV23),
    ("RSV1 without deflate", frame(0xC1), 1002, COMPRESSION),
    ("RSV1 of a close", frame(0xC8), 1002, COMPRESSION),
    *[(f"opcode {op}", frame(0x80 | op), 1002, f"Unknown opcode {op}") for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    # --- lengths (§5.2)
    ("125 bytes in 16 bits", frame(0x82, bytes(125), form=126), 1002, SHORTEST),
    ("nothing in 16 bits", frame(0x82, form=126), 1002, SHORTEST),
    ("65535 bytes in 64 bits", frame(0x82, bytes(65535), form=127), 1002, SHORTEST),
    ("5 bytes in 64 bits", frame(0x81, b"hello", form=127), 1002, SHORTEST),
    ("32 MiB and one byte", frame(0x82, length=32 * MIB + 1), 1009, TOO_LARGE),
    ("2**40 bytes", frame(0x82, length=2**40), 1009, TOO_LARGE),
    ("2**63 bytes", frame(0x82, length=2**63), 1009, TOO_LARGE),
    ("2**64 - 1 bytes", frame(0x81, length=2**64 - 1), 1009, TOO_LARGE),
    # --- fragments (§5.4)
    ("continuation of nothing", frame(0x80, b"x"), 1002, "Unexpected continuation frame"),
    ("first of a continuation of nothing", frame(0x00, b"x"), 1002, "Unexpected continuation frame"),
    ("message inside a message", frame(0x01, b"a") + frame(0x81, b"b"), 1002, "Missing continuation frame"),
    ("fragment inside an empty one", frame(0x02) + frame(0x02), 1002, "Missing continuation frame"),
    ("a rest that is too large", frame(0x02, b"x") + frame(0x80, length=32 * MIB), 1009, TOO_LARGE),
    ("too many empty fragments", frame(0x01) + frame(0x00) * 65_000, 1008, "Too many fragments in one message"),
    # --- control frames (§5.5)
    ("fragmented ping", frame(0x09), 1002, FRAGMENTED),
    ("fragmented close", frame(0x08), 1002, FRAGMENTED),
    ("ping of 126 bytes", frame(0x89, bytes(126)), 1002, CONTROL_SIZE),
    ("close of 126 bytes", frame(0x88, bytes(126)), 1002, CONTROL_SIZE),
    ("pong of 2**40 bytes", frame(0x8A, length=2**40), 1002, CONTROL_SIZE),
    ("too many pings", frame(0x89) * 2000, 1008, "Too many control frames"),
    ("too many pongs", frame(0x8A, b"x" * 125) * 2000, 1008, "Too many control frames"),
    # --- close (§7.4)
    ("half a close code", frame(0x88, b"\x03"), 1002, "Invalid close code: 3"),
    *[
        (f"close {code}", close(code), 1002, f"Invalid close code: {code}")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ],
    ("a reason that is no UTF-8", close(1000, b"\xff"), 1007, "Invalid UTF-8 in the reason of a close frame"),
    # --- text (§8.1)
    ("no UTF-8", frame(0x81, b"\xce\xba\xff"), 1007, BAD_TEXT),
    ("a surrogate", frame(0x81, b"\xed\xa0\x80"), 1007, BAD_TEXT),
    ("half a character", frame(0x81, b"\xce"), 1007, BAD_TEXT),
    ("half a character at the end of fragments", frame(0x01, b"a") + frame(0x80, b"\xce"), 1007, BAD_TEXT),
    ("no UTF-8 in the first of fragments", frame(0x01, b"\xf4\x90"), 1007, BAD_TEXT),
]
ROWS = pytest.mark.parametrize(("data", "code", "text"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])


@ROWS
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_a_frame_that_the_standard_forbids_ends_the_connection(data: bytes, code: int, text: str, cut: int):
    before, after = frame(0x81, b"before"), frame(0x81, b"after")

    heard = hear(before + data + after, cut=cut)

    assert heard.verdict == ("broken", code, text)
    assert heard.messages == ["before"]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        pytest.param(lambda: frame(0xC9, b"x"), 1002, id="compressed ping"),
        pytest.param(lambda: frame(0x41, b"x") + frame(0xC0, b"y"), 1002, id="compression bit on a continuation"),
        pytest.param(lambda: frame(0xE1, b"x"), 1002, id="RSV2 beside it"),
        pytest.param(lambda: frame(0xC1, b"no deflate at all"), 1007, id="not deflated"),
        pytest.param(lambda: frame(0xC1, deflated(b"\xff\xfe")), 1007, id="deflated, no UTF-8"),
        pytest.param(lambda: frame(0xC2, deflated(bytes(32 * MIB + 1))), 1009, id="one byte too many when inflated"),
        pytest.param(lambda: frame(0xC2, deflated(bytes(200 * MIB))), 1009, id="bomb of 200 MiB"),
        pytest.param(lambda: frame(0x42, deflated(bytes(64 * MIB))) + frame(0x80), 1009, id="bomb in fragments"),
    ],
)
def test_with_deflate_more_can_be_wrong(made: Callable[[], bytes], code: int):
    heard = hear(made(), deflate=True)

    assert heard.verdict[:2] == ("broken", code)
    assert heard.messages == []


@pytest.mark.parametrize(
    ("switch", "data"),
    [
        pytest.param(("_MASK_BIT", 0), frame(0x81, b"hello", masked=False) + MASK, id="masks"),
        pytest.param(("_PROBLEMS", {False: (None,) * 256}), frame(0xA1, b"x"), id="RSV bits"),
        pytest.param(("_PROBLEMS", {False: (None,) * 256}), frame(0x09), id="fragmented ping"),
        pytest.param(("SOCKET_EMPTY_FRAGMENTS_MAX", 10**6), frame(0x01) + frame(0x00) * 65_000, id="empty fragments"),
        pytest.param(("SOCKET_FRAGMENTS_MAX", 10**6), frame(0x01) + frame(0x00, b"x") * 140_000, id="fragments"),
        pytest.param(("SOCKET_CONTROL_FRAMES_MAX", 10**6), frame(0x89) * 2000, id="control frames"),
        pytest.param(("received_close_code_allowed", lambda _code: True), close(1006), id="close codes"),
        pytest.param(("SOCKET_MESSAGE_BYTES_MAX", 2**63), frame(0x82, length=2**40), id="size of messages"),
    ],
)
def test_each_rule_is_what_refuses(monkeypatch: pytest.MonkeyPatch, switch: tuple[str, Any], data: bytes):
    assert hear(data).verdict[0] == "broken"

    monkeypatch.setattr(frame_reader, *switch)
    heard = hear(data)

    assert heard.verdict is None or heard.verdict[0] != "broken"


@pytest.mark.parametrize("size", [0, 1, 5, 125, 126, 127, 65535, 65536, 200_000])
@pytest.mark.parametrize("first", [0x81, 0x82])
def test_messages_of_every_length_arrive_whole_however_they_are_cut(size: int, first: int):
    payload = bytes(97 + index % 26 for index in range(size))
    choose = random.Random(size)
    stream = frame(first, payload) * 3
    heard = Heard()

    position = 0
    while position < len(stream):
        step = choose.choice((1, 2, 3, 5, 13, 14, 1000, 70_000))
        heard.reader.feed_data(stream[position : position + step])
        position += step

    assert heard.messages == [payload.decode() if first == 0x81 else payload] * 3


def test_exactly_32_mib_arrive_in_one_frame_and_in_fragments():
    payload = bytes(32 * MIB)

    whole = hear(frame(0x82, payload), cut=256 * 1024)
    halves = hear(frame(0x02, payload[: 16 * MIB]) + frame(0x80, payload[16 * MIB :]))

    assert whole.messages == [payload]
    assert halves.messages == [payload]
    assert hear(frame(0x02, payload) + frame(0x80, b"x")).verdict == ("broken", 1009, TOO_LARGE)


def test_fragments_are_joined_and_pings_between_them_come_first():
    heard = hear(frame(0x01, b"\xce") + frame(0x89, b"p") + frame(0x00) + frame(0x80, b"\xba") + frame(0x82, b"next"))

    assert heard.told == [("ping", b"p"), "κ", b"next"]


def test_as_many_fragments_as_the_conformance_suite_sends_are_fine():
    heard = hear(frame(0x02, bytes(64)) + frame(0x00, bytes(64)) * 65_534 + frame(0x80, bytes(64)))

    assert heard.messages == [bytes(4 * MIB)]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])
def test_close_codes_that_may_be_sent_are_told(code: int):
    assert hear(close(code, "é".encode())).told == [("close", code, "é")]


def test_a_close_without_a_code_is_1005_and_nothing_after_a_close_is_read():
    assert hear(frame(0x88) + frame(0x81, b"late") + b"garbage").told == [("close", 1005, "")]


def test_control_frames_are_counted_by_the_second():
    heard = Heard()
    for _ in range(5):
        heard.reader.feed_data(frame(0x89) * SOCKET_CONTROL_FRAMES_MAX)
        heard.now += 1.0

    assert len(heard.told) == 5 * SOCKET_CONTROL_FRAMES_MAX
    heard.reader.feed_data(frame(0x8A) * SOCKET_CONTROL_FRAMES_MAX)
    assert heard.told[-1] == ("ping", b"")
    heard.reader.feed_data(frame(0x8A))
    assert heard.told[-1] == ("broken", 1008, "Too many control frames")


def test_a_few_empty_fragments_are_fine():
    heard = hear(frame(0x01) + frame(0x00) * (SOCKET_EMPTY_FRAGMENTS_MAX - 1) + frame(0x80, b"end"))

    assert heard.messages == ["end"]


def test_deflated_messages_are_read_in_one_piece_and_in_several():
    data = deflated(b"the same words " * 100)

    heard = hear(
        frame(0xC1, data) + frame(0x41, data[:5]) + frame(0x80, data[5:]) + frame(0x81, b"plain"), deflate=True
    )

    assert heard.messages == ["the same words " * 100] * 2 + ["plain"]


def test_an_announced_length_reserves_no_memory():
    heard = hear(frame(0x82, length=30 * MIB))

    assert heard.told == ["unfinished"]
    assert len(heard.reader._rest) < 100


# --- pauses ----------------------------------------------------------------------------------------------------------
def test_while_paused_nothing_is_told_and_nothing_lost():
    heard = Heard()
    heard.pause_after = 1
    heard.reader.feed_data(b"".join(frame(0x81, b"%d" % number) for number in range(4)))
    heard.reader.feed_data(frame(0x81, b"4"))
    heard.reader.feed_eof()
    assert heard.told == ["0"]

    heard.pause_after = 3
    heard.reader.resume()
    assert heard.told == ["0", "1", "2"]
    heard.pause_after = None
    heard.reader.resume()

    assert heard.told == ["0", "1", "2", "3", "4", "ended"]


def test_what_is_kept_while_paused_is_bounded():
    heard = Heard()
    heard.reader.paused = True

    for _ in range(20):
        heard.reader.feed_data(frame(0x82, bytes(4096)))

    assert heard.told == ["overfull"] * len(heard.told)
    assert heard.told


def test_an_unfinished_message_is_told_once_until_it_is_watched_no_more():
    heard = hear(frame(0x01, b"a") + frame(0x00, b"b") + b"\x00", cut=3)
    assert heard.told == ["unfinished"]
    assert heard.reader.is_waiting
    before = heard.reader.feeds

    heard.reader.watched = False
    heard.reader.feed_data(b"\x81")

    assert heard.told == ["unfinished", "unfinished"]
    assert heard.reader.feeds == before + 1
    heard.reader.feed_data(MASK + bytes((ord("c") ^ MASK[0],)))
    heard.reader.feed_data(frame(0x80, b"d"))
    assert heard.messages == ["abcd"]
    assert not heard.reader.is_waiting


def test_the_end_of_the_stream_is_told_after_a_violation_too():
    heard = hear(b"\x81\x00")
    heard.reader.feed_eof()

    assert heard.told == [("broken", 1002, UNMASKED), "ended"]
