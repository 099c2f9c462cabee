"""Opening `state.sqlite`: laying out a new one, bringing an older format up to date, leaving a newer one alone.

An older file is copied before anything in it changes, beside itself (`state.sqlite.format-1`), and changed in one
transaction: a crash leaves the old format or the new one. A newer file is looked at without a byte being written.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import apsw

from durable.errors import NewerStateError, StorageCorruptError, StorageError
from durable.failpoints import failpoint
from durable.storage.class_life.declared import declared_by_steps, digest_of
from durable.storage.layout import FILE_MODE, is_namespace_key, sync_folder

__all__ = ["APPLICATION_ID", "FORMAT_VERSION", "deleted_folder_name", "named", "namespace_keys", "open_state_file"]

APPLICATION_ID: Final = 0x44757253
"""'DurS' in the file's header, where `file` and SQLite find it."""
FORMAT_VERSION: Final = 2
"""Of the whole state directory; an older one is brought up to it, a newer one is left alone."""
BUSY_TIMEOUT_MS: Final = 5_000
"""A database browser may hold a read lock for a moment; nobody else writes."""

_DELETED_NAMESPACES = """
CREATE TABLE deleted_namespaces (
    key TEXT PRIMARY KEY,           -- kept for ever: a key is never used for anything new
    environment TEXT NOT NULL,
    class_name TEXT NOT NULL,
    sqlite INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    deleted_ms INTEGER NOT NULL,
    folder TEXT NOT NULL            -- its name in <state>/../deleted
) STRICT, WITHOUT ROWID;
"""
_TRANSFERRED_NAMESPACES = """
CREATE TABLE transferred_namespaces (
    key TEXT PRIMARY KEY,           -- it lives in another state now
    environment TEXT NOT NULL,
    class_name TEXT NOT NULL,
    run TEXT NOT NULL,              -- of the state that took it
    transferred_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_UNFINISHED = """
