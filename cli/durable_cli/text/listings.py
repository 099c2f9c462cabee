"""A page of objects as a table that fits the terminal, and what is said below it. Pure; names are escaped.

name        size   last used    alarm  sockets  state
general   28 KiB   3m20s ago  2h30m          2  idle
"""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from durable_cli.console import Ink, printable
from durable_cli.data.listing_types import LIST_LIMIT, ListedObject, ListPage, ListQuery
from durable_cli.durations import shown_duration
from durable_cli.moments import shown_bytes

NAME_COLUMNS_MIN: Final = 12
"""Of the terminal, for a name, however narrow it is; a line is then wrapped."""
NAME_CHARACTERS_MAX: Final = 2_000
"""Shown of a name where there is no terminal to fit it into; --json has all of it."""
_GAP: Final = "  "
_STATES: Final = {"inactive": "asleep", "unknown": "unknown: its process is busy"}


@dataclass(frozen=True)
class _Column:
    title: str
    cells: Sequence[str]
    is_number: bool = False

    @property
    def width(self) -> int:
        return max(_columns_of(cell) for cell in (self.title, *self.cells))


def page_text(page: ListPage, query: ListQuery, ink: Ink, *, width: int, now_ms: int) -> str:
    """`width` 0: there is no terminal. `now_ms` is the machine's time, by which files were written."""
    objects = page.objects
    rest = _columns(page, query, now_ms)
    classes = [_Column("class", [printable(each.class_name) for each in objects])] if query.class_word is None else []
    taken = sum(column.width + len(_GAP) for column in (*classes, *rest))
    room = max(NAME_COLUMNS_MIN, width - taken) if width else NAME_CHARACTERS_MAX
    columns = [*classes, _Column("name", [_name(each, room) for each in objects]), *rest]
    lines = [_line([column.title for column in columns], columns)]
    lines[0] = ink.paint(lines[0], "dim")
    for row, each in enumerate(objects):
        line = _line([column.cells[row] for column in columns], columns)
        lines.append(ink.paint(line, "red") if each.state == "failing" else line)
    return "\n".join(lines)


def page_end_text(page: ListPage, query: ListQuery) -> str:
    """What is told beside the table; empty when it says everything."""
    if not page.objects:
        of = "" if query.class_word is None else f" of {printable(query.class_word)}"
        if query.after is not None:
            return "There are no more."
        if query.live_only:
            return f"No object{of} is in memory" + ("." if page.is_running else ": no emulator runs here.")
        if query.name_glob is not None:
            return f'No object{of} has a name like "{printable(query.name_glob)}".'
        return f"There are no objects{of} yet."
    if page.after is None:
        return ""
    return f"{len(page.objects)} of {page.count} objects; the next ones: {_next_command(page.after, query)}"


def _next_command(after: str, query: ListQuery) -> str:
    words = ["durable objects list"]
    if query.class_word is not None:
        words.append(shlex.quote(query.class_word))
    if query.name_glob is not None:
        words.append(f"--name {shlex.quote(query.name_glob)}")
    if query.sort != "name":
        words.append(f"--sort {query.sort}")
    words += ["--reverse"] * query.reverse + ["--live"] * query.live_only
    if query.limit != LIST_LIMIT:
        words.append(f"--limit {query.limit}")
    return printable(" ".join([*words, f"--after {after}"]))


def _columns(page: ListPage, query: ListQuery, now_ms: int) -> list[_Column]:
    """A column that says nothing about any object of the page is left out."""
    objects = page.objects
    columns = [
        _Column("size", [shown_bytes(each.bytes) if each.bytes else "-" for each in objects], is_number=True),
        _Column("created", [_day(each.created_ms) for each in objects])
        if query.sort == "created"
        else _Column("last used", [_ago(each.used_ms, now_ms) for each in objects], is_number=True),
    ]
    if any(each.alarm_ms is not None for each in objects):
        columns.append(_Column("alarm", [_due(each.alarm_ms, page.now_ms) for each in objects], is_number=True))
    if any(each.sockets for each in objects):
        columns.append(_Column("sockets", [str(each.sockets or "-") for each in objects], is_number=True))
    if any(each.schema_version is not None for each in objects):
        versions = ["-" if each.schema_version is None else str(each.schema_version) for each in objects]
        columns.append(_Column("schema", versions, is_number=True))
    if any(each.state != "stopped" for each in objects):
        columns.append(_Column("state", [_STATES.get(each.state, each.state) for each in objects]))
    return columns


def _name(each: ListedObject, room: int) -> str:
    return _cut(printable(each.name if each.name is not None else f"--id {each.id}"), room)


def _ago(moment_ms: int | None, now_ms: int) -> str:
    if moment_ms is None:
        return "-"
    seconds = (now_ms - moment_ms) // 1000
    return f"{shown_duration(seconds * 1000)} ago" if seconds > 0 else "now"


def _due(alarm_ms: int | None, now_ms: int) -> str:
    if alarm_ms is None:
        return "-"
    seconds = (alarm_ms - now_ms) // 1000
    return f"in {shown_duration(seconds * 1000)}" if seconds > 0 else "due"


def _day(moment_ms: int | None) -> str:
    return "-" if moment_ms is None else datetime.fromtimestamp(moment_ms / 1000).strftime("%Y-%m-%d %H:%M")


# --- how wide text is -------------------------------------------------------------------------------------------------
def _line(cells: Sequence[str], columns: Sequence[_Column]) -> str:
    padded: list[str] = []
    for cell, column in zip(cells, columns, strict=True):
        blank = " " * (column.width - _columns_of(cell))
        padded.append(blank + cell if column.is_number else cell + blank)
    return _GAP.join(padded).rstrip()


def _columns_of(text: str) -> int:
    """Of a terminal: wide characters take two, marks upon others none."""
    if text.isascii():
        return len(text)
    return sum(_character_columns(character) for character in text)


def _character_columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _cut(text: str, room: int) -> str:
    """With `…` in the middle when it is wider: both ends of a name tell it from others."""
    if _columns_of(text) <= room:
        return text
    half = (room - 1) // 2
    return f"{_taken(text, room - 1 - half)}…{_taken(text[::-1], half)[::-1]}"


def _taken(text: str, room: int) -> str:
    """As much of its beginning as fits."""
    taken = 0
    for position, character in enumerate(text):
        taken += _character_columns(character)
        if taken > room:
            return text[:position]
    return text
