"""The key-value side of one object's storage: encoded values in `_cf_KV`, in the byte order of their keys.

A table that is not there yet means that no key is; the first put makes it, inside the transaction of the put.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from threading import get_ident
from typing import Any, Final

import apsw

from durable.errors import JsTypeError, SqlError
from durable.limits import KV_KEY_BYTES_MAX, SQL_VALUE_BYTES_MAX
from durable.sdk import portability
from durable.storage.database import Database
from durable.storage.key_iterator import ANOTHER_BEGAN, KeyIterator
from durable.storage.schema import CREATE_KV, KV_TABLE, TABLE_EXISTS
from durable.storage.transaction import Transaction
from durable.values import decode, encode

_GET: Final = "SELECT value FROM _cf_KV WHERE key = ?"
_PUT: Final = "INSERT INTO _cf_KV VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_DELETE: Final = "DELETE FROM _cf_KV WHERE key = ?"


class Kv:
    """Keys are text (an int is taken as its digits, as on the platform); a stored None is not a missing key."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._table: Database | None = None
        """The database, once its table is known to exist."""
        self._iterator: weakref.ref[KeyIterator] | None = None

    def forget(self) -> None:
        """The table may be gone again: its creation was rolled back, or the file was closed."""
        self._table = None

    def get(self, key: str, default: Any = None) -> Any:
        """The value stored under `key`, or `default` when there is none."""
        key = checked_key(key)
        database = self._table or self._find_table()
        if database is None:
            return default
        data = self._run(database, _GET, (key,)).get
        return default if data is None else decode(data)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The keys that exist, in byte order whatever the order of `keys`."""
        found = {key: self.get(key, _MISSING) for key in sorted({checked_key(key) for key in keys}, key=str.encode)}
        return {key: value for key, value in found.items() if value is not _MISSING}

    def put(self, key: str, value: Any) -> None:
        """Store one value; raises DataCloneError for what cannot be kept, SqlError when it is too large."""
        if portability.watch is not None:
            portability.look(value, f"the value of {key!r}")
        entry = _entry(key, value)
        self._run(self._make_table(), _PUT, entry)

    def put_many(self, entries: Mapping[str, Any]) -> None:
        """Store all of `entries`, or none when one of them is refused."""
        if portability.watch is not None:
            for key, value in entries.items():
                portability.look(value, f"the value of {key!r}")
        encoded = [_entry(key, value) for key, value in entries.items()]
        if encoded:
            database = self._make_table()
            for entry in encoded:
                self._run(database, _PUT, entry)

    def delete(self, key: str) -> bool:
        """Whether the key existed."""
        return self.delete_many((key,)) == 1

    def delete_many(self, keys: Iterable[str]) -> int:
        """How many of the keys existed."""
        checked = [checked_key(key) for key in keys]
        database = self._table or self._find_table()
        if database is None or not checked:
            return 0
        self._transaction.begin()
        before = database.connection.total_changes()
        for key in checked:
            self._run(database, _DELETE, (key,))
        return int(database.connection.total_changes() - before)

    def list(
        self,
        *,
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        prefix: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """Entries in byte order of the keys: from `start` (or behind `start_after`) up to but not including `end`.

        `reverse` turns the order, not the meaning of the bounds; with `limit` it gives the last ones.
        """
        rows = self._rows(start, start_after, end, prefix, reverse, limit)
        return {} if rows is None else {key: decode(value) for key, value in rows.fetchall()}

    def iterate(
        self,
        *,
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        prefix: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> KeyIterator:
        """As `list`, read as it goes; the next `list` or `iterate` ends it."""
        iterator = KeyIterator(self._transaction, self._rows(start, start_after, end, prefix, reverse, limit), decode)
        self._iterator = weakref.ref(iterator)
        return iterator

    def cancel_iterator(self, message: str) -> None:
        """End the iterator that is under way, if there is one, because of what `message` says."""
        iterator = self._iterator() if self._iterator is not None else None
        self._iterator = None
        if iterator is not None:
            iterator.cancel(message)

    def _rows(self, *bounds: Any) -> Any:
        statement, bindings = list_query(*bounds)
        database = self._table or self._find_table()
        self.cancel_iterator(ANOTHER_BEGAN)
        return None if database is None else self._run(database, statement, bindings)

    def _run(self, database: Database, statement: str, bindings: tuple[Any, ...]) -> Any:
        if get_ident() != self._transaction.thread:
            self._transaction.refuse()
        try:
            return database.run(statement, bindings)
        except apsw.Error as error:
            raise self._transaction.failed(error) from None

    def _find_table(self) -> Database | None:
        self._transaction.check()
        database = self._transaction.require_existing()
        if database is not None and self._run(database, TABLE_EXISTS, (KV_TABLE,)).get:
            self._table = database
        return self._table

    def _make_table(self) -> Database:
        transaction = self._transaction
        if not transaction.open:
            transaction.check()
            transaction.begin()
        database = self._table or self._find_table()
        if database is None:
            database = transaction.require()
            self._run(database, CREATE_KV, ())
            self._table = database
        return database


_MISSING: Final = object()


def checked_key(candidate: Any) -> str:
    """The key as text; raises TypeError for what is no key, SqlError when it is too long."""
    key: str = candidate
    if type(candidate) is not str:
        if isinstance(candidate, bool) or not isinstance(candidate, str | int):
            raise JsTypeError(f"a key is a str, got {type(candidate).__name__}")
        key = str.__str__(candidate) if isinstance(candidate, str) else str(int(candidate))
    if len(key) * 4 > KV_KEY_BYTES_MAX or not key.isascii():
        try:
            size = len(key.encode())
        except UnicodeEncodeError as error:
            raise JsTypeError(f"the key has a lone surrogate at index {error.start} and is not valid Unicode") from None
        if size > KV_KEY_BYTES_MAX:
            raise SqlError(f"a key may have {KV_KEY_BYTES_MAX} bytes, got {size}: {key[:40]!r}...")
    return key


def _entry(key: Any, value: Any) -> tuple[str, bytes]:
    key = checked_key(key)
    data = encode(value)
    # The key and the value share one row, whose own bookkeeping takes less than the 32 bytes we leave it.
    if len(key) + len(data) + 32 > SQL_VALUE_BYTES_MAX and len(key.encode()) + len(data) + 32 > SQL_VALUE_BYTES_MAX:
        raise SqlError(
            f"string or blob too big (the value of {key[:40]!r} takes {len(data)} bytes encoded, and key and value"
            f" together may take {SQL_VALUE_BYTES_MAX}): SQLITE_TOOBIG",
            code="SQLITE_TOOBIG",
        )
    return key, data


def list_query(
    start: str | None, start_after: str | None, end: str | None, prefix: str | None, reverse: bool, limit: int | None
) -> tuple[str, tuple[Any, ...]]:
    """The statement and its bindings. UTF-8 keeps the order of code points: SQLite's byte order is the platform's."""
    if start is not None and start_after is not None:
        raise JsTypeError("list() cannot be called with both start and start_after values.")
    if limit is not None:
        if type(limit) is not int:
            raise JsTypeError(f"list() takes an int as limit, got {type(limit).__name__}")
        if limit <= 0:
            raise JsTypeError(f"List limit must be positive, got {limit}.")
    bounds: list[tuple[str, str | None]] = [
        ("key >= ?", start),
        ("key > ?", start_after),
        ("key < ?", end),
        ("key >= ?", prefix),
        ("key < ?", _behind_prefix(checked_key(prefix)) if prefix else None),
    ]
    used = [(condition, checked_key(bound)) for condition, bound in bounds if bound is not None]
    statement = "SELECT key, value FROM _cf_KV"
    if used:
        statement += " WHERE " + " AND ".join(condition for condition, _ in used)
    statement += " ORDER BY key" + (" DESC" if reverse else "")
    bindings: list[Any] = [bound for _, bound in used]
    if limit is not None:
        statement += " LIMIT ?"
        bindings.append(min(limit, 2**63 - 1))
    return statement, tuple(bindings)


def _behind_prefix(prefix: str) -> str | None:
    """The smallest text that is greater than every text with this prefix; None when there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Surrogates are no characters; U+E000 is the next one after U+D7FF.
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None
