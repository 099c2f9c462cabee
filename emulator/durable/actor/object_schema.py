"""Bringing one object's schema up to date: all of its pending migrations and its new version in one transaction.

The same for an activation, a tool and a fleet run. Knows no event: whoever calls keeps the object's turns out, and
commits or rolls back.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from durable.actor.key_operations import Options, listing
from durable.errors import DurableError, MigrationError
from durable.failpoints import failpoint
from durable.schema.files import ClassSchema, MigrationFile
from durable.schema.steps import run_file
from durable.sdk.ids import DurableObjectId
from durable.sdk.storage import SqlStorage, SyncKv
from durable.storage.actor_store import ActorStore
from durable.storage.file_check import missing_file
from durable.storage.schema import USER_OBJECTS, quoted
from durable.wire.messages import ActorKey

CURRENT: Final = "current"
PENDING: Final = "pending"
MIGRATED: Final = "migrated"
FAILED: Final = "failed"
REFUSED: Final = "refused"
"""The object and the files do not go together: newer than the code, or a file was edited."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one object; `ms` is the time of its migrations, rows are counted only for a try."""

    state: str
    before: int
    after: int
    ms: float = 0.0
    error: str = ""
    rows_before: dict[str, int] = {}
    rows_after: dict[str, int] = {}

    def to_json(self) -> dict[str, Any]:
        """`{"state": "migrated", "before": 1, "after": 2, "ms": 0.4, "error": "", "rows_before": {}, …}`"""
        return {
            "state": self.state, "before": self.before, "after": self.after, "ms": self.ms, "error": self.error,
            "rows_before": self.rows_before, "rows_after": self.rows_after,
        }  # fmt: skip


# --- what `up` is given -----------------------------------------------------------------------------------------------
class _Sql(SqlStorage):
    def __init__(self, store: ActorStore) -> None:
        self._sql = store.sql

    def exec(self, query: str, *bindings: Any) -> Any:
        cursor = self._sql.execute(query, bindings)
        failpoint("schema.statement")
        return cursor

    @property
    def database_size(self) -> int:
        return self._sql.database_size


class _Kv(SyncKv):
    def __init__(self, store: ActorStore) -> None:
        self._kv = store.kv

    def get(self, key: str, default: Any = None) -> Any:
        return self._kv.get(key, default)

    def put(self, key: str, value: Any = None) -> None:
        self._kv.put(key, value)

    def delete(self, key: str) -> bool:
        return self._kv.delete(key)

    def list(self, options: Options = None, **more: Any) -> Iterator[tuple[str, Any]]:
        return self._kv.iterate(**listing("kv.list", options, more))


class SchemaStorage:
    """`ctx.storage` of a migration: what works without waiting."""

    def __init__(self, store: ActorStore) -> None:
        self.sql = _Sql(store)
        self.kv = _Kv(store)


class SchemaContext:
    """`ctx` of a migration; the same for a sleeping object and for one that is being activated."""

    def __init__(self, store: ActorStore, key: ActorKey) -> None:
        self.id = DurableObjectId(key.namespace, key.id, key.name)
        self.storage = SchemaStorage(store)


# --- doing it ---------------------------------------------------------------------------------------------------------
def apply_pending(store: ActorStore, schema: ClassSchema, key: ActorKey, now_ms: int) -> None:
    """Run what the object lacks in its open transaction, which this opens.

    Raises MigrationError, before anything is run, where files and object do not go together; else what a file raised.
    """
    pending = schema.pending(store.schema.checksums())
    if pending:
        _apply(store, pending, key, now_ms)


def _apply(store: ActorStore, pending: tuple[MigrationFile, ...], key: ActorKey, now_ms: int) -> None:
    context = SchemaContext(store, key)
    for file in pending:
        run_file(file, context)
        failpoint("schema.file_run")
        store.schema.add(file.version, file.path.name, file.checksum, now_ms)
        failpoint("schema.noted")


def look(store: ActorStore, schema: ClassSchema) -> Outcome:
    """What the object has; reads its file and nothing else."""
    try:
        return judge(schema, store.schema.checksums())
    except DurableError as error:
        return Outcome(FAILED, 0, 0, error=str(error))


def judge(schema: ClassSchema, applied: tuple[str, ...]) -> Outcome:
    """What the files mean for an object with these checksums."""
    try:
        pending = schema.pending(applied)
    except MigrationError as error:
        return Outcome(REFUSED, len(applied), len(applied), error=str(error))
    return Outcome(PENDING if pending else CURRENT, len(applied), len(applied))


def migrate_store(
    store: ActorStore, schema: ClassSchema, key: ActorKey, now_ms: int, root: Path, *, count_rows: bool = False
) -> Outcome:
    """Look, apply and commit; a failure is rolled back and told, whatever it is. `root` is the project's folder."""
    found = look(store, schema)
    if found.state != PENDING:
        return found
    if not store.is_open:
        return Outcome(FAILED, 0, 0, error=str(missing_file(store.path)))
    try:
        rows_before = row_counts(store) if count_rows else {}
        began = time.perf_counter()
        _apply(store, schema.files[found.before :], key, now_ms)
        rows_after = row_counts(store) if count_rows else {}
        failpoint("schema.before_commit")
        store.commit()
        failpoint("schema.committed")
    except BaseException as error:
        store.rollback()
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(FAILED, found.before, found.before, error=described(error, root))
    ms = (time.perf_counter() - began) * 1000
    return Outcome(MIGRATED, found.before, schema.version, round(ms, 3), "", rows_before, rows_after)


def row_counts(store: ActorStore) -> dict[str, int]:
    """Rows by table, of the user's tables."""
    run = store.database.run
    tables = [name for kind, name in run(USER_OBJECTS).fetchall() if kind == "table"]
    return {name: int(run(f"SELECT count(*) FROM {quoted(name)}").get) for name in tables}


def described(error: BaseException, root: Path) -> str:
    """`migrations/ChatRoom/0002_x.sql:3: UNIQUE constraint failed: …`: the place in the project's files comes first."""
    prefix = f"{root}{os.sep}"
    places = [
        f"{os.path.relpath(frame.filename, root)}:{frame.lineno}: "
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(prefix) and ".venv" not in frame.filename
    ]
    kind = "" if isinstance(error, DurableError) else f"{type(error).__name__}: "
    return f"{places[-1] if places else ''}{kind}{error}"
