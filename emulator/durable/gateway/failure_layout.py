"""A failure as lines of text, for a terminal and for curl: what the user wrote comes first, the rest is folded.

    error in ChatRoom "general".say(text='hello'), GET /room/general
      ValueError: no such room
      main.py:17 in find
          15 │ room = self.rooms.get(name)
          16 │ if room is None:
        > 17 │     raise ValueError("no such room")
      main.py:9 in say
        >  9 │ return self.find(text)
             │        ^^^^^^^^^^^^^^^
      called by Default.fetch
      main.py:40 in fetch
        > 40 │ return Response(await room.say(text))
             │                       ^^^^^^^^^^^^^^
      … 6 frames of durable

Pure. Whoever prints it paints, which is also where texts are made harmless; a line is cut to the width before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from textwrap import dedent
from typing import Final

from durable.gateway.python_tokens import tokens
from durable.wire.messages import ErrorReport, FailedSql, Frame, RelatedError

FRAMES_MAX: Final = 12
"""Frames of the user's that are shown of one exception; recursion fills thousands."""
RELATED_FRAMES_MAX: Final = 3
"""The same for an exception that is only related to it."""
SQL_LINES_MAX: Final = 12
"""Lines of a statement that are shown."""
_RELATIONS: Final = {"cause": "caused by", "context": "while handling"}

Paint = Callable[[str, str], str]
"""`paint(text, style)`: harmless and, on a terminal, coloured.

Styles are "heading", "exception", "note", "place", "frame", "number", "marked", "gutter", "caret", "folded", "label",
and the kinds of `python_tokens`.
"""


def failure_lines(
    report: ErrorReport, paint: Paint, *, request: str = "", width: int = 0, verbose: bool = False,
    coloured: bool = False, shown_path: Callable[[str], str] = str,
) -> list[str]:  # fmt: skip
    """`width` 0: lines may be of any length. `verbose` folds nothing; `shown_path` makes paths short.

    Where `coloured` is False, code is painted line by line and not word by word.
    """
    layout = _Layout(paint, width, verbose, coloured, shown_path)
    lines = [paint(heading_of(report) + (f", {request}" if request else ""), "heading")]
    lines += layout.exception(report.type, report.message, report.notes)
    if report.sql is not None:
        lines += layout.sql(report.sql)
    lines += layout.frames(report.frames, FRAMES_MAX, with_context=True)
    members = sum(error.relation == "member" and error.depth == 1 for error in report.related)
    number = 0
    for error in report.related:
        number += error.relation == "member" and error.depth == 1
        lines += layout.related(error, number, members)
    if not verbose:
        lines += layout.folded(report)
    return lines


def heading_of(report: ErrorReport) -> str:
    """`error in ChatRoom "general".say(text='hello')`"""
    if report.method == "import" and not report.label:
        return "error while loading the program"
    place = ".".join(part for part in (report.label, report.method) if part)
    if place and report.arguments:
        place += f"({report.arguments})"
    return f"error in {place or 'the program'}"


def relation_of(error: RelatedError, number: int, members: int) -> str:
    """What stands before a related exception: "caused by", "2 of 3"; `number` counts members of the outer group."""
    if error.relation == "member":
        return f"{number} of {members}" if error.depth == 1 else "with"
    return _RELATIONS.get(error.relation, error.relation)


def parts_by_place(frames: Sequence[Frame]) -> list[tuple[str, list[Frame]]]:
    """The innermost frame first, in parts that ran in one place: the callee's before those of who called it."""
    parts: list[tuple[str, list[Frame]]] = []
    for frame in reversed(frames):
        if not parts or parts[-1][0] != frame.place:
            parts.append((frame.place, []))
        parts[-1][1].append(frame)
    return parts


def packages_of(report: ErrorReport) -> str:
    """`6 frames of durable, 2 of aiohttp`; empty when every frame is the user's."""
    frames = [*report.frames, *(frame for error in report.related for frame in error.frames)]
    counts = Counter(frame.package or "packages" for frame in frames if not frame.user)
    shown = [f"{count} of {package}" for package, count in counts.most_common()]
    if shown:
        first, count = counts.most_common(1)[0]
        shown[0] = f"{count} {'frame' if count == 1 else 'frames'} of {first}"
    return ", ".join(shown)


def context_of(frame: Frame) -> tuple[list[tuple[int, str]], int, int]:
    """The numbered lines around a frame, without their common indentation, and where what ran begins and ends."""
    lines = dedent(frame.context).split("\n") if frame.context else [frame.source.strip()] if frame.source else []
    first = frame.context_line if frame.context else frame.line
    at = frame.line - first
    if not (frame.context and frame.column and 0 <= at < len(lines)):
        return list(enumerate(lines, first)), 0, 0
    margin = len(frame.context.split("\n")[at]) - len(lines[at])
    return list(enumerate(lines, first)), max(frame.column - 1 - margin, 0), max(frame.end_column - 1 - margin, 0)


def repeats_of(frame: Frame) -> str:
    """`, which called itself 960 times`; empty for most frames."""
    return f", which called itself {frame.repeats} times" if frame.repeats else ""


