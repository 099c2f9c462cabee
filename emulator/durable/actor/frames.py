"""A traceback → the frames of a report: whose code each is, and the user's with the lines around it.

Runs only when something failed, and callers that handle what they asked for pay for it too: it keeps to strings.
"""

from __future__ import annotations

import linecache
import os
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType, TracebackType

import msgspec

from durable.limits import REPORT_FRAMES_MAX, REPORT_LINE_CHARACTERS_MAX
from durable.wire.messages import Frame

_BEFORE, _AFTER = 2, 2
"""Lines of context around the one that ran."""
_TAB = 4
_ENGINE = str(Path(__file__).parents[1]) + os.sep
_STANDARD = tuple({sysconfig.get_path("stdlib") + os.sep, sysconfig.get_path("platstdlib") + os.sep, "<frozen "})
_INSTALLED = ("site-packages" + os.sep, "dist-packages" + os.sep)

Hide = Callable[[str], str]
"""Takes the secrets out of a text."""


def plain(text: str) -> str:
    """`text` as the wire can carry it: half a character is spelt out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def frames_of(trace: TracebackType | None, is_user_file: Callable[[str], bool], place: str, hide: Hide) -> list[Frame]:
    """Oldest first, and only the innermost `REPORT_FRAMES_MAX`."""
    steps: list[tuple[CodeType, int, int]] = []
    repeats: list[int] = []
    while trace is not None:
        step = trace.tb_frame.f_code, trace.tb_lineno, trace.tb_lasti
        if steps and step == steps[-1]:
            repeats[-1] += 1
        else:
            steps.append(step)
            repeats.append(0)
        trace = trace.tb_next
    frames: list[Frame] = []
    for (code, line, instruction), again in zip(steps[-REPORT_FRAMES_MAX:], repeats[-REPORT_FRAMES_MAX:], strict=True):
        frame = _frame_at(code, line, instruction, is_user_file, hide)
        frames.append(msgspec.structs.replace(frame, place=place, repeats=again))
    return frames


# Remembered: a failure that comes again comes from the same places, and code never changes under its object.
@lru_cache(maxsize=512)
def _frame_at(code: CodeType, line: int, instruction: int, is_user_file: Callable[[str], bool], hide: Hide) -> Frame:
    file = code.co_filename
    if is_user_file(file):
        return user_frame(file, line, code.co_name, _columns(code, instruction, line), "", hide)
    source = plain(linecache.getline(file, line).strip())
    return Frame(plain(file), line, code.co_name, source, False, package=package_of(file))


def user_frame(
    file: str, line: int, function: str, columns: tuple[int, int], place: str, hide: Hide, *, bytewise: bool = True
) -> Frame:
    """`columns` are where what ran begins and ends in its line, in bytes from 0 or, not `bytewise`, in characters."""
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    first, last = _paragraph(lines, line) if source else (0, 0)
    around = [_shown_line(each, hide) for each in lines[first - 1 : last]] if source else []
    column, end_column = _in_characters(source, columns, bytewise=bytewise)
    return Frame(
        plain(file), line, function, _shown_line(source, hide).strip(), True, "\n".join(around), first,
        column, end_column, place=place,
    )  # fmt: skip


def _paragraph(lines: list[str], line: int) -> tuple[int, int]:
    """The first and the last line to show around one: what an empty line parts from it belongs to something else."""
    first, last = line, line
    while first > max(line - _BEFORE, 1) and lines[first - 2].strip():
        first -= 1
    while last < min(line + _AFTER, len(lines)) and lines[last].strip():
        last += 1
    return first, last


def _shown_line(line: str, hide: Hide) -> str:
    line = plain(line.rstrip()).expandtabs(_TAB)
    if len(line) > REPORT_LINE_CHARACTERS_MAX:
        # Hidden before it is cut: half a secret would not be found any more.
        line = hide(line)[:REPORT_LINE_CHARACTERS_MAX] + "…"
    return line


def _columns(code: CodeType, instruction: int, line: int) -> tuple[int, int]:
    first, last, begin, end = next(islice(code.co_positions(), instruction // 2, None), (None, None, None, None))
    if first != line or begin is None or end is None:
        return 0, 0
    return begin, end if last == first else -1


def _in_characters(source: str, columns: tuple[int, int], *, bytewise: bool) -> tuple[int, int]:
    """From 1, behind expanded tabs; (0, 0) for nothing, and for all of the line, which needs no mark."""
    begin, end = columns
    if begin == end:
        return 0, 0
    source = source.rstrip()
    if bytewise:
        data = source.encode(errors="replace")
        before, upto = (
            data[:begin].decode(errors="replace"),
            data[:end].decode(errors="replace") if end >= 0 else source,
        )
    else:
        before, upto = source[:begin], source[:end] if end >= 0 else source
    if not before.strip() and upto == source:
        return 0, 0
    column, end_column = len(before.expandtabs(_TAB)) + 1, len(upto.expandtabs(_TAB)) + 1
    return (column, end_column) if column < end_column <= REPORT_LINE_CHARACTERS_MAX else (0, 0)


@lru_cache(maxsize=1024)
def package_of(file: str) -> str:
    """ "durable", "aiohttp", "Python", or the folder of a file that belongs to none of these."""
    if file.startswith(_ENGINE):
        return "durable"
    for mark in _INSTALLED:
        if mark in file:
            return plain(file.partition(mark)[2].partition(os.sep)[0].removesuffix(".py"))
    if file.startswith(_STANDARD):
        return "Python"
    return plain(os.path.basename(os.path.dirname(file)) or file)
