"""Tell before anything is done with an object's file whether it is one of ours, whole, and not newer.

SQLite alone is not enough: with every page in its log it opens a file that holds garbage, and what the log has not is
garbage later. It takes an empty file for an empty database, too. This module opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from durable.errors import StorageCorruptError
from durable.storage.schema import (
    ALL_NAMES,
    APPLICATION_ID,
    KV_TABLE,
    METADATA_TABLE,
    PAGE_BYTES,
    is_users,
)

HEADER_BYTES: Final = 100
_MAGIC: Final = b"SQLite format 3\0"
_WAL_VERSION: Final = 2
_ROWS: Final = (
    (KV_TABLE, f"SELECT 1 FROM {KV_TABLE} LIMIT 1"),
    (METADATA_TABLE, f"SELECT 1 FROM {METADATA_TABLE} WHERE value IS NOT NULL LIMIT 1"),
)


def check_header(path: Path, header: bytes) -> None:
    """Raises StorageCorruptError unless these are the first 100 bytes of a file that we made (SQLite file format, 1.3).

    They never change in what is looked at here, so a crash in the middle of a checkpoint cannot damage them.
    """
    if header[:16] != _MAGIC:
        raise StorageCorruptError(str(path), "is damaged: it does not begin like a database")
    versions = max(header[18], header[19])
    if versions > _WAL_VERSION:
        raise StorageCorruptError(
            str(path), f"was written by a newer SQLite (file format {versions}, this one knows {_WAL_VERSION})"
        )
    check_mark(path, int.from_bytes(header[68:72], "big"))
    if versions != _WAL_VERSION or int.from_bytes(header[16:18], "big") != PAGE_BYTES:
        raise StorageCorruptError(str(path), "was changed by another program: it has another page size or journal")


def check_mark(path: Path, mark: int) -> None:
    """Raises StorageCorruptError unless this application id is ours."""
    if mark != APPLICATION_ID:
        raise StorageCorruptError(
            str(path), f"was not written by durable: its application id is {mark:#x}, not {APPLICATION_ID:#x}"
        )


def missing_file(path: Path) -> StorageCorruptError:
    """What to raise for an object that the index knows and that has no file."""
    return StorageCorruptError(str(path), "is missing, although its object was stored in it; put the file back")


def is_short(header: bytes, file_bytes: int) -> bool:
    """Whether the file has fewer pages than its header says; only a log can have the others then."""
    return file_bytes < int.from_bytes(header[28:32], "big") * PAGE_BYTES


def stores_nothing(run: Callable[..., Any]) -> bool:
    """Whether no table, view, key, alarm or plan of ours is stored; `run` runs a statement and its bindings."""
    # Asked at every opening. SQLite needs longer to compile a question about the names than to give them all.
    names = [name for (name,) in run(ALL_NAMES)]
    if any(map(is_users, names)):
        return False
    return not any(table in names and run(query).get for table, query in _ROWS)
