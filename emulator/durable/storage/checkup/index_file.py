"""Looks at the index of one class, compares it with what its objects' files say, and makes it anew when it is lost.

The files are right: the index only points at them. Names stand nowhere but in the index; of a damaged one those are
kept that can be read and that lead to the very id they stand beside.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec.structs import replace

from durable.sdk.ids import id_from_name
from durable.storage.checkup.finding import DOCTOR, Finding, Subject
from durable.storage.checkup.lost_and_found import LostAndFound
from durable.storage.checkup.object_file import ObjectLook
from durable.storage.checkup.reading import opened, quick_check
from durable.storage.index import APPLICATION_ID, FORMAT, AlarmCorrection, Change, IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.schema import TABLE_EXISTS

_ROWS: Final = "SELECT id, name, alarm_ms FROM objects WHERE id >= ? AND id < ? ORDER BY id"
_SHARDS: Final = "SELECT DISTINCT substr(id, 1, 2) FROM objects"
_NAMES: Final = "SELECT id, name, created_ms, last_used_ms FROM objects NOT INDEXED"


@dataclass(frozen=True, slots=True)
class Row:
    """What the index says of an object."""

    name: str | None
    alarm_ms: int | None


class IndexCheckup:
    """`findings` first; `rows` of a folder at a time; `settle` writes what was mended."""

    def __init__(self, layout: StateLayout, key: str, subject: Subject, lost: LostAndFound) -> None:
        self._path = layout.index_file(key)
        self._key = key
        self._subject = subject
        self._lost = lost
        self._changes: list[Change] = []
        self._is_readable = False
        self._is_remade = False
        self._saved: dict[str, IndexRow] = {}
        """Of a damaged index, by id: names that fit, and times."""

    def findings(self, *, has_objects: bool) -> Iterator[Finding]:
        if not os.path.lexists(self._path):
            if has_objects:
                yield self._lost_index("is missing, although there are files of objects", mend=self._remake)
            return
        damage, version = _look(self._path)
        if version > FORMAT:
            yield Finding(
                "newer", self._subject, str(self._path), f"has format {version}; this version reads format {FORMAT}",
                "a newer durable wrote it", "use that version",
            )  # fmt: skip
        elif damage:
            yield self._lost_index(damage, mend=self._replace)
        else:
            self._is_readable = True

    def _lost_index(self, what: str, *, mend: Any) -> Finding:
        return Finding(
            "index", self._subject, str(self._path), what,
            "no list shows the objects of the class, and their alarms do not fire",
            f"{DOCTOR} makes it anew from the files of the objects, and puts what is there into lost+found, beside the "
            "state; names that are lost come back when the objects are used by them", mend=mend,
        )  # fmt: skip

    def _replace(self) -> None:
        self._saved = {row.id: row for row in _readable_rows(self._path, self._key)}
        self._lost.move(self._path)
        self._remake()

    def _remake(self) -> None:
        """From here on every file is put into the index without a word, and it begins empty."""
        self._is_readable = self._is_remade = True
        NamespaceIndex(self._path).close()

    # --- what it says -------------------------------------------------------------------------------------------------
    def shards(self) -> set[str]:
        """First two digits of the ids that it has."""
        return {str(row[0]) for row in self._read(_SHARDS)}

    def rows(self, shard: str) -> dict[str, Row]:
        after = f"{int(shard, 16) + 1:02x}" if shard != "ff" else "g"
        return {identity: Row(name, alarm) for identity, name, alarm in self._read(_ROWS, shard, after)}

    def _read(self, statement: str, *bindings: str) -> list[tuple[Any, ...]]:
        if not self._is_readable or not self._path.exists() or not self._path.stat().st_size:
            return []
        with opened(self._path) as connection:
            # A crash right after its creation leaves one without tables; the next use fills it.
            return (
                list(connection.execute(statement, bindings))
                if connection.execute(TABLE_EXISTS, ("objects",)).get
                else []
            )

    # --- against the files --------------------------------------------------------------------------------------------
    def lacking(self, path: Path, subject: Subject, look: ObjectLook) -> Iterator[Finding]:
        """An object that it does not have, and that stores something."""
        row = IndexRow(path.stem, None, look.written_ms, look.written_ms, look.alarm_ms, look.schema_version)
        if self._is_remade:
            saved = self._saved.get(path.stem)
            if saved is not None:
                row = replace(
                    row, name=saved.name, created_ms=saved.created_ms, last_used_ms=saved.last_used_ms
                )  # fmt: skip
            self._changes.append(row)
        elif self._is_readable:
            yield Finding(
                "unlisted", subject, str(path), "is not in the index of its class",
                "no list shows the object, and its alarm does not fire until it is used",
                f"{DOCTOR} puts it into the index; its name comes back when it is used by it",
                mend=partial(self._changes.append, row),
            )  # fmt: skip

    def disagreeing(self, path: Path, subject: Subject, row: Row, look: ObjectLook) -> Iterator[Finding]:
        """An alarm that it has not heard of. One that it has too early is normal: who runs it asks the object."""
        alarm_ms = look.alarm_ms
        if alarm_ms is None or (row.alarm_ms is not None and row.alarm_ms <= alarm_ms):
            return
        change: Change = IndexRow(path.stem, None, look.written_ms, look.written_ms, alarm_ms)
        if row.alarm_ms is not None:
            change = AlarmCorrection(path.stem, row.alarm_ms, alarm_ms)
        yield Finding(
            "alarm", subject, str(path), "has an alarm that the index does not know",
            "it fires late, or not until the object is used", f"{DOCTOR} puts it into the index",
            mend=partial(self._changes.append, change),
        )  # fmt: skip

    def settle(self) -> None:
        """Write the rows that are mended by now. Raises StorageError."""
        if self._changes:
            index = NamespaceIndex(self._path)
            try:
                index.apply(self._changes)
            finally:
                index.close()
            self._changes.clear()


def _look(path: Path) -> tuple[str, int]:
    """(what is wrong with it, its format); format 0 when that cannot be told."""
    try:
        facts = os.lstat(path)
        if not stat.S_ISREG(facts.st_mode):
            return "is not a regular file", 0
        if not facts.st_size:
            return "", 0
        with opened(path) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_schema").get:
                return "", 0
            if connection.pragma("application_id") != APPLICATION_ID:
                return "is not an index of objects (its application id is another)", 0
            found = quick_check(connection)
            return f"is damaged: {found}" if found else "", int(connection.pragma("user_version"))
    except OSError as error:
        return f"cannot be read: {error.strerror}", 0
    except apsw.Error as error:
        return f"is damaged: {error}", 0


def _readable_rows(path: Path, key: str) -> Iterator[IndexRow]:
    """Up to the place where it cannot be read; a name that leads to another id is garbage."""
    with contextlib.suppress(apsw.Error, OSError), opened(path) as connection:
        for identity, name, created_ms, used_ms in connection.execute(_NAMES):
            fits = isinstance(name, str) and id_from_name(key, name) == identity
            if isinstance(created_ms, int) and isinstance(used_ms, int):
                yield IndexRow(str(identity), name if fits else None, created_ms, used_ms, None)
