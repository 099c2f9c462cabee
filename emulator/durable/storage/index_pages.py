"""The same index for whoever lists it: pages in any order of it, filtered by name. Makes no file.

`NamespaceIndex` answers what hosts and alarms need; this answers a developer who looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from durable.storage.index import NamespaceIndex

_BEFORE_EVERY_ID: Final = ""
_AFTER_EVERY_ID: Final = "g"
"""Ids are lower-case hex digits."""

_AMONG: Final = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE among(id TEXT PRIMARY KEY NOT NULL, name TEXT, created_ms INTEGER, alarm_ms INTEGER) WITHOUT ROWID
"""
_ADD_AMONG: Final = """
INSERT INTO among SELECT ?1, ifnull(name, ?2), created_ms, alarm_ms
FROM (SELECT 1) LEFT JOIN objects ON id = ?1
"""


class KnownObject(NamedTuple):
    """`created_ms` is None for an object that has stored nothing."""

    id: str
    name: str | None
    created_ms: int | None
    alarm_ms: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page begins: after the object with this value and id; `value` None: among those without a value.

    An id of None stands for all objects with the value: before them with `is_before`, else after them.
    """

    value: str | int | None
    id: str | None
    is_before: bool = False


class IndexPages(NamespaceIndex):
    """Open for one listing. A class that has no index file has no objects."""

    def __init__(self, path: Path, among: Mapping[str, str | None] | None = None) -> None:
        """`among` narrows everything to these ids, known or not, with the names that those have which are not."""
        super().__init__(path, create=False)
        self._source = "objects"
        if among is not None:
            self._source = "among"
            self._database.execute(_AMONG)
            with self._database:
                self._database.executemany(_ADD_AMONG, list(among.items()))

    def count_named(self, glob: str | None) -> int:
        return int(self._query(f"SELECT count(*) FROM {self._source}{_where(_named_like(glob))}", *_given(glob))[0][0])

    def ids(self, glob: str | None) -> Iterator[str]:
        """All of them in their order, read while they are used."""
        sql = f"SELECT id FROM {self._source}{_where(_named_like(glob))} ORDER BY id"
        return (identity for (identity,) in self._database.execute(sql, _given(glob)))

    def known(self, ids: Sequence[str]) -> dict[str, KnownObject]:
        """What is known of these."""
        found = dict[str, KnownObject]()
        for identity in ids:
            for row in self._query(f"{self._select} WHERE id = ?", identity):
                found[identity] = KnownObject(*row)
        return found

    def ordered(
        self, column: str, limit: int, *, descending: bool, glob: str | None, start: Start | None
    ) -> tuple[KnownObject, ...]:
        """One page in the order of a column and the ids; what has no value there comes last in both directions."""
        rows: tuple[KnownObject, ...] = ()
        if start is None or start.value is not None:
            rows = self._with_value(column, limit, descending, glob, start)
        if len(rows) == limit:
            return rows
        rest = start if start is not None and start.value is None else None
        return rows + self._without_value(column, limit - len(rows), descending, glob, rest)

    def _with_value(
        self, column: str, limit: int, descending: bool, glob: str | None, start: Start | None
    ) -> tuple[KnownObject, ...]:
        way, beyond = ("DESC", "<") if descending else ("ASC", ">")
        conditions = [f"{column} IS NOT NULL", *_named_like(glob)]
        bindings = [*_given(glob)]
        if start is not None and start.value is not None:
            conditions.append(f"({column}, id) {beyond} (?, ?)")
            bindings += [start.value, _bound(start, descending)]
        order = f"ORDER BY {column} {way}, id {way} LIMIT ?"
        return self._known(f"{self._select}{_where(conditions)} {order}", *bindings, limit)

    def _without_value(
        self, column: str, limit: int, descending: bool, glob: str | None, start: Start | None
    ) -> tuple[KnownObject, ...]:
        way, beyond = ("DESC", "<") if descending else ("ASC", ">")
        conditions = [f"{column} IS NULL", *_named_like(glob)]
        bindings = [*_given(glob)]
        if start is not None:
            conditions.append(f"id {beyond} ?")
            bindings.append(_bound(start, descending))
        return self._known(f"{self._select}{_where(conditions)} ORDER BY id {way} LIMIT ?", *bindings, limit)

    @property
    def _select(self) -> str:
        return f"SELECT id, name, created_ms, alarm_ms FROM {self._source}"

    def _known(self, sql: str, *bindings: str | int) -> tuple[KnownObject, ...]:
        return tuple(KnownObject(*row) for row in self._query(sql, *bindings))


def _bound(start: Start, descending: bool) -> str:
    if start.id is not None:
        return start.id
    return _AFTER_EVERY_ID if start.is_before == descending else _BEFORE_EVERY_ID


def _named_like(glob: str | None) -> list[str]:
    return [] if glob is None else ["name GLOB ?"]


def _given(glob: str | None) -> list[str | int]:
    return [] if glob is None else [glob]


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