CREATE TABLE unfinished_moves (     -- folders that are not yet where the tables above say, in their order
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,             -- deleted, restored or arrived
    place TEXT NOT NULL             -- the folder's name in deleted, or the state that it comes from
) STRICT;
CREATE TABLE unfinished_runs (      -- plans that other states take part in, before they are recorded here
    run TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
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
    declared TEXT NOT NULL,         -- JSON, what the entry said then
    digest TEXT NOT NULL,           -- of `declared`
    PRIMARY KEY (environment, position),
    UNIQUE (environment, tag)
) STRICT, WITHOUT ROWID;
{_DELETED_NAMESPACES}{_TRANSFERRED_NAMESPACES}{_UNFINISHED}
INSERT INTO settings VALUES ('format_version', {FORMAT_VERSION}), ('clock_offset_ms', 0);
PRAGMA application_id = {APPLICATION_ID};
"""


def open_state_file(path: Path) -> Any:  # apsw's own stubs are partly untyped
    """A connection to a file of the present format, made or upgraded if need be. The caller holds the state lock.

    Raises `StorageCorruptError` for a file that is not ours or whose namespaces are lost, `NewerStateError` for one
    of a newer version.
    """
    _refuse_lost_file(path)
    with named(path):
        version = _version_of(path)
        connection = _connect(path)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            if version is None:
                with connection:
                    connection.execute(_SCHEMA)
                sync_folder(path.parent)
            else:
                for older in range(version, FORMAT_VERSION):
                    _upgrade(connection, path, older)
        except BaseException:
            connection.close()
            raise
    return connection


def deleted_folder_name(key: str, deleted_ms: int) -> str:
    """`Room-9f3a0c21b7de-20231114T221320Z`: depends on the record alone, so that a second try finds the first one's."""
    time = datetime.datetime.fromtimestamp(deleted_ms / 1000, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{key}-{time}"


@contextlib.contextmanager
def named(path: Path) -> Generator[None]:
    """SQLite's failures as ours, with the file's name."""
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StorageCorruptError(str(path), f"cannot be read: {error}") from error
    except apsw.Error as error:
        raise StorageError(f"{path}: {error}") from error


# --- looking ----------------------------------------------------------------------------------------------------------
def _version_of(path: Path) -> int | None:
    """The format of the file, None for one still to be laid out. Raises for a file that is not to be touched."""
    if not path.exists() or (path.stat().st_size == 0 and not _log_of(path)):
        return None
    connection = _look(path)
    try:
        if not list(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1")):
            return None
        if connection.pragma("application_id") != APPLICATION_ID:
            raise StorageCorruptError(str(path), "was not written by durable")
        rows: list[tuple[Any, ...]] = list(
            connection.execute("SELECT value FROM settings WHERE name = 'format_version'")
        )
    finally:
        connection.close()
    if not rows:
        raise StorageCorruptError(str(path), 'has lost its setting "format_version"')
    version = int(rows[0][0])
    if version > FORMAT_VERSION:
        raise NewerStateError(str(path.parent), version, FORMAT_VERSION)
    return version


def namespace_keys(path: Path, environment: str | None) -> dict[str, str]:
    """Keys by class, read without writing a byte, also from a newer format as far as its table is the one of ours."""
    with named(path):
        connection = _look(path)
        try:
            rows: list[tuple[Any, ...]] = list(
                connection.execute("SELECT class_name, key FROM namespaces WHERE environment = ?", (environment or "",))
            )
        finally:
            connection.close()
    return {class_name: key for class_name, key in rows if is_namespace_key(key)}


def _log_of(path: Path) -> bool:
    """Whether the file's log holds anything."""
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _look(path: Path) -> Any:
    """A connection that leaves file and log as they are, also when it is closed."""
    flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW
    if not _log_of(path):
        # Without a log, the file is all there is; nobody else writes while we hold the lock.
        return apsw.Connection(f"{path.as_uri()}?immutable=1", flags=flags)
    connection: Any = apsw.Connection(path.as_uri(), flags=flags)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _connect(path: Path) -> Any:
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


# --- older formats ----------------------------------------------------------------------------------------------------
def _upgrade(connection: Any, path: Path, version: int) -> None:
    """From `version` to the next one: a copy of the whole file first, then one transaction."""
    _copy(connection, path, path.with_name(f"{path.name}.format-{version}"))
    failpoint("state_format.copied")
    with connection:
        _UPGRADES[version](connection)
        connection.execute("UPDATE settings SET value = ? WHERE name = 'format_version'", (version + 1,))
        failpoint("state_format.changed")
    failpoint("state_format.upgraded")


def _copy(connection: Any, path: Path, target: Path) -> None:
    draft = target.with_name(target.name + ".unfinished")
    try:
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
        copy: Any = apsw.Connection(str(draft), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
        try:
            with copy.backup("main", connection, "main") as backup:
                backup.step(-1)
            # The copy shall be one file that can be put back by its name.
            copy.pragma("journal_mode", "delete")
        finally:
            copy.close()
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        failpoint("state_format.drafted")
        os.rename(draft, target)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path} is of an older format, and no copy of it could be made before the upgrade: {error.strerror}; "
            "nothing was changed"
        ) from error


def _from_1(connection: Any) -> None:
    """Digests of what was applied, and what it takes to bring a deleted class back."""
    for column in ("declared", "digest"):
        connection.execute(f"ALTER TABLE applied_migrations ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
    kinds: dict[tuple[str, str], int] = {}
    rows: list[tuple[Any, ...]] = list(
        connection.execute("SELECT environment, tag, steps FROM applied_migrations ORDER BY environment, position")
    )
    for environment, tag, text in rows:
        steps: list[dict[str, Any]] = json.loads(text)
        _follow(kinds, environment, steps)
        declared = declared_by_steps(steps)
        connection.execute(
            "UPDATE applied_migrations SET declared = ?, digest = ? WHERE environment = ? AND tag = ?",
            (json.dumps(declared), digest_of(declared), environment, tag),
        )
    connection.execute(_TRANSFERRED_NAMESPACES + _UNFINISHED)
    connection.execute("ALTER TABLE deleted_namespaces RENAME TO deleted_before")
    connection.execute(_DELETED_NAMESPACES)
    rows = list(connection.execute("SELECT key, environment, class_name, deleted_ms, is_moved FROM deleted_before"))
    for key, environment, class_name, deleted_ms, is_moved in rows:
        folder = deleted_folder_name(key, deleted_ms)
        sqlite = kinds.get((environment, class_name), 1)
        # When it was made is not known any more; it was not after its end.
        values = (key, environment, class_name, sqlite, deleted_ms, deleted_ms, folder)
        connection.execute("INSERT INTO deleted_namespaces VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        if not is_moved:
            insert = "INSERT INTO unfinished_moves (key, kind, place) VALUES (?, 'deleted', ?)"
            connection.execute(insert, (key, folder))
    connection.execute("DROP TABLE deleted_before")


def _follow(kinds: dict[tuple[str, str], int], environment: str, steps: list[dict[str, Any]]) -> None:
    """The kind of storage of each class by its last name."""
    for step in steps:
        if step["step"] == "create_class":
            kinds[environment, step["class"]] = int(step["sqlite"])
        elif step["step"] == "rename_class":
            kinds[environment, step["to"]] = kinds.get((environment, step["from"]), 1)


_UPGRADES: Final[dict[int, Callable[[Any], None]]] = {1: _from_1}
