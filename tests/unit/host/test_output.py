"""The streams of user code, over real pipes, read back as the gateway reads them."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from durable.host.output import open_stream
from durable.limits import OUTPUT_LINE_BYTES_MAX
from durable.wire.output_lines import START, OutputReader, token_of

TOKEN = token_of(7)


class Written:
    """A stream over a pipe, and what came out of the other end."""

    def __init__(self) -> None:
        self._end, descriptor = os.pipe()
        os.set_blocking(self._end, False)
        self.label = b""
        self.stream = open_stream(descriptor, TOKEN, lambda: self.label)
        self.descriptor = descriptor
        self._reader = OutputReader(TOKEN)

    def raw(self) -> bytes:
        try:
            return os.read(self._end, 1 << 20)
        except BlockingIOError:
            return b""

    def lines(self) -> list[tuple[str, str]]:
        """Label and text of every line that has come."""
        lines = []
        while data := self.raw():
            lines += self._reader.feed(data)
        return [(line.label.decode(), line.text.decode()) for line in lines]

    def begun(self) -> list[tuple[str, str]]:
        return [(line.label.decode(), line.text.decode()) for line in self._reader.tell_begun()]


@pytest.fixture
def written() -> Iterator[Written]:
    written = Written()
    yield written
    os.close(written.descriptor)


def test_a_line_has_left_when_print_returns(written: Written) -> None:
    written.label = b"room"
    print("one", 2, file=written.stream)
    assert written.lines() == [("room", "one 2")]


def test_several_lines_of_one_write_have_a_label_each(written: Written) -> None:
    written.label = b"room"
    print("one\n\nthree", file=written.stream)
    assert written.lines() == [("room", "one"), ("room", ""), ("room", "three")]


def test_a_line_belongs_to_whoever_runs_when_it_is_written(written: Written) -> None:
    for label in (b"a", b"", b"b", b"a"):
        written.label = label
        print("hello", file=written.stream)
    assert written.lines() == [("a", "hello"), ("", "hello"), ("b", "hello"), ("a", "hello")]


def test_the_beginning_of_a_line_waits_for_its_end(written: Written) -> None:
    print("Loading", end="", file=written.stream)
    assert written.raw() == b""
    print(" done", file=written.stream)
    assert written.lines() == [("", "Loading done")]


def test_flush_sends_what_has_begun(written: Written) -> None:
    print("Loading", end="", file=written.stream, flush=True)
    assert written.lines() == []
    assert written.begun() == [("", "Loading")]
    print(" done", file=written.stream)
    assert written.lines() == [("", " done")]


def test_what_another_object_has_begun_is_not_mixed_with_mine(written: Written) -> None:
    written.label = b"a"
    print("of a", end="", file=written.stream)
    written.label = b"b"
    print("of b", file=written.stream)
    written.label = b"a"
    print(", too", file=written.stream)
    assert written.lines() == [("b", "of b"), ("a", "of a, too")]


async def test_the_end_of_the_turn_sends_what_has_begun(written: Written) -> None:
    print("Loading", end="", file=written.stream)
    assert written.raw() == b""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert written.lines() == []
    assert written.begun() == [("", "Loading")]


async def test_a_line_over_two_turns_is_one_line(written: Written) -> None:
    print("Loading", end="", file=written.stream)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print(" done", file=written.stream)
    assert written.lines() == [("", "Loading done")]


def test_lines_of_threads_stay_whole(written: Written) -> None:
    def work(name: str) -> None:
        for number in range(100):
            print(name, number, "x" * 50, file=written.stream)

    names = [f"thread {number}" for number in range(6)]
    threads = [threading.Thread(target=work, args=[name]) for name in names]
    seen: list[tuple[str, str]] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen += written.lines()
    seen += written.lines()
    assert sorted(text for _, text in seen) == sorted(f"{name} {at} {'x' * 50}" for name in names for at in range(100))


def test_a_long_line_arrives_in_one_piece(written: Written) -> None:
    print("x" * 30_000, file=written.stream)
    print("é" * 5000, file=written.stream)
    assert [text for _, text in written.lines()] == ["x" * 30_000, "é" * 5000]


def test_a_line_without_end_is_not_kept_for_ever(written: Written) -> None:
    for _ in range(40):
        written.stream.write("x" * 4000)
        written.lines()
    [(_, text)] = written.begun()
    assert len(text) == OUTPUT_LINE_BYTES_MAX


def test_bytes_have_a_label_too(written: Written) -> None:
    written.label = b"room"
    written.stream.buffer.write(b"bytes\n")
    written.stream.writelines(["one\n", "two\n"])
    assert written.lines() == [("room", "bytes"), ("room", "one"), ("room", "two")]


def test_no_character_is_refused(written: Written) -> None:
    print("日本 \ud800", file=written.stream)
    assert written.lines() == [("", "日本 \\ud800")]


def test_it_is_a_text_stream_like_another(written: Written) -> None:
    stream = written.stream
    assert isinstance(stream, io.TextIOWrapper)
    assert not stream.isatty()
    assert stream.fileno() == written.descriptor
    assert (stream.encoding, stream.errors, stream.mode) == ("utf-8", "backslashreplace", "w")
    assert stream.writable()
    assert not stream.readable()
    stream.reconfigure(line_buffering=True, errors="replace")
    print("after", file=stream)
    assert written.lines() == [("", "after")]


def test_another_stream_over_the_same_buffer_works(written: Written) -> None:
    again = io.TextIOWrapper(written.stream.buffer, encoding="utf-8", line_buffering=True)
    print("wrapped", file=again)
    assert written.lines() == [("", "wrapped")]
    again.detach()


def test_who_closes_the_descriptor_that_everybody_knows_still_prints(written: Written) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, written.descriptor)
    os.close(nothing)
    print("still here", file=written.stream)
    assert written.lines() == [("", "still here")]


def test_what_a_subprocess_writes_has_no_label_and_breaks_no_line(written: Written) -> None:
    written.label = b"room"
    print("before", file=written.stream)
    subprocess.run([sys.executable, "-c", "print('half', end='')"], stdout=written.stream, check=True)
    print("between", file=written.stream)
    subprocess.run(["echo", " of it"], stdout=written.descriptor, check=True)
    assert written.lines() == [("room", "before"), ("room", "between"), ("", "half of it")]


def test_a_pipe_that_a_subprocess_made_non_blocking_is_waited_for(written: Written) -> None:
    os.set_blocking(written.descriptor, False)
    seen: list[tuple[str, str]] = []
    thread = threading.Thread(target=lambda: print("\n".join(["x" * 100] * 3000), file=written.stream))
    thread.start()
    while thread.is_alive():
        seen += written.lines()
    seen += written.lines()
    assert len(seen) == 3000


def test_a_gateway_that_is_gone_is_no_error_of_the_program() -> None:
    end, descriptor = os.pipe()
    stream = open_stream(descriptor, TOKEN, lambda: b"")
    os.close(end)
    print("nobody reads this", file=stream)
    os.close(descriptor)


def test_a_fork_does_not_repeat_what_its_parent_has_begun(written: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks among threads, which pytest may have
        print("of the parent", end="", file=written.stream)
        child = os.fork()
        if child == 0:
            print("of the child", file=written.stream)
            os._exit(0)
    os.waitpid(child, 0)
    print(" alone", file=written.stream)
    assert written.lines() == [("", "of the child"), ("", "of the parent alone")]


def test_logging_writes_lines(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", written.stream)
    written.label = b"room"
    logger = logging.Logger("of a program")  # noqa: LOG001
    logger.warning("careful")  # by logging.lastResort
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")
    lines = written.lines()
    assert lines[:3] == [("room", "careful"), ("room", "ERROR failed"), ("room", "Traceback (most recent call last):")]
    assert lines[-1] == ("room", "ValueError: no")


@pytest.mark.parametrize("text", ["\x1e" + TOKEN.decode() + "=\x1flabel\x1fforged", START.decode() + "=\x1flabel\x1fx"])
def test_printed_text_cannot_pose_as_another_objects(written: Written, text: str) -> None:
    written.label = b"room"
    print(text, file=written.stream)
    assert written.lines() == [("room", text)]
