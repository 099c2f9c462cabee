"""Which migrations an object has, in its own file: written in the transaction of the change itself.

    _cf_MIGRATIONS  (version INTEGER PRIMARY KEY, name TEXT, checksum TEXT, applied_ms INTEGER)

So the record cannot disagree with the tables, whatever ends the process, and it goes back with them in a restore. Knows
no file of migrations and runs none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw

from durable.storage.schema import CREATE_MIGRATIONS, MIGRATIONS_TABLE, TABLE_EXISTS
from durable.storage.transaction import Transaction
from durable.storage.vfs import vfs_name

_CHECKSUMS: Final = f"SELECT checksum FROM {MIGRATIONS_TABLE} ORDER BY version"
_ADD: Final = f"INSERT INTO {MIGRATIONS_TABLE} VALUES (?, ?, ?, ?)"


class SchemaRecord:
    """Of one object."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def checksums(self) -> tuple[str, ...]:
        """Of the applied migrations, in order: as many as the object's version says. Makes no file."""
        database = self._transaction.require_existing()
        if database is None:
            return ()
        try:
            return tuple(checksum for (checksum,) in database.run(_CHECKSUMS))
        except apsw.SQLError as error:
            # Asked only now: hardly any object of a class with migrations has no table of them.
            if self._run(TABLE_EXISTS, MIGRATIONS_TABLE).get:
                raise self._transaction.failed(error) from None
            return ()
        except apsw.Error as error:
            raise self._transaction.failed(error) from None

    def add(self, version: int, name: str, checksum: str, now_ms: int) -> None:
        """Note that a migration was applied; part of the open transaction, which this opens if it is not."""
        self._transaction.check()
        self._transaction.begin()
        if version == 1:
            # Whoever has a version has the table: deleting everything leaves it, empty.
            self._run(CREATE_MIGRATIONS)
        self._run(_ADD, version, name, checksum, now_ms)

    def _run(self, statement: str, *bindings: Any) -> Any:
        try:
            return self._transaction.require().run(statement, bindings or None)
        except apsw.Error as error:
            raise self._transaction.failed(error) from None


def quick_checksums(path: Path) -> tuple[str, ...] | None:
    """What an object's record says, at a third of the price of opening it as its actor does; changes nothing.

    None when anything about it is unusual: a file that is missing, empty or damaged, a restore that was not finished.
    """
    if os.path.lexists(f"{path}-restoring"):
        return None
    try:
        connection = _opened_quickly(path)
        try:
            try:
                return tuple(checksum for (checksum,) in connection.execute(_CHECKSUMS))
            except apsw.SQLError:
                has_table = connection.execute(TABLE_EXISTS, (MIGRATIONS_TABLE,)).get
                return None if has_table or not path.stat().st_size else ()
        finally:
            connection.close()
    except (apsw.Error, OSError):
        return None


def _opened_quickly(path: Path) -> Any:  # apsw's own stubs are partly untyped
    try:
        has_log = bool(os.stat(f"{path}-wal").st_size)
    except FileNotFoundError:
        has_log = False
    if has_log:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
        connection: Any = apsw.Connection(str(path), flags=flags, vfs=vfs_name())
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection
    # As a file that cannot change: SQLite would make a log beside it, if only an empty one.
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags, vfs=vfs_name())
