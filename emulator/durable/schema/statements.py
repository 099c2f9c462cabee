"""An SQL file → its statements with their lines, and which of them a migration may not have. Runs nothing.

SQLite's own rule for where a statement ends (`sqlite3_complete`): at a semicolon outside of strings and comments;
inside CREATE TRIGGER only at one that follows `; END`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""
    (?P<blank>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<quoted>'(?:[^']|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)|`(?:[^`]|``)*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
  | (?P<word>[^\W\d]\w*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_TRANSACTION: Final = "the file runs in one transaction together with its version already; take the statement out"
FORBIDDEN: Final = {
    "BEGIN": _TRANSACTION,
    "COMMIT": _TRANSACTION,
    "END": _TRANSACTION,
    "ROLLBACK": _TRANSACTION,
    "SAVEPOINT": _TRANSACTION,
    "RELEASE": _TRANSACTION,
    "ATTACH": "an object has one database; read other data in a .py migration and insert it",
    "DETACH": "an object has one database; take the statement out",
    "VACUUM": "it cannot run inside a transaction; take the statement out",
    "PRAGMA": "settings of a connection are not schema; what has to be set for a while belongs into a .py migration",
}
"""First words that a statement of a migration may not have, and what to do instead."""
_WORDS_KEPT: Final = 3
"""CREATE TEMP TRIGGER: as many words as it takes to know a trigger."""


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """One statement without the blanks and comments before it; `line` counts from 1 in its file."""

    text: str
    line: int
    words: tuple[str, ...]
    """Its first words, in capitals."""
    ended: bool
    """Whether a semicolon, or the end of the file outside of any string, ends it."""

    def line_of(self, offset: int) -> int:
        """The file's line of byte `offset` of the statement's UTF-8 form, as SQLite reports it."""
        return self.line + self.text.encode()[:offset].count(b"\n")


def split_statements(text: str) -> tuple[SqlStatement, ...]:
    """Every statement of a file, in order; blanks, comments and empty statements are left out."""
    found: list[SqlStatement] = []
    begin = -1
    tokens: list[str] = []
    unclosed = False
    for match in _TOKEN.finditer(text):
        token = match.group()
        if match.lastgroup == "blank":
            continue
        if begin < 0:
            if token == ";":
                continue
            begin = match.start()
        unclosed = match.lastgroup == "quoted" and not _is_closed(token)
        tokens.append(token.upper() if match.lastgroup == "word" else token)
        if token == ";" and not _inside_trigger(tokens):
            found.append(_statement(text, begin, match.end(), tokens, ended=True))
            begin, tokens = -1, []
    if begin >= 0:
        found.append(_statement(text, begin, len(text), tokens, ended=not unclosed and not _is_trigger(tokens)))
    return tuple(found)


def _statement(text: str, begin: int, end: int, tokens: list[str], *, ended: bool) -> SqlStatement:
    line = text.count("\n", 0, begin) + 1
    return SqlStatement(text[begin:end].rstrip(), line, tuple(tokens[:_WORDS_KEPT]), ended)


def _is_closed(quoted: str) -> bool:
    closing = "]" if quoted[0] == "[" else quoted[0]
    return len(quoted) > 1 and quoted.endswith(closing)


def _is_trigger(tokens: list[str]) -> bool:
    if not tokens or tokens[0] != "CREATE":
        return False
    return "TRIGGER" in tokens[1:_WORDS_KEPT] and (tokens[1] in ("TRIGGER", "TEMP", "TEMPORARY"))


def _inside_trigger(tokens: list[str]) -> bool:
    """Whether the semicolon at the end of `tokens` is one between the statements of a trigger."""
    return _is_trigger(tokens) and tokens[-3:] != [";", "END", ";"]
