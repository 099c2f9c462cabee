"""The tables that an object's file has besides the user's, and the empty file that every object begins as.

    _cf_KV        (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID   encoded values; made by the first put
    _cf_METADATA  (key INTEGER PRIMARY KEY, value BLOB)              1 → alarm, nanoseconds since the epoch
                                                                     3 → bookmark that the next activation begins with
    _cf_MIGRATIONS (version INTEGER PRIMARY KEY, …)                  migrations of its schema (schema_record)

They have the platform's names and are made when first needed. No SQL of the user's reaches a name that begins with
`_cf_`, in any case of letters. This module opens nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import apsw

RESERVED_PREFIX: Final = "_cf_"
APPLICATION_ID: Final = 0x44757241
"""`DurA` in the file's header (SQLite file format, offset 68): how an object's file is told from any other database."""
PAGE_BYTES: Final = 4096

KV_TABLE: Final = "_cf_KV"
METADATA_TABLE: Final = "_cf_METADATA"
MIGRATIONS_TABLE: Final = "_cf_MIGRATIONS"
CREATE_KV: Final = "CREATE TABLE IF NOT EXISTS _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID"
CREATE_METADATA: Final = "CREATE TABLE IF NOT EXISTS _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)"
CREATE_MIGRATIONS: Final = (
    "CREATE TABLE IF NOT EXISTS _cf_MIGRATIONS (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    " checksum TEXT NOT NULL, applied_ms INTEGER NOT NULL)"
)
ALARM_KEY: Final = 1
RESTORE_KEY: Final = 3

# No LIKE below: `PRAGMA case_sensitive_like` is the user's to set.
_OURS: Final = "lower(substr(name, 1, 4)) = '_cf_'"
_SQLITES: Final = "lower(substr(name, 1, 7)) = 'sqlite_'"
RESERVED_NAMES: Final = f"SELECT name FROM sqlite_schema WHERE {_OURS}"
TABLE_EXISTS: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
ALL_NAMES: Final = "SELECT name FROM sqlite_schema"
USER_OBJECTS: Final = (
    "SELECT type, name FROM sqlite_schema"
    f" WHERE type IN ('table', 'view') AND NOT {_OURS} AND NOT {_SQLITES}"
    # Views first, they depend on tables; then virtual tables, they take their shadow tables with them.
    " ORDER BY type = 'view' DESC, upper(substr(sql, 1, 14)) = 'CREATE VIRTUAL' DESC"
)


def is_reserved(name: str | None) -> bool:
    """Whether a table, index, view or trigger of this name belongs to the platform."""
    return name is not None and name[:4].lower() == RESERVED_PREFIX


def is_users(name: str) -> bool:
    """Whether neither the platform nor SQLite made what has this name."""
    return not is_reserved(name) and name[:7].lower() != "sqlite_"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@cache
def empty_file() -> bytes:
    """One page: an empty database in WAL mode with our mark.

    Written as bytes because `PRAGMA journal_mode = WAL` on a new file costs SQLite several syncs of its own.
    """
    connection: Any = apsw.Connection(":memory:")  # apsw's own stubs are partly untyped
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        header = bytearray(connection.serialize("main"))
    finally:
        connection.close()
    # SQLite file format, offsets 18 and 19: write and read version 2 mean WAL.
    header[18] = header[19] = 2
    return bytes(header)
