"""Which migrations an object has, in its own file: written in the transaction of the change itself.

    _cf_MIGRATIONS  (version INTEGER PRIMARY KEY, name TEXT, checksum TEXT, applied_ms INTEGER)

So the record cannot disagree with the tables, whatever ends the process, and it goes back with them in a restore. Knows
no file of migrations and runs none.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

from durable.storage.schema import CREATE_MIGRATIONS, MIGRATIONS_TABLE, TABLE_EXISTS
from durable.storage.transaction import Transaction

_CHECKSUMS: Final = f"SELECT checksum FROM {MIGRATIONS_TABLE} ORDER BY version"
_ADD: Final = f"INSERT INTO {MIGRATIONS_TABLE} VALUES (?, ?, ?, ?)"


class SchemaRecord:
    """Of one object."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def checksums(self) -> tuple[str, ...]:
        """Of the applied migrations, in order: as many as the object's version says. Makes no file."""
        if self._transaction.require_existing() is None or not self._run(TABLE_EXISTS, MIGRATIONS_TABLE).get:
            return ()
        return tuple(checksum for (checksum,) in self._run(_CHECKSUMS))

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
