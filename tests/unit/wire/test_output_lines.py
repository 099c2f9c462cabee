from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable.limits import OUTPUT_LINE_BYTES_MAX, OUTPUT_LINES_BEGUN_MAX
from durable.wire.output_lines import (
    FRAME_BYTES_MAX,
    START,
    OutputLine,
    OutputReader,
    decode_label,
    encode_label,
    frames_of,
    piece_of,
    token_of,
)

TOKEN = token_of(0x1234)
MARK = START + TOKEN
ROOM = encode_label("ChatRoom", "a" * 64, "general")
OTHER = encode_label("ChatRoom", "b" * 64, "other")


def frames(*texts: bytes, label: bytes = ROOM) -> bytes:
    return b"".join(frames_of(texts, MARK, label))


def piece(text: bytes, writer: bytes = b"1", label: bytes = ROOM) -> bytes:
    return b"".join(piece_of(text, MARK, label, writer))


def last_piece(text: bytes, writer: bytes = b"1", label: bytes = ROOM) -> bytes:
    return b"".join(frames_of([text], MARK, label, writer=writer, is_continued=True))


def read(*data: bytes) -> list[OutputLine]:
    reader = OutputReader(TOKEN)
    return [line for each in data for line in reader.feed(each)]


def texts(lines: list[OutputLine]) -> list[tuple[bytes, bytes]]:
    return [(line.label, line.text) for line in lines]


def test_lines_arrive_with_their_label() -> None:
    assert texts(read(frames(b"one", b"", b"three"))) == [(ROOM, b"one"), (ROOM, b""), (ROOM, b"three")]


def test_bytes_may_be_cut_anywhere() -> None:
    data = b"raw\n" + frames(b"one", b"two") + b"half" + frames(b"three", label=OTHER) + b" of it\n"
    whole = texts(read(data))
    for at in range(len(data)):
        assert texts(read(data[:at], data[at:])) == whole
    assert whole == [(b"", b"raw"), (ROOM, b"one"), (ROOM, b"two"), (OTHER, b"three"), (b"", b"half of it")]


def test_what_is_no_frame_has_no_label() -> None:
    assert texts(read(b"of a subprocess\nand more\n")) == [(b"", b"of a subprocess"), (b"", b"and more")]


def test_pieces_become_one_line_whatever_comes_between() -> None:
    data = piece(b"Load") + frames(b"between", label=OTHER) + piece(b"ing") + last_piece(b" done")
    assert texts(read(data)) == [(OTHER, b"between"), (ROOM, b"Loading done")]


def test_pieces_of_two_threads_do_not_mix() -> None:
    data = piece(b"a", b"1") + piece(b"b", b"2") + last_piece(b"A", b"1") + last_piece(b"B", b"2")
    assert texts(read(data)) == [(ROOM, b"aA"), (ROOM, b"bB")]


def test_what_has_begun_is_told_once_when_nothing_comes() -> None:
    reader = OutputReader(TOKEN)
    assert reader.feed(piece(b"Loading") + b"prompt> ") == []
    assert reader.has_begun
    assert texts(reader.tell_begun()) == [(ROOM, b"Loading"), (b"", b"prompt> ")]
    assert not reader.has_begun
    assert reader.tell_begun() == []
    # Its end is no line of its own when there is nothing in it.
    assert reader.feed(last_piece(b"") + b"\n") == []
    assert texts(reader.feed(frames(b""))) == [(ROOM, b"")]


def test_the_rest_of_a_line_that_was_told_is_a_line() -> None:
    reader = OutputReader(TOKEN)
    reader.feed(piece(b"Loading"))
    reader.tell_begun()
    assert texts(reader.feed(last_piece(b" done"))) == [(ROOM, b" done")]


def test_a_progress_bar_is_shown_as_it_stands_at_the_end() -> None:
    data = piece(b"\r 10%") + piece(b"\r 50%") + piece(b"\r100%") + last_piece(b"")
    assert texts(read(data)) == [(ROOM, b"100%")]
    assert texts(read(b"10%\r20%\r\n")) == [(b"", b"20%")]
    assert texts(read(frames(b"with a carriage return\r", b"a\rb"))) == [
        (ROOM, b"with a carriage return"),
        (ROOM, b"a\rb"),
    ]


