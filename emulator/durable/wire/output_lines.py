"""How a host's standard output and error say which object a line is from. Knows no pipe and no process.

    \\x1e <token> <kind> <writer> \\x1f <label> \\x1f <text> \\n

Kind `=` is a whole line; `+` is a piece of one that goes on, `-` its last piece, and `writer` is who writes it. The
label is `["ChatRoom", "<64 hex>", "general"]`, or empty for code outside of objects. Whatever else is on the pipe, of a
subprocess or of C code, is lines without a label, also when a frame stands in the middle of one: the token, which
nobody outside the two processes knows, tells where a frame begins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from durable.limits import OUTPUT_LABEL_BYTES_MAX, OUTPUT_LINE_BYTES_MAX, OUTPUT_LINES_BEGUN_MAX

FRAME_BYTES_MAX = 4096
"""PIPE_BUF of Linux: what is written to a pipe at once and is no longer than that is not mixed with others' (pipe(7)).
macOS promises 512 bytes, and keeps larger writes together as long as the pipe has room."""

START, SEPARATOR = b"\x1e", b"\x1f"
WHOLE, PIECE, LAST_PIECE = b"=", b"+", b"-"

_UNFRAMED = b"raw"
"""Key of the line that a subprocess or C code has begun; no label looks like it."""


def token_of(number: int) -> bytes:
    """The token as it stands in a frame."""
    return b"%016x" % number


def encode_label(class_name: str, actor_id: str, name: str | None) -> bytes:
    """A name that is too long for a frame is left out: the id says which object it is."""
    for shown in (name, None):
        label = json.dumps([class_name, actor_id, shown], ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(label) <= OUTPUT_LABEL_BYTES_MAX:
            return label
    return json.dumps([class_name[:80], actor_id, None]).encode()


def decode_label(label: bytes) -> tuple[str | None, str | None, str | None]:
    """Class name, id and name; three times None for what is no label."""
    try:
        match json.loads(label.decode("utf-8", "surrogatepass")):
            case [str(class_name), str(actor_id), (str() | None) as name]:
                return class_name, actor_id, name
            case _:
                pass
    except ValueError:
        pass
    return None, None, None


class OutputLine(NamedTuple):
    """One line without its end; `left_out` counts bytes beyond the longest line that is kept."""

    label: bytes
    text: bytes
    left_out: int = 0


class _Begun(Struct):
    """A line whose end has not come."""

    label: bytes
    text: bytes = b""
    left_out: int = 0
    is_told: bool = False
    """Its beginning was told as a line of its own, because nothing came for a while."""

    def add(self, piece: bytes) -> None:
        room = OUTPUT_LINE_BYTES_MAX - len(self.text)
        self.left_out += max(0, len(piece) - room)
        self.text += piece[:room]

    def line(self) -> OutputLine:
        # A progress bar writes over itself: what is left at the end is what a terminal would show.
        text = self.text.rstrip(b"\r")
        return OutputLine(self.label, text[text.rfind(b"\r") + 1 :], self.left_out)


class OutputReader:
    """Bytes of one pipe, as they come, → lines. Keeps no more than the lines that have begun."""

    def __init__(self, token: bytes) -> None:
        self._mark = START + token
        self._whole_mark = self._mark + WHOLE + SEPARATOR
        self._unread = b""
        """The beginning of a frame, or of what may become one."""
        self._begun: dict[bytes, _Begun] = {}

    @property
    def has_begun(self) -> bool:
        """Whether any line has begun that `tell_begun` would tell."""
        return any(begun.text for begun in self._begun.values())

    def feed(self, data: bytes) -> list[OutputLine]:
        """The lines that `data` completes."""
        lines: list[OutputLine] = []
        *whole, rest = (self._unread + data).split(b"\n")
        mark, whole_mark, size = self._mark, self._whole_mark, len(self._whole_mark)
        for line in whole:
            if line.startswith(whole_mark):
                label, _, text = line[size:].partition(SEPARATOR)
                lines.append(OutputLine(label, text.removesuffix(b"\r")))
            elif line.startswith(mark):
                self._frame(line, lines)
            elif mark in line:
                # A subprocess has begun a line, and its end is still to come.
                at = line.index(mark)
                self._piece(_UNFRAMED, b"", line[:at])
                self._frame(line[at:], lines)
            else:
                self._last_piece(_UNFRAMED, b"", line, lines)
        at = self._start_of_frame(rest)
        self._piece(_UNFRAMED, b"", rest[:at])
        self._unread = rest[at:]
        if len(self._begun) > OUTPUT_LINES_BEGUN_MAX:
            lines += self.tell_begun()
            self._begun.clear()
        return lines

    def tell_begun(self, *, at_end: bool = False) -> list[OutputLine]:
        """What was begun, as lines: nothing came for a while, or (`at_end`) nothing will come any more."""
        if at_end:
            self._piece(_UNFRAMED, b"", self._unread)
            self._unread = b""
        lines: list[OutputLine] = []
        for begun in self._begun.values():
            if begun.text:
                lines.append(begun.line())
                begun.text, begun.left_out, begun.is_told = b"", 0, True
        return lines

    def _start_of_frame(self, rest: bytes) -> int:
        """Where in the unfinished line a frame begins that is to be waited for."""
        at = rest.find(self._mark)
        if at < 0:
            at = rest.rfind(START, max(0, len(rest) - len(self._mark) + 1))
            if at < 0 or not self._mark.startswith(rest[at:]):
                return len(rest)
        # No frame is that long: it is somebody else's text.
        return at if len(rest) - at <= FRAME_BYTES_MAX else len(rest)

    def _frame(self, frame: bytes, lines: list[OutputLine]) -> None:
        kind = frame[len(self._mark) : len(self._mark) + 1]
        writer, *parts = frame[len(self._mark) + 1 :].split(SEPARATOR, 2)
        if len(parts) != 2:
            self._last_piece(_UNFRAMED, b"", frame, lines)
            return
        label, text = parts
        if kind == PIECE:
            self._piece(writer + SEPARATOR + label, label, text)
        else:
            self._last_piece(writer + SEPARATOR + label, label, text, lines)

    def _piece(self, key: bytes, label: bytes, text: bytes) -> None:
        if text:
            begun = self._begun.get(key)
            if begun is None:
                begun = self._begun[key] = _Begun(label)
            begun.add(text)

    def _last_piece(self, key: bytes, label: bytes, text: bytes, lines: list[OutputLine]) -> None:
        begun = self._begun.pop(key, None) or _Begun(label)
        begun.add(text)
        # The end of a line whose text was told already is no empty line.
        if begun.text or not begun.is_told:
            lines.append(begun.line())


def frames_of(
    lines: Sequence[bytes], mark: bytes, label: bytes, *, writer: bytes = b"", is_continued: bool = False
) -> list[bytes]:
    """Whole lines as writes of at most `FRAME_BYTES_MAX`; `is_continued`: pieces of the first one were sent."""
    writes: list[bytes] = []
    gathered = b""
    for line in lines:
        frame = mark + (LAST_PIECE + writer if is_continued else WHOLE) + SEPARATOR + label + SEPARATOR + line + b"\n"
        if len(frame) > FRAME_BYTES_MAX:
            if gathered:
                writes.append(gathered)
            *pieces, gathered = _pieces_of(line, mark, label, writer)
            writes += pieces
        elif len(gathered) + len(frame) > FRAME_BYTES_MAX:
            writes.append(gathered)
            gathered = frame
        else:
            gathered += frame
        is_continued = False
    return [*writes, gathered] if gathered else writes


def piece_of(text: bytes, mark: bytes, label: bytes, writer: bytes) -> list[bytes]:
    """The beginning of a line, as writes."""
    room = FRAME_BYTES_MAX - len(mark) - len(label) - len(writer) - 4
    head = mark + PIECE + writer + SEPARATOR + label + SEPARATOR
    return [head + text[at : at + room] + b"\n" for at in range(0, len(text), room)]


def _pieces_of(line: bytes, mark: bytes, label: bytes, writer: bytes) -> list[bytes]:
    end = mark + LAST_PIECE + writer + SEPARATOR + label + SEPARATOR + b"\n"
    return [*piece_of(line, mark, label, writer), end]