def sql_lines(sql: FailedSql) -> list[tuple[str, int, int]]:
    """The lines of a statement, each with the columns of the word SQLite stumbled over, both -1 where it is not."""
    lines = sql.text.replace("\t", " ").split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    found: list[tuple[str, int, int]] = []
    at = 0
    for number, line in enumerate(lines):
        column = sql.offset - at if 0 <= sql.offset - at <= len(line) else -1
        # The first line of a statement in triple quotes is often not indented, or empty.
        left = margin if number else min(margin, len(line) - len(line.lstrip()))
        if line.strip() or column >= 0:
            word = re.match(r"\w*", line[column:]) if column >= 0 else None
            begin = max(column - left, 0) if word else -1
            found.append((line[left:], begin, begin + max(len(word.group()), 1) if word else -1))
        at += len(line) + 1
    return found


def _alone(lines: list[tuple[int, str]], at: int, begin: int, end: int) -> tuple[list[tuple[int, str]], int, int]:
    """The line that ran, without the others and without its indentation."""
    text = next((text for line, text in lines if line == at), "")
    margin = len(text) - len(text.lstrip())
    return [(at, text.lstrip())] if text else [], max(begin - margin, 0), max(end - margin, 0)


class _Layout:
    def __init__(
        self, paint: Paint, width: int, verbose: bool, coloured: bool, shown_path: Callable[[str], str]
    ) -> None:
        self._paint = paint
        self._width = width
        self._verbose = verbose
        self._coloured = coloured
        self._shown_path = shown_path

    def exception(self, kind: str, message: str, notes: Sequence[str]) -> Iterator[str]:
        text = f"{kind}: {message}".rstrip() if message else kind
        for line in text.split("\n"):
            yield "  " + self._paint(line, "exception")
        for note in notes:
            for line in note.split("\n"):
                yield "  " + self._paint(line, "note")

    def sql(self, sql: FailedSql) -> Iterator[str]:
        count = f"{sql.bindings} binding{'s' * (sql.bindings != 1)}"
        yield "  " + self._paint(f"SQL, {count}", "label")
        lines = sql_lines(sql)
        for line, begin, end in lines[:SQL_LINES_MAX]:
            yield ("      " + self._paint(self._fit(line, 6), "source")).rstrip()
            if begin >= 0:
                yield "      " + " " * begin + self._paint("^" * (end - begin), "caret")
        if len(lines) > SQL_LINES_MAX:
            yield "      " + self._paint(f"… {len(lines) - SQL_LINES_MAX} more lines", "folded")

    def frames(self, frames: Sequence[Frame], frames_max: int, *, with_context: bool) -> Iterator[str]:
        own = [frame for frame in frames if frame.user]
        shown = frames if self._verbose or not own else own
        left = frames_max if own or self._verbose else RELATED_FRAMES_MAX
        for number, (place, part) in enumerate(parts_by_place(shown)):
            if number and left > 0:
                yield "  " + self._paint(f"called by {place or 'the program'}", "label")
            for frame in part[: max(left, 0)]:
                yield from self._frame(frame, with_context=with_context)
                with_context = False
            left -= len(part)
        if left < 0 and own:
            yield "  " + self._paint(f"… {-left} frames of yours further out", "folded")

    def related(self, error: RelatedError, number: int, members: int) -> Iterator[str]:
        first, *more = list(self.exception(error.type, error.message, error.notes))
        margin = "  " * max(error.depth - 1, 0)
        yield f"  {margin}{self._paint(relation_of(error, number, members), 'label')} {first.lstrip()}"
        yield from (margin + line for line in more)
        for line in self.frames(error.frames, RELATED_FRAMES_MAX, with_context=False):
            yield margin + line

    def folded(self, report: ErrorReport) -> Iterator[str]:
        packages = packages_of(report)
        if packages:
            yield "  " + self._paint(f"… {packages}", "folded")

    def _frame(self, frame: Frame, *, with_context: bool) -> Iterator[str]:
        where = f"{self._shown_path(frame.file)}:{frame.line}"
        function = (f" in {frame.function}" if frame.function else "") + repeats_of(frame)
        yield "  " + self._paint(where, "place" if frame.user else "folded") + self._paint(function, "frame")
        lines, begin, end = context_of(frame)
        if not with_context:
            lines, begin, end = _alone(lines, frame.line, begin, end)
        digits = max((len(str(line)) for line, _ in lines), default=1)
        for line, text in lines:
            if line == frame.line:
                yield self._source(text, f"  > {line:>{digits}} │ ", "marked")
                if begin < end:
                    yield self._caret(text, f"    {' ' * digits} │ ", begin, end)
            else:
                yield self._source(text, f"    {line:>{digits}} │ ", "gutter")

    def _source(self, text: str, gutter: str, style: str) -> str:
        text = self._fit(text, len(gutter) + 2)
        parts = tokens(text) if self._coloured else [("", text, False)]
        painted = "".join(self._paint(part, kind or "source") for kind, part, _ in parts)
        return f"  {self._paint(gutter, style)}{painted}".rstrip()

    def _caret(self, text: str, gutter: str, begin: int, end: int) -> str:
        room = self._width - len(gutter) - 2 if self._width else len(text)
        carets = "^" * max(min(end, len(text), room) - begin, 1)
        return f"  {self._paint(gutter, 'gutter')}{' ' * begin}{self._paint(carets, 'caret')}"

    def _fit(self, text: str, indent: int) -> str:
        room = self._width - indent
        return text if not self._width or len(text) <= room else text[: max(room - 1, 8)] + "…"
