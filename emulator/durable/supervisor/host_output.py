"""What a host and the processes it starts write: two pipes → lines with the object they are from. Knows no terminal.

A program that prints without end must not be felt by the others: a read is short, lines beyond an allowance are counted
instead of told, but for the last ones, and nothing here grows with what is printed. A host that is faster waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter, deque
from typing import Final

from durable.gateway.events import Event, OnEvent, Output, OutputLeftOut
from durable.limits import (
    OUTPUT_BEGUN_SECONDS_MAX,
    OUTPUT_BURST_BYTES,
    OUTPUT_BURST_LINES,
    OUTPUT_BYTES_PER_SECOND,
    OUTPUT_FLOOD_READ_BYTES,
    OUTPUT_FLOOD_READ_SECONDS,
    OUTPUT_LABELS_MAX,
    OUTPUT_LAST_LINES,
    OUTPUT_LEFT_OUT_OBJECTS_MAX,
    OUTPUT_LEFT_OUT_SECONDS,
    OUTPUT_LINES_PER_SECOND,
    OUTPUT_QUIET_SECONDS,
    OUTPUT_READ_BYTES,
)
from durable.supervisor.output_pipes import OutputPipes
from durable.wire.output_lines import OutputLine, OutputReader, decode_label, token_of

_LAST_WORDS_BYTES_MAX: Final = 1024 * 1024
"""What is read of a host that has ended: what a pipe can hold (pipe(7)). Another process may go on writing to it."""


def echo_output(event: Event) -> None:
    """Show what user code printed where this process prints, and nothing else."""
    if isinstance(event, Output):
        print(event.text, file=sys.stdout if event.stream == "stdout" else sys.stderr, flush=True)


class Allowance:
    """How many lines, and bytes of them, may be told now: a burst, and then so many per second."""

    def __init__(self, now: float) -> None:
        self._lines = float(OUTPUT_BURST_LINES)
        self._bytes = float(OUTPUT_BURST_BYTES)
        self._at = now

    def refill(self, now: float) -> None:
        seconds = now - self._at
        self._at = now
        self._lines = min(OUTPUT_BURST_LINES, self._lines + seconds * OUTPUT_LINES_PER_SECOND)
        self._bytes = min(OUTPUT_BURST_BYTES, self._bytes + seconds * OUTPUT_BYTES_PER_SECOND)

    def take(self, size: int) -> bool:
        """Whether one more line of this size may be told."""
        if self._lines < 1 or self._bytes < 0:
            return False
        self._lines -= 1
        self._bytes -= size
        return True


class HostOutput:
    """Reads both pipes of one host, from its birth until `finish`."""

    def __init__(self, pipes: OutputPipes, on_event: OnEvent) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipes = pipes
        self._on_event = on_event
        token = token_of(pipes.token)
        self._streams = {
            pipes.stdout: ("stdout", OutputReader(token)),
            pipes.stderr: ("stderr", OutputReader(token)),
        }
        self._objects: dict[bytes, tuple[str | None, str | None, str | None]] = {b"": (None, None, None)}
        """Class, name and id by label."""
        self._allowance = Allowance(self._loop.time())
        self._left_out: Counter[bytes] = Counter()
        """Lines by label, while more is printed than is told."""
        self._last: deque[tuple[str, OutputLine]] = deque(maxlen=OUTPUT_LAST_LINES)
        self._counting: asyncio.TimerHandle | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._begun_at = self._read_at = 0.0
        for descriptor in self._streams:
            os.set_blocking(descriptor, False)
            self._loop.add_reader(descriptor, self._readable, descriptor)

    def poll(self) -> None:
        """Tell what has been written, without waiting for the loop."""
        for descriptor in list(self._streams):
            for _ in range(_LAST_WORDS_BYTES_MAX // OUTPUT_FLOOD_READ_BYTES):
                if not self._read(descriptor, OUTPUT_FLOOD_READ_BYTES):
                    break

    def finish(self) -> None:
        """The host is gone: its last words, and the end of the pipes."""
        self.poll()
        for stream, reader in self._streams.values():
            self._tell(stream, reader.tell_begun(at_end=True))
        self._tell_left_out()
        for timer in (self._quiet, self._counting):
            if timer is not None:
                timer.cancel()
        for descriptor in self._streams:
            self._loop.remove_reader(descriptor)
        self._streams.clear()
        self._pipes.close()

    # --- reading ------------------------------------------------------------------------------------------------------
    def _readable(self, descriptor: int) -> None:
        self._read(descriptor, OUTPUT_READ_BYTES)
        if self._left_out:
            self._loop.remove_reader(descriptor)
            self._loop.call_later(OUTPUT_FLOOD_READ_SECONDS, self._read_flood, descriptor)

    def _read_flood(self, descriptor: int) -> None:
        if descriptor not in self._streams:
            return  # the host is gone
        if self._read(descriptor, OUTPUT_FLOOD_READ_BYTES) and self._left_out:
            self._loop.call_later(OUTPUT_FLOOD_READ_SECONDS, self._read_flood, descriptor)
        else:
            self._loop.add_reader(descriptor, self._readable, descriptor)

    def _read(self, descriptor: int, size: int) -> bool:
        """Read once; whether there was anything."""
        stream, reader = self._streams[descriptor]
        try:
            data = os.read(descriptor, size)
        except (BlockingIOError, InterruptedError):
            return False
        if not data:
            # Its end; the descriptor is closed with the other one.
            self._loop.remove_reader(descriptor)
            return False
        self._tell(stream, reader.feed(data))
        self._read_at = self._loop.time()
        if self._quiet is None and reader.has_begun:
            self._begun_at = self._read_at
            self._quiet = self._loop.call_later(OUTPUT_QUIET_SECONDS, self._look_at_begun)
        return True

    def _look_at_begun(self) -> None:
        self._quiet = None
        quiet_at = min(self._read_at + OUTPUT_QUIET_SECONDS, self._begun_at + OUTPUT_BEGUN_SECONDS_MAX)
        if self._loop.time() < quiet_at:
            self._quiet = self._loop.call_at(quiet_at, self._look_at_begun)
            return
        for stream, reader in self._streams.values():
            self._tell(stream, reader.tell_begun())

    # --- telling ------------------------------------------------------------------------------------------------------
    def _tell(self, stream: str, lines: list[OutputLine]) -> None:
        allowance, left_out = self._allowance, self._left_out
        allowance.refill(self._loop.time())
        for line in lines:
            # What is left out goes on until it is counted, so that lines stay in their order.
            if not left_out and allowance.take(len(line.text)):
                self._tell_line(stream, line)
            else:
                self._leave_out(stream, line)

    def _tell_line(self, stream: str, line: OutputLine) -> None:
        text = line.text.decode("utf-8", "backslashreplace")
        if line.left_out:
            text += f" … {line.left_out} more bytes"
        self._on_event(Output(stream, text, *self._object(line.label)))

    def _object(self, label: bytes) -> tuple[str | None, str | None, str | None]:
        found = self._objects.get(label)
        if found is None:
            if len(self._objects) >= OUTPUT_LABELS_MAX:
                self._objects.clear()
            class_name, actor_id, name = decode_label(label)
            found = self._objects[label] = class_name, name, actor_id
        return found

    def _leave_out(self, stream: str, line: OutputLine) -> None:
        if len(self._left_out) >= OUTPUT_LABELS_MAX and line.label not in self._left_out:
            self._tell_left_out()
        self._left_out[line.label] += 1
        self._last.append((stream, line))
        if self._counting is None:
            self._counting = self._loop.call_later(OUTPUT_LEFT_OUT_SECONDS, self._count_over)

    def _count_over(self) -> None:
        self._counting = None
        self._tell_left_out()

    def _tell_left_out(self) -> None:
        """How many lines there were, and the last of them."""
        last = list(self._last)
        self._left_out.subtract(line.label for _, line in last)
        counts = [(label, lines) for label, lines in self._left_out.most_common() if lines > 0]
        self._left_out.clear()
        self._last.clear()
        for label, lines in counts[:OUTPUT_LEFT_OUT_OBJECTS_MAX]:
            self._on_event(OutputLeftOut(lines, *self._object(label)))
        others = counts[OUTPUT_LEFT_OUT_OBJECTS_MAX:]
        if others:
            self._on_event(OutputLeftOut(sum(lines for _, lines in others), others=len(others)))
        for stream, line in last:
            self._tell_line(stream, line)
