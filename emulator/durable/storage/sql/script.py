"""Where the statements of a script begin, so that each can be run, bounded and counted alone. Opens nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import apsw

from durable.limits import SQL_TEXT_BYTES_MAX
from durable.storage.sql.statement import EMPTY

_SCRIPTS_KEPT: Final = 8
"""One query of many objects is the same for each."""

# What is quoted or commented hides its semicolons; what never ends hides the rest, so that nothing is read twice.
_TOKEN: Final = re.compile(
    r"""'(?:[^']|'')*+(?:'|\Z)|"(?:[^"]|"")*+(?:"|\Z)|`(?:[^`]|``)*+(?:`|\Z)|\[[^\]]*+(?:\]|\Z)"""
    r"""|--[^\n]*+|/\*.*?(?:\*/|\Z)|;""",
    re.DOTALL,
)


@lru_cache(_SCRIPTS_KEPT)
def statements_of(script: str) -> tuple[tuple[int, str], ...]:
    """(offset in bytes, text) of every statement, its semicolon included; blanks and comments alone are none."""
    return tuple(_statements(script))


def _statements(script: str) -> Iterator[tuple[int, str]]:
    begin = offset = 0
    for match in _TOKEN.finditer(script):
        if match[0] != ";":
            continue
        text = script[begin : match.end()]
        if not _is_complete(text):
            continue
        if not EMPTY.fullmatch(text):
            yield offset, text
        begin = match.end()
        offset += len(text.encode(errors="replace"))
    if not EMPTY.fullmatch(rest := script[begin:]):
        yield offset, rest


def _is_complete(text: str) -> bool:
    """Whether the semicolon at the end is not one inside of a trigger, as SQLite itself sees it."""
    if len(text) > SQL_TEXT_BYTES_MAX:
        return True  # whoever runs it says that it is too long
    try:
        return bool(apsw.complete(text))
    except ValueError:
        return True  # it cannot be run either, and whoever tries says why
