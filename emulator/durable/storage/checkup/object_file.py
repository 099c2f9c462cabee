"""Looks at the file of one object: whether it is ours, whole and readable, and what the index should say of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from durable.errors import StorageError
from durable.storage.checkup.reading import opened, quick_check
from durable.storage.file_check import HEADER_BYTES, check_header, stores_nothing
from durable.storage.schema import ALARM_KEY, METADATA_TABLE, MIGRATIONS_TABLE, TABLE_EXISTS

_NANOSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ObjectLook:
    """`damage` is empty for a file that is well; the rest is known only then."""

    damage: str = ""
    is_empty: bool = False
    """Nothing is stored in it: an object that has written nothing, or was emptied."""
    alarm_ms: int | None = None
    schema_version: int = 0
    written_ms: int = 0


def look_at(path: Path) -> ObjectLook:
    """Reads all of the file. Raises OSError for what the system does not let us read."""
    facts = os.lstat(path)
    damage = _damage_outside(path, facts)
    if damage:
        return ObjectLook(damage)
    try:
        with opened(path) as connection:
            damage = quick_check(connection)
            if damage:
                return ObjectLook(f"is damaged: {damage}")
            return ObjectLook(
                is_empty=stores_nothing(connection.execute),
                alarm_ms=_alarm(connection),
                schema_version=_schema_version(connection),
                written_ms=facts.st_mtime_ns // 1_000_000,
            )
    except (apsw.Error, ValueError, TypeError) as error:
        return ObjectLook(f"is damaged: {error}")


def _damage_outside(path: Path, facts: os.stat_result) -> str:
    """What can be said without SQLite, which takes an empty file for an empty database."""
    if not stat.S_ISREG(facts.st_mode):
        return "is not a regular file"
    if facts.st_nlink > 1:
        return "has a second name (a hard link), and writing to it would change that file too"
    if not facts.st_size:
        return "is empty, although an object was stored in it"
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        header = os.read(descriptor, HEADER_BYTES)
    finally:
        os.close(descriptor)
    if len(header) < HEADER_BYTES:
        return f"is damaged: it has only {len(header)} bytes"
    try:
        check_header(path, header)
    except StorageError as error:
        return str(error).removeprefix(f"{path} ")
    return ""


def _alarm(connection: Any) -> int | None:
    if not connection.execute(TABLE_EXISTS, (METADATA_TABLE,)).get:
        return None
    nanoseconds = connection.execute(f"SELECT value FROM {METADATA_TABLE} WHERE key = {ALARM_KEY}").get
    return None if nanoseconds is None else int(nanoseconds) // _NANOSECONDS


def _schema_version(connection: Any) -> int:
    if not connection.execute(TABLE_EXISTS, (MIGRATIONS_TABLE,)).get:
        return 0
    return int(connection.execute(f"SELECT ifnull(max(version), 0) FROM {MIGRATIONS_TABLE}").get)
