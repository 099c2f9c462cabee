"""What user code prints: every line leaves at once, with the object that it is from. Knows no terminal.

`sys.stdout` and `sys.stderr` are text streams as ever, over the pipes that the gateway reads. A line is written when
it is complete, so what was printed before a crash is not lost. The beginning of a line (`print("…", end="")`) waits
for its end, for `flush` or for the end of the turn. What does not come through these streams, such as the output of a
subprocess, has no label.
"""

from __future__ import annotations

import io
import os
import sys
from asyncio.events import _get_running_loop  # pyright: ignore[reportPrivateUsage]
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING

from durable.actor.turn import actor_variable
from durable.limits import OUTPUT_LABEL_BYTES_MAX, OUTPUT_LABELS_MAX, OUTPUT_LINES_BEGUN_MAX
from durable.wire.output_lines import (
    FRAME_BYTES_MAX,
    SEPARATOR,
    START,
    WHOLE,
    encode_label,
    frames_of,
    piece_of,
    token_of,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Label = Callable[[], bytes]

_BEGUN_BYTES_MAX = 16 * 1024
"""The beginning of a line that waits for its end; what is more is sent in pieces."""

_SHORT_BYTES_MAX = FRAME_BYTES_MAX - OUTPUT_LABEL_BYTES_MAX - 64
"""A line that fits into one frame with any label."""


def install(token: int) -> None:
    """From now on `sys.stdout` and `sys.stderr` say which object a line is from."""
    label = running_object()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = open_stream(descriptor, token_of(token), label)
        for attribute in (name, f"__{name}__"):
            setattr(sys, attribute, stream)


def open_stream(descriptor: int, token: bytes, label: Label) -> io.TextIOWrapper:
    """A text stream for `descriptor`; it never refuses a character, as `sys.stderr` does not."""
    pipe = LabelledPipe(descriptor, token, label)
    return _Stream(pipe, encoding="utf-8", errors="backslashreplace", write_through=True)


class _Stream(io.TextIOWrapper):
    @property
    def mode(self) -> str:
        return "w"  # as that of sys.stdout


def running_object() -> Label:
    """The label of the actor whose code runs; empty in the worker, at import and in threads of the user's own."""
    labels: dict[str, bytes] = {}

    def label() -> bytes:
        actor = actor_variable.get()
        if actor is None:
            return b""
        key = actor.key
        found = labels.get(key.id)
        if found is None:
            if len(labels) >= OUTPUT_LABELS_MAX:
                labels.clear()
            found = labels[key.id] = encode_label(actor.label.partition(" ")[0], key.id, key.name)
        return found

    return label


class LabelledPipe(io.BufferedIOBase):
    """The `buffer` below a text stream: complete lines out, with labels. Needs no lock: threads share nothing here."""

    def __init__(self, descriptor: int, token: bytes, label: Label) -> None:
        self.name = "<stdout>" if descriptor == 1 else "<stderr>"
        self.mode = "wb"
        self._shown_descriptor = descriptor
        # One of our own: who redirects or closes the one that everybody knows does not mean our frames.
        self._descriptor = os.dup(descriptor)
        self._mark = START + token
        self._whole = self._mark + WHOLE + SEPARATOR
        self._label = label
        self._begun: dict[int, tuple[bytes, bytes]] = {}
        """By thread: the label and the text of a line that it has begun."""
        self._sent: set[tuple[int, bytes]] = set()
        """Threads and labels of lines whose beginning has left."""
        self._turns: set[int] = set()
        """Threads whose loop will tell when the turn is over."""
        os.register_at_fork(after_in_child=self._forked)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._shown_descriptor

    def isatty(self) -> bool:
        return False

    def write(self, data: ReadableBuffer, /) -> int:
        text = whole = bytes(data)
        thread = get_ident()
        label = self._label()
        begun = self._begun.pop(thread, None)
        if begun is not None:
            if begun[0] == label:
                whole = begun[1] + text
            else:
                self._send_piece(thread, *begun)
        end = whole.find(b"\n") + 1
        if not end:
            self._begun[thread] = label, whole
            if thread not in self._turns or len(whole) > FRAME_BYTES_MAX:
                self._wait_end(thread, whole)
        elif end == len(whole) <= _SHORT_BYTES_MAX and not self._sent:
            self._put(self._whole + label + SEPARATOR + whole)
        else:
            self._write_lines(thread, label, whole)
        return len(text)

    def flush(self) -> None:
        """Send what this thread has begun."""
        self._turn_over(get_ident(), is_over=False)

    def _write_lines(self, thread: int, label: bytes, text: bytes) -> None:
        *lines, rest = text.split(b"\n")
        key = (thread, label)
        is_continued = key in self._sent
        self._sent.discard(key)
        for frames in frames_of(lines, self._mark, label, writer=b"%x" % thread, is_continued=is_continued):
            self._put(frames)
        if rest:
            self._begun[thread] = label, rest
            self._wait_end(thread, rest)

    def _wait_end(self, thread: int, text: bytes) -> None:
        """For the line's end, or the end of the turn, but not with much in hand."""
        if len(text) > _BEGUN_BYTES_MAX or len(self._begun) > OUTPUT_LINES_BEGUN_MAX:
            while self._begun:  # threads end without a word, and may leave the beginning of a line behind
                begun_by, begun = self._begun.popitem()
                self._send_piece(begun_by, *begun)
        elif thread not in self._turns and (loop := _get_running_loop()) is not None:
            self._turns.add(thread)
            loop.call_soon(self._turn_over, thread)

    def _turn_over(self, thread: int, *, is_over: bool = True) -> None:
        if is_over:
            self._turns.discard(thread)
        begun = self._begun.pop(thread, None)
        if begun is not None:
            self._send_piece(thread, *begun)

    def _send_piece(self, thread: int, label: bytes, text: bytes) -> None:
        if len(self._sent) >= OUTPUT_LINES_BEGUN_MAX:
            self._sent.clear()  # their ends arrive as lines of their own
        self._sent.add((thread, label))
        for piece in piece_of(text, self._mark, label, b"%x" % thread):
            self._put(piece)

    def _put(self, frames: bytes) -> None:
        while True:
            try:
                os.write(self._descriptor, frames)
            except BlockingIOError:
                # A subprocess that shares the pipe has made it non-blocking, as Node.js does.
                os.set_blocking(self._descriptor, True)
            except BrokenPipeError:
                return  # the gateway is gone, and this process will be in a moment
            else:
                return

    def _forked(self) -> None:
        """This is a child that user code forked: what was begun is its parent's to end."""
        self._begun.clear()
        self._sent.clear()
        self._turns.clear()