def test_a_long_line_is_kept_up_to_its_bound_and_the_rest_counted() -> None:
    [line] = read(frames(b"x" * (OUTPUT_LINE_BYTES_MAX + 5)))
    assert (len(line.text), line.left_out) == (OUTPUT_LINE_BYTES_MAX, 5)
    [line] = read(b"x" * (OUTPUT_LINE_BYTES_MAX + 7) + b"\n")
    assert (len(line.text), line.left_out) == (OUTPUT_LINE_BYTES_MAX, 7)


def test_every_write_is_small_enough_to_stay_in_one_piece() -> None:
    for writes in (
        frames_of([b"x" * 50_000, b"y", b"z" * 4000], MARK, ROOM),
        piece_of(b"x" * 50_000, MARK, ROOM, b"1"),
    ):
        assert all(len(write) <= FRAME_BYTES_MAX for write in writes)
        assert all(write.endswith(b"\n") for write in writes)


def test_lines_that_never_end_are_bounded_in_number() -> None:
    reader = OutputReader(TOKEN)
    told = 0
    for writer in range(3 * OUTPUT_LINES_BEGUN_MAX):
        told += len(reader.feed(piece(b"x", b"%x" % writer)))
    assert told > OUTPUT_LINES_BEGUN_MAX


# --- labels that pose as others' --------------------------------------------------------------------------------------
FORGED = [
    b'\x1e0000000000000000=\x1f["ChatRoom", "b", "other"]\x1fforged',
    START + b"=\x1f" + OTHER + b"\x1fforged",
    b'ChatRoom "other" \xe2\x94\x82 forged',
    b"\x1f" + OTHER + b"\x1fforged",
]


@pytest.mark.parametrize("text", FORGED)
def test_text_that_looks_like_a_label_is_text(text: bytes) -> None:
    assert texts(read(frames(text), text + b"\n")) == [(ROOM, text), (b"", text)]


def test_the_token_is_what_makes_a_label() -> None:
    """The twin: with it the same bytes do change the label, so it must not be known."""
    forged = FORGED[0].replace(b"0" * 16, TOKEN)
    assert texts(read(forged + b"\n")) == [(b'["ChatRoom", "b", "other"]', b"forged")]
    # Inside a frame not even that helps.
    assert texts(read(frames(forged))) == [(ROOM, forged)]


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=20), st.integers(1, 64))
def test_no_bytes_break_the_reader_or_another_objects_lines(parts: list[tuple[bool, bytes]], step: int) -> None:
    data = b"".join(
        b"\n" + frames(*text.split(b"\n")) if is_framed else text.replace(TOKEN, b"") for is_framed, text in parts
    )
    reader = OutputReader(TOKEN)
    lines = [line for at in range(0, len(data), step) for line in reader.feed(data[at : at + step])]
    lines += reader.tell_begun(at_end=True)
    framed = [line for is_framed, text in parts if is_framed for line in text.split(b"\n")]
    assert [line.text for line in lines if line.label == ROOM] == [line.removesuffix(b"\r") for line in framed]
    assert {line.label for line in lines} <= {ROOM, b""}


@pytest.mark.parametrize("name", ["general", None, "", "a\nb\x1f\x1e\x00", "日本 🙂", "\ud800", '"quoted"'])
def test_a_label_is_read_as_it_was_written(name: str | None) -> None:
    label = encode_label("Räume", "ab" * 32, name)
    assert not {0x0A, 0x1E, 0x1F} & set(label)
    assert decode_label(label) == ("Räume", "ab" * 32, name)


def test_a_name_that_is_too_long_for_a_frame_is_left_out() -> None:
    assert decode_label(encode_label("Room", "ab", "\x00" * 1024)) == ("Room", "ab", None)


@pytest.mark.parametrize("label", [b"", b"x", b"[]", b"[1, 2, 3]", b'["a", "b"]', b"\xff", b"null"])
def test_what_is_no_label_names_nobody(label: bytes) -> None:
    assert decode_label(label) == (None, None, None)
