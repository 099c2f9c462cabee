"""SQLite's errors in the product's words. What an error means for a transaction is decided elsewhere."""

from __future__ import annotations

from pathlib import Path

import apsw

from durable.errors import SqlError, StorageCorruptError, StorageError

_CORRUPT = frozenset({apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB})
_ADVICE: dict[int, str] = {
    apsw.SQLITE_BUSY: "another program has the object's file open; close it and try again",
    apsw.SQLITE_FULL: "the disk is full, or the object has reached its size limit",
}


def result_names(error: apsw.Error) -> tuple[str, str]:
    """("SQLITE_CONSTRAINT", "SQLITE_CONSTRAINT_UNIQUE"); both the same when SQLite said nothing more precise."""
    extended = int(getattr(error, "extendedresult", None) or apsw.SQLITE_ERROR)
    name = str(apsw.mapping_result_codes.get(extended & 0xFF, extended & 0xFF))
    return name, str(apsw.mapping_extended_result_codes.get(extended, name))


def primary_code(error: apsw.Error) -> int | None:
    """SQLite's result code without its details; None when apsw refused how it was used."""
    code: int | None = getattr(error, "result", None)
    return code


def translate(error: apsw.Error, file: Path, *, reason: str = "", offset: int = 0) -> StorageError:
    """`<message>[ at offset N]: SQLITE_X[ (extended: SQLITE_X_Y)]`, as the platform words it.

    `reason` is what the authorizer objected to; `offset` is added to SQLite's, in bytes, when the statement was one of
    several. A damaged file becomes an error that names it.
    """
    message = str(error)
    code = primary_code(error)
    if code is None:
        return SqlError(message)
    if code in _CORRUPT:
        return StorageCorruptError(str(file), f"is damaged: {message}")
    if reason:
        message += f" ({reason})"
    elif code in _ADVICE:
        message += f" ({_ADVICE[code]})"
    position = int(getattr(error, "error_offset", -1))
    if position >= 0:
        message += f" at offset {position + offset}"
    name, extended = result_names(error)
    message += f": {name}"
    if extended != name:
        message += f" (extended: {extended})"
    return SqlError(message, code=extended)
