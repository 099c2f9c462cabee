"""One line of Python → its parts with what they are, for colours: good enough for a quoted line, no parser.

Takes the lines one by one, so the inside of a string of several lines looks like code.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator

_TOKEN = (
    r"(?P<comment>#.*)"
    r"|(?P<string>(?:\b[rbufRBUF]{1,2})?(?:\"{3}.*?(?:\"{3}|$)|'{3}.*?(?:'{3}|$)"
    r"|\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?))"
    r"|(?P<number>\b\d[\w.]*)"
    r"|(?P<word>\b[^\W\d]\w*)"
)
_KEYWORDS = frozenset(keyword.kwlist)

Token = tuple[str, str, bool]
"""Kind ("comment", "string", "name", "number", "keyword" or ""), text, and whether it is in the marked part."""


def tokens(line: str, begin: int = 0, end: int = 0) -> Iterator[Token]:
    """The parts of `line`; those from `begin` to before `end`, in characters from 0, are marked."""
    at, before = 0, ""
    # Compiled, and kept by `re`, when something fails: that takes longer than the import of most modules.
    for found in re.finditer(_TOKEN, line):
        kind, text = found.lastgroup or "", found.group()
        if kind == "word":
            kind = _kind_of(text, before, line)
            before = text
            if not kind:
                continue
        if found.start() > at:
            yield from _cut("", line, at, found.start(), begin, end)
        at = found.end()
        yield from _cut(kind, line, found.start(), at, begin, end)
    if at < len(line):
        yield from _cut("", line, at, len(line), begin, end)


def _kind_of(word: str, before: str, line: str) -> str:
    if before in {"def", "class"}:
        return "name"
    if word in _KEYWORDS:
        return "keyword"
    # Keywords only where a statement begins with them.
    return "keyword" if word in {"match", "case"} and not before and line.rstrip().endswith(":") else ""


def _cut(kind: str, line: str, start: int, stop: int, begin: int, end: int) -> Iterator[Token]:
    """One part as up to three, where the marked part begins and ends."""
    if begin >= end or stop <= begin or start >= end:
        yield kind, line[start:stop], False
        return
    for first, last, marked in ((start, min(stop, begin), False), (begin, end, True), (max(start, end), stop, False)):
        first, last = max(first, start), min(last, stop)
        if first < last:
            yield kind, line[first:last], marked
