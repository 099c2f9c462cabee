"""The known objects of one namespace: id, name, times and alarm, in `index.sqlite`. Truth is in the objects' own files.

The index only points at them, so that a start reads one small file per class instead of every object, and a listing
costs a page. It knows no actor and no thread: whoever owns an instance calls it from one thread at a time.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from durable.errors import StorageCorruptError, StorageError
from durable.storage.vfs import vfs_name

APPLICATION_ID = 0x44757249  # "DurI"
FORMAT = 1
_BUSY_TIMEOUT_MS = 5_000
"""A database browser may hold a read lock for a moment; nobody else writes."""

_SCHEMA = f"""
CREATE TABLE objects(
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT,
    created_ms INTEGER NOT NULL,
    last_used_ms INTEGER NOT NULL,
    alarm_ms INTEGER,
    schema_version INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_by_name ON objects(name) WHERE name IS NOT NULL;
CREATE INDEX objects_by_alarm ON objects(alarm_ms, id) WHERE alarm_ms IS NOT NULL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""

# What a put does not know (the name, the schema version) stays as it was, and `created_ms` never moves.
_PUT = """
INSERT INTO objects(id, name, created_ms, last_used_ms, alarm_ms, schema_version)
VALUES(?1, ?2, ?3, ?4, ?5, ifnull(?6, 0))
ON CONFLICT(id) DO UPDATE SET
    name = ifnull(excluded.name, name), last_used_ms = excluded.last_used_ms, alarm_ms = excluded.alarm_ms,
    schema_version = ifnull(?6, schema_version)
"""
_SELECT = "SELECT id, name, created_ms, last_used_ms, alarm_ms, schema_version FROM objects"


class IndexRow(Struct, frozen=True):
    """One object: `IndexRow("<64 hex>", "general", 1700000000000, 1700000000000, alarm_ms=None)`.

    As something to put, `schema_version` None and `name` None keep what is stored.
    """

    id: str
    name: str | None
    created_ms: int
    last_used_ms: int
    alarm_ms: int | None
    schema_version: int | None = None


class IndexRemoval(Struct, frozen=True):
    """The object has no data left."""

    id: str


class AlarmCorrection(Struct, frozen=True):
    """The object's own row disagrees with the index: take `alarm_ms`, if the index still says `expected_ms`."""

    id: str
    expected_ms: int
    alarm_ms: int | None


Change = IndexRow | IndexRemoval | AlarmCorrection


class NamespaceIndex:
    """One `index.sqlite`, created when it is missing. Every change is on disk when the call returns."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Raises `StorageCorruptError` for a file that is no index of ours, `StorageError` when it cannot be opened.

        Without `create`, a missing file is none: an empty index in memory stands for it.
        """
        self.path = path
        with _named(path):
            self._database: Any = _open(path, create=create)  # apsw's own stubs are partly untyped

    def apply(self, changes: Iterable[Change]) -> None:
        """All of them, in order, in one transaction."""
        with _named(self.path), _transaction(self._database):
            for change in changes:
                self._apply(change)

    def put_many(self, rows: Iterable[IndexRow]) -> None:
        self.apply(rows)

    def remove(self, identity: str) -> None:
        self.apply([IndexRemoval(identity)])

    def get(self, identity: str) -> IndexRow | None:
        return self._one(f"{_SELECT} WHERE id = ?", identity)

    def find_by_name(self, name: str) -> IndexRow | None:
        return self._one(f"{_SELECT} WHERE name = ? LIMIT 1", name)

    def list(self, after: str | None = None, limit: int = 100) -> tuple[IndexRow, ...]:
        """One page in the order of ids; `after` is the last id of the page before."""
        return self._rows(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?", after or "", limit)

    def names(self, limit: int) -> tuple[str, ...]:
        """Names of the objects that were used last, for suggestions."""
        found = self._query("SELECT name FROM objects WHERE name IS NOT NULL ORDER BY last_used_ms DESC LIMIT ?", limit)
        return tuple(str(name) for (name,) in found)

    def due(self, before_ms: int, limit: int) -> tuple[IndexRow, ...]:
        """Objects whose alarm is due before that moment, earliest first."""
        return self._rows(f"{_SELECT} WHERE alarm_ms < ? ORDER BY alarm_ms, id LIMIT ?", before_ms, limit)

    def next_due(self) -> int | None:
        found = self._query("SELECT alarm_ms FROM objects WHERE alarm_ms IS NOT NULL ORDER BY alarm_ms LIMIT 1")
        return int(found[0][0]) if found else None

    def count(self) -> int:
        return int(self._query("SELECT count(*) FROM objects")[0][0])

    def close(self) -> None:
        self._database.close()

    def _apply(self, change: Change) -> None:
        if isinstance(change, IndexRow):
            self._database.execute(
                _PUT,
                (
                    change.id,
                    change.name,
                    change.created_ms,
                    change.last_used_ms,
                    change.alarm_ms,
                    change.schema_version,
                ),
            )
        elif isinstance(change, IndexRemoval):
            self._database.execute("DELETE FROM objects WHERE id = ?", (change.id,))
        else:
            self._database.execute(
                "UPDATE objects SET alarm_ms = ? WHERE id = ? AND alarm_ms = ?",
                (change.alarm_ms, change.id, change.expected_ms),
            )

    # `builtins.list` cannot be named inside this class: its own `list` shadows it for type checkers.
    def _query(self, sql: str, *bindings: str | int) -> tuple[tuple[Any, ...], ...]:
        with _named(self.path):
            return tuple(self._database.execute(sql, bindings))

    def _rows(self, sql: str, *bindings: str | int) -> tuple[IndexRow, ...]:
        return tuple(IndexRow(*row) for row in self._query(sql, *bindings))

    def _one(self, sql: str, *bindings: str | int) -> IndexRow | None:
        rows = self._rows(sql, *bindings)
        return rows[0] if rows else None


@contextmanager
def _transaction(database: Any) -> Generator[None]:
    """Not apsw's own `with database:`, which holds Python's lock, and so every other thread, until the disk is done."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextmanager
def _named(path: Path) -> Generator[None]:
    """Every failure names the file; what SQLite calls corrupt is ours to call corrupt."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StorageCorruptError(str(path), f"is damaged: {error}") from error
    except (apsw.Error, OSError) as error:
        raise StorageError(f"{path}: {error}") from error


def _open(path: Path, *, create: bool) -> Any:
    if create:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would create the file with the umask's rights; its -wal takes over those of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    elif not os.path.lexists(path):
        database: Any = apsw.Connection(":memory:")
        database.execute(_SCHEMA)
        return database
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW, vfs=vfs_name())
    try:
        database.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        database.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        database.set_busy_timeout(_BUSY_TIMEOUT_MS)
        database.execute("PRAGMA journal_mode = WAL")
        # An actor commits after our answer, so the answer must mean "on disk" (sqlite.org/pragma.html, synchronous).
        database.execute("PRAGMA synchronous = FULL")
        _prepare_schema(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _prepare_schema(database: Any, path: Path) -> None:
    marker = database.pragma("application_id")
    version = database.pragma("user_version")
    # A crash right after creation leaves a file without tables; that is still ours to fill.
    if marker == 0 and next(database.execute("SELECT count(*) FROM sqlite_schema"))[0] == 0:
        with database:
            database.execute(_SCHEMA)
        # The transaction synced the file and its folder; the folder's own entry in its parent is ours to sync.
        descriptor = os.open(path.parent.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    elif marker != APPLICATION_ID:
        raise StorageCorruptError(str(path), "is not an index of objects (its application_id is another)")
    elif version != FORMAT:
        raise StorageCorruptError(str(path), f"has index format {version}; this version reads format {FORMAT}")
