"""`state.sqlite`: which namespaces exist, which migrations were applied, a few settings. One small database per state.

Written rarely and never lost: `synchronous=FULL`, every change one transaction. Whoever opens it holds the state lock.
Must not know the configuration, nor touch any other file of the state directory; `migrations` does that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from durable.clock import ClockSetting
from durable.errors import MigrationError, NotFoundError, StorageCorruptError, StorageError
from durable.storage.layout import FILE_MODE, is_namespace_key, sync_folder
from durable.storage.migration_plan import CreateClass, DeleteClass, MigrationPlan, RenameClass

__all__ = ["FORMAT_VERSION", "AppliedMigration", "DeletedNamespace", "NamespaceRow", "StateDatabase"]

APPLICATION_ID: Final = 0x44757253
"""'DurS' in the file's header, where `file` and SQLite find it."""
FORMAT_VERSION: Final = 1
"""Of the whole state directory; a newer one is left alone."""
KEY_TRIES_MAX: Final = 100
BUSY_TIMEOUT_MS: Final = 5_000
"""A database browser may hold a read lock for a moment; nobody else writes."""

_SCHEMA = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE namespaces (
    key TEXT PRIMARY KEY,
    environment TEXT NOT NULL,      -- '' is the top level of the configuration
    class_name TEXT NOT NULL,
    sqlite INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (environment, class_name)
) STRICT, WITHOUT ROWID;
CREATE TABLE applied_migrations (
    environment TEXT NOT NULL,
    position INTEGER NOT NULL,
    tag TEXT NOT NULL,
    applied_ms INTEGER NOT NULL,
    steps TEXT NOT NULL,            -- JSON, what was done then, whatever the configuration says now
    PRIMARY KEY (environment, position),
    UNIQUE (environment, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted_namespaces (
    key TEXT PRIMARY KEY,           -- kept for ever: a key is never used again
    environment TEXT NOT NULL,
    class_name TEXT NOT NULL,
    deleted_ms INTEGER NOT NULL,
    is_moved INTEGER NOT NULL       -- 0 until its folder has left the state directory
) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES ('format_version', {FORMAT_VERSION}), ('clock_offset_ms', 0);
PRAGMA application_id = {APPLICATION_ID};
"""


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """One class that has a place for objects; the key names its folder and never changes."""

    key: str
    class_name: str
    sqlite: bool
    environment: str | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """`steps` is what `MigrationPlan.to_json` showed for this tag."""

    tag: str
    position: int
    applied_ms: int
    steps: list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class DeletedNamespace:
    """A namespace that is forgotten but whose folder may still lie in the state directory."""

    key: str
    deleted_ms: int


class StateDatabase:
    """The open database; `create=False` is for tools, which raise `NotFoundError` where nothing ever ran."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if not path.exists() and not create:
            raise NotFoundError(f"there is no state in {path.parent} yet", fix="durable dev")
        _refuse_lost_file(path)
        with _named(path):
            self._connection: Any = _open(path)  # apsw's own stubs are partly untyped
        try:
            with _named(path):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> StateDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading ------------------------------------------------------------------------------------------------------
    def namespaces(self, environment: str | None) -> list[NamespaceRow]:
        """The namespaces of one environment, oldest first."""
        rows = self._query(
            "SELECT key, class_name, sqlite, created_ms FROM namespaces WHERE environment = ? "
            "ORDER BY created_ms, class_name",
            environment or "",
        )
        return [
            NamespaceRow(key, class_name, bool(sqlite), environment, created_ms)
            for key, class_name, sqlite, created_ms in rows
        ]

    def applied_tags(self, environment: str | None) -> list[str]:
        return [migration.tag for migration in self.applied_migrations(environment)]

    def applied_migrations(self, environment: str | None) -> list[AppliedMigration]:
        """What was applied to one environment, in the order in which it was."""
        rows = self._query(
            "SELECT tag, position, applied_ms, steps FROM applied_migrations WHERE environment = ? ORDER BY position",
            environment or "",
        )
        return [
            AppliedMigration(tag, position, applied_ms, json.loads(steps)) for tag, position, applied_ms, steps in rows
        ]

    def unmoved_deletions(self) -> list[DeletedNamespace]:
        """Deleted namespaces of all environments whose folder still has to leave the state directory."""
        rows = self._query("SELECT key, deleted_ms FROM deleted_namespaces WHERE NOT is_moved ORDER BY deleted_ms, key")
        return [DeletedNamespace(key, deleted_ms) for key, deleted_ms in rows]

    @property
    def clock(self) -> ClockSetting:
        """How wall time was moved, for every start until it is reset."""
        frozen = self._query("SELECT value FROM settings WHERE name = 'clock_frozen_ms'")
        return ClockSetting(self._setting("clock_offset_ms"), int(frozen[0][0]) if frozen else None)

    # --- writing ------------------------------------------------------------------------------------------------------
    def set_clock(self, setting: ClockSetting) -> None:
        with _named(self.path), self._connection:
            self._query("UPDATE settings SET value = ? WHERE name = 'clock_offset_ms'", setting.offset_ms)
            if setting.frozen_ms is None:
                self._query("DELETE FROM settings WHERE name = 'clock_frozen_ms'")
            else:
                # Its own row, and not a column: the format that older versions read stays as it is.
                self._query("INSERT OR REPLACE INTO settings VALUES ('clock_frozen_ms', ?)", setting.frozen_ms)

    def apply(
        self, environment: str | None, plan: MigrationPlan, *, now_ms: int, make_key: Callable[[str], str]
    ) -> None:
        """Record a plan, all of it or nothing; `make_key` proposes a key for a class.

        Raises `MigrationError` when other tags were applied since the plan was made.
        """
        scope = environment or ""
        with _named(self.path), self._connection:
            applied = tuple(self.applied_tags(environment))
            if applied != plan.applied:
                raise MigrationError(
                    f"the state changed after the plan was made: the last applied tag was {_last(plan.applied)} then "
                    f"and is {_last(applied)} now",
                    fix="durable migrate status",
                )
            for position, migration in enumerate(plan.migrations, start=len(applied)):
                for step in migration.steps:
                    self._apply_step(scope, step, now_ms, make_key)
                steps = json.dumps([step.to_json() for step in migration.steps])
                self._query(
                    "INSERT INTO applied_migrations VALUES (?, ?, ?, ?, ?)",
                    scope,
                    position,
                    migration.tag,
                    now_ms,
                    steps,
                )

    def mark_moved(self, key: str) -> None:
        """Note that the folder of a deleted namespace has left the state directory."""
        self._query("UPDATE deleted_namespaces SET is_moved = 1 WHERE key = ?", key)

    def _apply_step(
        self, scope: str, step: CreateClass | RenameClass | DeleteClass, now_ms: int, make_key: Callable[[str], str]
    ) -> None:
        match step:
            case CreateClass(class_name, sqlite):
                key = self._unused_key(class_name, make_key)
                insert = "INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)"
                self._query(insert, key, scope, class_name, int(sqlite), now_ms)
            case RenameClass(source, target):
                rename = "UPDATE namespaces SET class_name = ? WHERE environment = ? AND class_name = ?"
                self._query(rename, target, scope, source)
            case DeleteClass(class_name):
                remember = (
                    "INSERT INTO deleted_namespaces SELECT key, environment, class_name, ?, 0 FROM namespaces "
                    "WHERE environment = ? AND class_name = ?"
                )
                self._query(remember, now_ms, scope, class_name)
                self._query("DELETE FROM namespaces WHERE environment = ? AND class_name = ?", scope, class_name)

    def _unused_key(self, class_name: str, make_key: Callable[[str], str]) -> str:
        for _ in range(KEY_TRIES_MAX):
            key = make_key(class_name)
            if not is_namespace_key(key):
                raise ValueError(f"not the key of a namespace: {key!r}")
            used = "SELECT 1 FROM namespaces WHERE key = ?1 UNION ALL SELECT 1 FROM deleted_namespaces WHERE key = ?1"
            if not self._query(used, key):
                return key
        raise StorageError(f"no unused key for the namespace of {class_name} after {KEY_TRIES_MAX} tries")

    # --- opening ------------------------------------------------------------------------------------------------------
    def _prepare(self) -> None:
        """Lay out a new file, or make sure that an old one is ours and not from the future."""
        self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        is_new = self._query("SELECT count(*) FROM sqlite_schema") == [(0,)]
        if not is_new:
            if self._connection.pragma("application_id") != APPLICATION_ID:
                raise StorageCorruptError(str(self.path), "was not written by durable")
            version = self._setting("format_version")
            if version > FORMAT_VERSION:
                raise StorageError(
                    f"{self.path.parent} was written by a newer durable (format {version}, this one knows "
                    f"{FORMAT_VERSION}); nothing was changed"
                )
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        if is_new:
            with self._connection:
                self._connection.execute(_SCHEMA)
            sync_folder(self.path.parent)

    def _setting(self, name: str) -> int:
        rows = self._query("SELECT value FROM settings WHERE name = ?", name)
        if not rows:
            raise StorageCorruptError(str(self.path), f'has lost its setting "{name}"')
        return int(rows[0][0])

    def _query(self, sql: str, *bindings: str | int) -> list[tuple[Any, ...]]:
        with _named(self.path):
            return list(self._connection.execute(sql, bindings))


@contextmanager
def _named(path: Path) -> Generator[None]:
    """SQLite's failures as ours, with the file's name."""
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StorageCorruptError(str(path), f"cannot be read: {error}") from error
    except apsw.Error as error:
        raise StorageError(f"{path}: {error}") from error


def _open(path: Path) -> apsw.Connection:
    try:
        # Made by us first, because SQLite would give it whatever the umask leaves; its -wal takes over the mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
    except OSError as error:
        raise StorageError(f"{path} cannot be opened: {error.strerror}") from error
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)


def _refuse_lost_file(path: Path) -> None:
    """Without the record of its namespaces every object of the folder would silently be out of reach."""
    if path.exists() and path.stat().st_size > 0:
        return
    if not path.parent.is_dir():
        return
    orphans = sorted(each.name for each in path.parent.iterdir() if each.is_dir() and is_namespace_key(each.name))
    if orphans:
        what = "is empty" if path.exists() else "is missing"
        raise StorageCorruptError(
            str(path),
            f"{what}, but {path.parent} holds the data of {', '.join(orphans)}; "
            "put the file back, or move the folder away to start anew",
        )


def _last(tags: tuple[str, ...]) -> str:
    return f'"{tags[-1]}"' if tags else "none"
