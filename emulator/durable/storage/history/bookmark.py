"""Bookmarks: the text that names one state of one object, and reading it. Knows no file.

    00000007-0000002a-00000000-0c3e87bb37b3db5cc52eedb93cd3b96b
    segment  frame    nonce    chain: which object's history

All numbers are hexadecimal, so that later bookmarks of an object compare greater as text, as on the platform. The frame
is that of the commit which ended the state. A nonce stands in bookmarks that undo a restore: they name the state right
before it, whose place is not known before it has happened.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from durable.errors import JsTypeError, StorageError

_TEXT: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{32})")
_UNDO_FRAME: Final = 0xFFFF_FFFF
"""Greater than any frame: an undo bookmark sorts behind every commit of the segment it was made in."""


class Position(NamedTuple):
    """One state: after the commit that ends with this frame of this segment; frame 0 is the segment's beginning."""

    segment: int
    frame: int


class Bookmark(NamedTuple):
    """One bookmark, taken apart."""

    segment: int
    frame: int
    nonce: int
    chain: str

    @property
    def position(self) -> Position:
        return Position(self.segment, self.frame)

    def __str__(self) -> str:
        return f"{self.segment:08x}-{self.frame:08x}-{self.nonce:08x}-{self.chain}"


def chain_of(object_id: str) -> str:
    """What the bookmarks of one object have in common and those of all others do not."""
    return hashlib.sha256(b"durable history " + object_id.encode()).hexdigest()[:32]


def bookmark_at(position: Position, object_id: str) -> Bookmark:
    return Bookmark(position.segment, position.frame, 0, chain_of(object_id))


def undo_bookmark(position: Position, target: str, wall_ms: int, object_id: str) -> Bookmark:
    """The bookmark of the state that a restore to `target`, asked for at `position`, will end."""
    # Not random: the same question at the same moment of the same history deserves the same answer.
    seed = f"{target} {position.segment} {position.frame} {wall_ms}"
    nonce = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") or 1
    return Bookmark(position.segment, _UNDO_FRAME, nonce, chain_of(object_id))


def parse_bookmark(text: str, object_id: str) -> Bookmark:
    """Raises TypeError for what is no text, StorageError for what is no bookmark or another object's."""
    if not isinstance(text, str):
        raise JsTypeError(f"a bookmark is a str, got {type(text).__name__}")
    found = _TEXT.fullmatch(text)
    if found is None:
        raise StorageError(
            f"a bookmark looks like 00000007-0000002a-00000000-{'0c3e87bb' * 4}, got {text[:80]!r};"
            " get_current_bookmark() and get_bookmark_for_time() return them"
        )
    bookmark = Bookmark(int(found[1], 16), int(found[2], 16), int(found[3], 16), found[4])
    if bookmark.chain != chain_of(object_id):
        raise StorageError(f"the bookmark {text} belongs to another object; use one that this object returned")
    return bookmark


def looks_like_bookmark(text: str) -> bool:
    """Whether `text` is meant as a bookmark rather than as a moment."""
    return text.count("-") == 3 and re.fullmatch(r"[0-9a-fA-F-]{30,}", text) is not None
