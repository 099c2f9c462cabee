"""`ctx.storage`: interfaces with their documentation. Operations complete at once; `await` lets no other event in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar, overload

from durable.sdk.aliases import CamelCase

T = TypeVar("T")


# The two classes of SQL write their camelCase names out: Python reads every attribute of a class with `__getattr__` at
# twice the price, and SQL reads several for each row.
class SqlCursor(ABC):
    """Rows of one statement, as dicts keyed by column name."""

    column_names: list[str]
    rows_read: int
    """Rows that the statement has produced so far, one ahead of its reader. Rows that SQLite only passed over are not
    counted here; the platform counts them."""
    rows_written: int
    """Rows that the statement changed, those of triggers and foreign key actions included. Entries of indexes are not
    counted here; the platform counts them."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def next(self) -> Any:
        """`{"done": False, "value": row}`, and `{"done": True}` for ever after the last row."""

    @abstractmethod
    def one(self) -> Any:
        """The only row; raises when there are none or several."""

    @abstractmethod
    def to_array(self) -> list[Any]:
        """All remaining rows."""

    @abstractmethod
    def raw(self) -> Any:
        """Remaining rows as lists of values, duplicate column names kept."""

    columnNames = property(lambda self: self.column_names)
    rowsRead = property(lambda self: self.rows_read)
    rowsWritten = property(lambda self: self.rows_written)

    def toArray(self) -> list[Any]:
        return self.to_array()


class SqlStorage(ABC):
    """The actor's own SQLite database."""

    @abstractmethod
    def exec(self, query: str, *bindings: Any) -> Any:
        """Run statements; `?` is bound by position, in the last one only. Returns the cursor of the last."""

    @property
    @abstractmethod
    def database_size(self) -> int:
        """Bytes in use."""

    databaseSize = property(lambda self: self.database_size)


class SyncKv(CamelCase, ABC):
    """The key-value store without `await`; the same data as the asynchronous methods. One key at a time."""

    @abstractmethod
    def get(self, key: str, default: Any = None) -> Any: ...
    @abstractmethod
    def put(self, key: str, value: Any = None) -> None: ...
    @abstractmethod
    def delete(self, key: str) -> bool: ...
    @abstractmethod
    def list(self, options: Mapping[str, Any] | None = None, **more: Any) -> Iterator[tuple[str, Any]]:
        """An iterator of (key, value) that reads as it goes; options as in `storage.list`.

        There is one at a time: the next listing of keys ends it.
        """


class KeyOperations(CamelCase, ABC):
    """Keys and the alarm: what `ctx.storage` and the `txn` of a transaction share.

    Options are keywords, or one mapping behind the other arguments, in either spelling. `allow_concurrency` and
    `no_cache` change nothing here: storage never waits. With `allow_unconfirmed` what the actor says after a write does
    not wait for the disk; it does when the turn writes something else as well, and a lost write resets the actor either
    way.
    """

    @overload
    def get(
        self, key: str, options: Mapping[str, Any] | None = None, *, default: Any = None, **more: Any
    ) -> Awaitable[Any]: ...
    @overload
    def get(
        self, key: Iterable[str], options: Mapping[str, Any] | None = None, **more: Any
    ) -> Awaitable[dict[str, Any]]: ...
    @abstractmethod
    def get(self, key: str | Iterable[str], options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[Any]:
        """The value of a key, `default` when it is missing; of several keys a dict of those found, sorted by key.

        Options: `allow_concurrency`, `no_cache`.
        """

    @overload
    def put(self, key: str, value: Any, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[None]: ...
    @overload
    def put(self, key: Mapping[str, Any], value: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[None]: ...
    @abstractmethod
    def put(
        self, key: str | Mapping[str, Any], value: Any = ..., options: Mapping[str, Any] | None = None, **more: Any
    ) -> Awaitable[None]:
        """Store one value, `put(key, value)`, or all of a mapping or none, `put(entries)`.

        Options: `allow_unconfirmed`, `allow_concurrency`, `no_cache`.
        """

    @overload
    def delete(self, key: str, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[bool]: ...
    @overload
    def delete(self, key: Iterable[str], options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[int]: ...
    @abstractmethod
    def delete(self, key: str | Iterable[str], options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[Any]:
        """Whether the key existed; of several keys, how many did. Options as for `put`."""

    @abstractmethod
    def list(self, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[dict[str, Any]]:
        """Items in byte order of the keys: from `start`, or behind `start_after`, up to but not including `end`.

        Options besides these: `prefix`, `reverse`, `limit`, `allow_concurrency`, `no_cache`.
        """

    @abstractmethod
    def get_alarm(self, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[int | None]:
        """When the alarm is due, in milliseconds since the epoch; None without one and while its handler runs."""

    @abstractmethod
    def set_alarm(
        self, scheduled_time: float | datetime, options: Mapping[str, Any] | None = None, **more: Any
    ) -> Awaitable[None]:
        """Have `alarm()` called at this time (milliseconds since the epoch, or a datetime); replaces the last one."""

    @abstractmethod
    def delete_alarm(self, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[None]: ...

    @abstractmethod
    def delete_all(self, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[None]:
        """Remove everything: tables, keys and, by compatibility date, the alarm. Not within a transaction."""


class DurableObjectTransaction(KeyOperations):
    """The `txn` that the callback of `storage.transaction` gets; good for nothing once that is over.

    `ctx.storage` and its `sql` work inside the transaction all the same.
    """

    @abstractmethod
    def rollback(self) -> None:
        """Undo what the transaction wrote, now; what the callback returns still goes to the caller."""


class DurableObjectStorage(KeyOperations):
    """Private, transactional, durable storage of one actor.

    Writes made without an await on anything but storage are one transaction; nothing that reveals them leaves the
    actor before they are on disk.
    """

    sql: SqlStorage
    kv: SyncKv

    @overload
    def transaction(self, callback: Callable[[DurableObjectTransaction], Awaitable[T]]) -> Awaitable[T]: ...
    @overload
    def transaction(self, callback: Callable[[DurableObjectTransaction], T]) -> Awaitable[T]: ...
    @abstractmethod
    def transaction(self, callback: Callable[[DurableObjectTransaction], Any]) -> Awaitable[Any]:
        """Run `callback` as one transaction while no other event is delivered; what it raises rolls back.

        Transactions nest; at most 30 s.
        """

    @abstractmethod
    def transaction_sync(self, callback: Callable[[], T]) -> T:
        """Run a synchronous callback as one transaction; what it raises rolls back. May be nested, and within one.

        Of a coroutine function only what comes before its first real wait is inside; the rest goes on as a task.
        """

    @abstractmethod
    def sync(self) -> Awaitable[None]:
        """Wait until everything written so far is on disk."""

    @abstractmethod
    def get_current_bookmark(self) -> Awaitable[str]:
        """A bookmark of the state as it stands, the writes of this turn included; later ones compare greater.

        Inside a transaction it is that of the last commit before it.
        """

    @abstractmethod
    def get_bookmark_for_time(self, moment: float | datetime) -> Awaitable[str]:
        """The bookmark of the last commit at or before a moment: milliseconds since the epoch, or a datetime."""

    @abstractmethod
    def on_next_session_restore_bookmark(self, bookmark: str) -> Awaitable[str]:
        """Have the object begin with that state when it is activated next; returns the bookmark that undoes this.

        Part of the turn like any write. `ctx.abort()` behind it makes the next activation come at once.
        """
