"""What the gateway makes of a host's two pipes; the test is the host, and the clock is the loop's."""

from __future__ import annotations

import asyncio
import os

import pytest

from durable.gateway.events import Event, Output, OutputLeftOut
from durable.limits import (
    OUTPUT_BURST_BYTES,
    OUTPUT_BURST_LINES,
    OUTPUT_BYTES_PER_SECOND,
    OUTPUT_LAST_LINES,
    OUTPUT_LEFT_OUT_OBJECTS_MAX,
    OUTPUT_LINE_BYTES_MAX,
    OUTPUT_LINES_PER_SECOND,
)
from durable.supervisor.host_output import Allowance, HostOutput, echo_output
from durable.supervisor.output_pipes import OutputPipes
from durable.wire.output_lines import START, encode_label, frames_of, token_of


class Bench:
    """Two pipes, written by the test and read by the gateway."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.pipes = OutputPipes()
        self.output = HostOutput(self.pipes, self.events.append)
        self._stdout, self._stderr = self.pipes.ends

    def print(self, *texts: str, name: str | None = "a", stream: str = "stdout") -> None:
        label = encode_label("Room", "f" * 64, name) if name is not None else b""
        for write in frames_of([text.encode() for text in texts], START + token_of(self.pipes.token), label):
            self.raw(write, stream)

    def raw(self, data: bytes, stream: str = "stdout") -> None:
        """In pieces, read at once: nobody else reads while the test writes."""
        for at in range(0, len(data), 4096):
            os.write(self._stdout if stream == "stdout" else self._stderr, data[at : at + 4096])
            self.output.poll()

    def texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Output)]

    def left_out(self) -> list[OutputLeftOut]:
        return [event for event in self.events if isinstance(event, OutputLeftOut)]

    def end(self) -> None:
        self.pipes.handed_over()
        self.output.finish()


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_line_is_an_event_with_its_object(bench: Bench) -> None:
    bench.print("hello")
    bench.print("careful", name=None, stream="stderr")
    bench.raw(b"of a subprocess\n")
    assert bench.events == [
        Output("stdout", "hello", "Room", "a", "f" * 64),
        Output("stderr", "careful"),
        Output("stdout", "of a subprocess"),
    ]
    bench.end()


async def test_lines_are_told_without_anybody_asking(bench: Bench) -> None:
    os.write(bench.pipes.ends[0], b"one\n")
    async with asyncio.timeout(10):
        while not bench.events:
            await asyncio.sleep(0)
    assert bench.texts() == ["one"]
    bench.end()


async def test_last_words_are_told_at_the_end(bench: Bench) -> None:
    os.write(bench.pipes.ends[0], b"last words\nand half a line")
    assert bench.texts() == []
    bench.end()
    assert bench.texts() == ["last words", "and half a line"]


async def test_nothing_is_read_after_the_end_though_a_grandchild_goes_on(bench: Bench) -> None:
    bench.output.finish()
    with pytest.raises(BrokenPipeError):
        os.write(bench.pipes.ends[0], b"anybody there?\n")
    bench.pipes.handed_over()


async def test_what_is_no_utf_8_is_shown_as_escapes(bench: Bench) -> None:
    bench.raw(b"\xff\xfe\n")
    assert bench.texts() == ["\\xff\\xfe"]
    bench.end()


async def test_a_line_without_end_is_cut(bench: Bench) -> None:
    for _ in range(3 * OUTPUT_LINE_BYTES_MAX // 4096):
        bench.raw(b"x" * 4096)
    bench.raw(b"\n")
    [text] = bench.texts()
    assert text == "x" * OUTPUT_LINE_BYTES_MAX + f" … {2 * OUTPUT_LINE_BYTES_MAX} more bytes"
    bench.end()


async def test_a_flood_is_counted_and_its_last_lines_are_shown(bench: Bench) -> None:
    flood = OUTPUT_BURST_LINES + 5000
    bench.print(*(f"line {number}" for number in range(flood)))
    shown = len(bench.texts())
    assert OUTPUT_BURST_LINES <= shown < flood - OUTPUT_LAST_LINES
    assert bench.left_out() == []
    bench.end()
    [left_out] = bench.left_out()
    assert (left_out.class_name, left_out.object_name) == ("Room", "a")
    # Every line was either shown or counted, and the last ones were shown.
    assert left_out.lines == flood - len(bench.texts())
    assert bench.texts()[-OUTPUT_LAST_LINES:] == [f"line {flood - at}" for at in range(OUTPUT_LAST_LINES, 0, -1)]
    assert bench.texts()[shown - 1] == f"line {shown - 1}"


async def test_who_floods_is_named_and_the_crowd_is_counted_together(bench: Bench) -> None:
    bench.print(*["first"] * (OUTPUT_BURST_LINES + 5000), name="loud")
    for number in range(OUTPUT_LEFT_OUT_OBJECTS_MAX + 3):
        bench.print(*["x"] * (50 - number), name=f"room {number}")
    bench.print(*["last"] * OUTPUT_LAST_LINES, name="at the end")
    bench.end()
    *named, others = bench.left_out()
    assert [each.object_name for each in named] == [
        "loud",
        *(f"room {n}" for n in range(OUTPUT_LEFT_OUT_OBJECTS_MAX - 1)),
    ]
    assert (others.others, others.class_name) == (4, None)
    assert sum(each.lines for each in bench.left_out()) + len(bench.texts()) == (
        OUTPUT_BURST_LINES + 5000 + sum(50 - n for n in range(OUTPUT_LEFT_OUT_OBJECTS_MAX + 3)) + OUTPUT_LAST_LINES
    )


async def test_a_flood_of_new_labels_grows_nothing(bench: Bench) -> None:
    bench.print(*["x"] * (OUTPUT_BURST_LINES + 2000))
    for number in range(2500):
        bench.print("x", name=f"room {number}")
    bench.end()
    told = sum(each.lines for each in bench.left_out()) + len(bench.texts())
    assert told == OUTPUT_BURST_LINES + 4500


def test_an_allowance_is_a_burst_and_then_a_rate() -> None:
    allowance = Allowance(100.0)
    assert sum(allowance.take(10) for _ in range(OUTPUT_BURST_LINES + 50)) == OUTPUT_BURST_LINES
    allowance.refill(100.5)
    assert sum(allowance.take(10) for _ in range(OUTPUT_BURST_LINES)) == OUTPUT_LINES_PER_SECOND // 2
    allowance.refill(10_000.0)
    assert sum(allowance.take(10) for _ in range(2 * OUTPUT_BURST_LINES)) == OUTPUT_BURST_LINES


def test_an_allowance_is_one_of_bytes_too() -> None:
    allowance = Allowance(0.0)
    size = OUTPUT_LINE_BYTES_MAX
    assert sum(allowance.take(size) for _ in range(1000)) == OUTPUT_BURST_BYTES // size + 1
    allowance.refill(1.0)
    assert allowance.take(OUTPUT_BYTES_PER_SECOND)


def test_who_has_no_log_sees_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    echo_output(Output("stdout", "hello"))
    echo_output(Output("stderr", "careful"))
    echo_output(OutputLeftOut(3))
    assert capsys.readouterr() == ("hello\n", "careful\n")
