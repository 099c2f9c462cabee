"""Which objects have a name like `room-*`: the patterns of SQLite's GLOB, on rows that were read already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import apsw

from durable.storage.index import IndexRow

_MATCHING: Final = "SELECT key FROM json_each(?1) WHERE value GLOB ?2"


class NameGlob:
    """`*` stands for any text, `?` for one character, `[abc]` and `[^abc]` for one of them or none of them."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._connection: Any = apsw.Connection(":memory:")

    def of(self, rows: Sequence[IndexRow]) -> list[IndexRow]:
        """Those with a name that matches, in the same order; without a name none does."""
        names = json.dumps([row.name for row in rows])
        return [rows[index] for (index,) in self._connection.execute(_MATCHING, (names, self._pattern))]
