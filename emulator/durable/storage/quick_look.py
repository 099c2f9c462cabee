"""One look at the file of an object that nobody has open, at a third of the price of opening it as its actor does.

Nothing is written and no file is made: a file without a log is read as one that cannot change, and a log is read where
it lies and never copied into the file. What is unusual about a file is left to whoever opens it for good. The caller
sees to it that nobody opens the file meanwhile; it may do this in any thread.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import apsw

from durable.storage.database import CONFIGURATION, LIMITS, Database, inspect_files
from durable.storage.failure import translate
from durable.storage.file_check import HEADER_BYTES, check_header, is_short
from durable.storage.sql.authorizer import Trust
from durable.storage.sql.execution import Sql
from durable.storage.sql.inspection import Inspection, inspect
from durable.storage.sql.soundex import soundex
from durable.storage.transaction import Transaction
from durable.storage.vfs import vfs_name

if TYPE_CHECKING:
    from durable.storage.sql.parameters import Parameters

_WITH_LOG: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_WITHOUT_LOG: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW | apsw.SQLITE_OPEN_URI
_IN_MEMORY: Final = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY"
"""What SQLite notes about a log, and what it sorts: neither takes a file."""


def look_quickly(
    path: Path, query: str, parameters: Parameters, *, rows_max: int, bytes_max: int, seconds_max: float
) -> list[Inspection] | None:
    """What `query` returns, with the rights of a tool that reads. Raises StorageError.

    None when there is no file, or when it has to be opened as its actor does: a restore is to be finished, a part of
    the file is in its log alone.
    """
    if os.path.lexists(f"{path}-restoring"):
        return None
    log_bytes = inspect_files(path)
    if log_bytes is None:
        return None
    try:
        connection = _connect(path, with_log=bool(log_bytes))
    except apsw.CantOpenError:
        return None
    except apsw.Error as error:
        raise translate(error, path) from error
    database = Database(path, connection, created=False, log_is_empty=not log_bytes)
    transaction = Transaction(path, on_first_write=_nobody, on_forget=_nothing)
    transaction.database = database
    try:
        if not _prepare(database):
            return None
        return inspect(
            transaction, Sql(transaction), query, parameters,
            write=False, rows_max=rows_max, bytes_max=bytes_max, seconds_max=seconds_max,
        )  # fmt: skip
    except apsw.Error as error:
        raise translate(error, path) from error
    finally:
        transaction.close()


def _connect(path: Path, *, with_log: bool) -> Any:  # apsw's own stubs are partly untyped
    if with_log:
        return apsw.Connection(str(path), flags=_WITH_LOG, vfs=vfs_name())
    # SQLite would make a log beside it, if only an empty one.
    return apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=_WITHOUT_LOG, vfs=vfs_name())


def _prepare(database: Database) -> bool:
    """Check the file and lay on it what binds a tool; False for a file that has to be opened in another way."""
    connection = database.connection
    header = connection.read("main", 0, 0, HEADER_BYTES)[1]
    check_header(database.path, header)
    if is_short(header, os.path.getsize(database.path)):
        return False
    for option, value in CONFIGURATION:
        connection.config(option, value)
    for limit, value in LIMITS:
        connection.limit(limit, value)
    connection.execute(_IN_MEMORY)
    connection.create_scalar_function("soundex", soundex, 1, deterministic=True, flags=apsw.SQLITE_INNOCUOUS)
    connection.authorizer = database.authorizer
    database.authorizer.trust = Trust.USER
    return True


def _nobody() -> None:
    """Nothing is ever written here."""


def _nothing(everything: bool) -> None:
    """Nothing that was read is kept."""
