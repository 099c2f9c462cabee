"""`ctx.storage`: interfaces with their documentation. Operations complete at once; `await` lets no other event in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload

from durable.sdk.aliases import CamelCase

T = TypeVar("T")


class SqlCursor(CamelCase, ABC):
    """Rows of one statement, as dicts keyed by column name."""

    column_names: list[str]
    rows_read: int
    rows_written: int

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    @abstractmethod
    def one(self) -> Any:
        """The only row; raises when there are none or several."""

    @abstractmethod
    def to_array(self) -> list[Any]:
        """All remaining rows."""

    @abstractmethod
    def raw(self) -> Any:
        """Remaining rows as lists of values, duplicate column names kept."""


class SqlStorage(CamelCase, ABC):
    """The actor's own SQLite database."""

    @abstractmethod
    def exec(self, query: str, *bindings: Any) -> Any:
        """Run statements; `?` is bound by position, in the last one only. Returns the cursor of the last."""

    @property
    @abstractmethod
    def database_size(self) -> int:
        """Bytes in use."""


class SyncKv(CamelCase, ABC):
    """The key-value store without `await`; the same data as the asynchronous methods."""

    @abstractmethod
    def get(self, key: str, default: Any = None) -> Any: ...
    @abstractmethod
    def put(self, key: str, value: Any) -> None: ...
    @abstractmethod
    def delete(self, key: str) -> bool: ...
    @abstractmethod
    def list(self, options: Mapping[str, Any] | None = None, **more: Any) -> Iterable[tuple[str, Any]]: ...


class DurableObjectStorage(CamelCase, ABC):
    """Private, transactional, durable storage of one actor.

    Writes made without an await on anything but storage are one transaction; nothing that reveals them leaves the
    actor before they are on disk.
    """

    sql: SqlStorage
    kv: SyncKv

    @overload
    def get(self, key: str, *, default: Any = None, **options: Any) -> Awaitable[Any]: ...
    @overload
    def get(self, key: Sequence[str], *, default: Any = None, **options: Any) -> Awaitable[dict[str, Any]]: ...
    @abstractmethod
    def get(self, key: str | Sequence[str], *, default: Any = None, **options: Any) -> Awaitable[Any]:
        """The value of a key, `default` when it is missing; of several keys a dict of those found, sorted by key."""

    @abstractmethod
    def put(self, key: str | Mapping[str, Any], value: Any = None, **options: Any) -> Awaitable[None]:
        """Store one value, or all of a mapping at once."""

    @overload
    def delete(self, key: str, **options: Any) -> Awaitable[bool]: ...
    @overload
    def delete(self, key: Sequence[str], **options: Any) -> Awaitable[int]: ...
    @abstractmethod
    def delete(self, key: str | Sequence[str], **options: Any) -> Awaitable[Any]:
        """Whether the key existed; of several keys, how many did."""

    @abstractmethod
    def list(self, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[dict[str, Any]]:
        """Items in byte order of the keys; options `start`, `start_after`, `end`, `prefix`, `reverse`, `limit`."""

    @abstractmethod
    def delete_all(self, **options: Any) -> Awaitable[None]:
        """Remove everything: tables, keys and, by compatibility date, the alarm."""

    @abstractmethod
    def transaction(self, callback: Callable[[Any], Awaitable[T] | T]) -> Awaitable[T]:
        """Run `callback` as one transaction while no other event is delivered; what it raises rolls back."""

    @abstractmethod
    def transaction_sync(self, callback: Callable[[], T]) -> T:
        """Run a synchronous callback as one transaction; what it raises rolls back."""

    @abstractmethod
    def get_alarm(self, **options: Any) -> Awaitable[int | None]:
        """When the alarm is due, in milliseconds since the epoch; None without one and while its handler runs."""

    @abstractmethod
    def set_alarm(self, scheduled_time: float | datetime, **options: Any) -> Awaitable[None]:
        """Have `alarm()` called at this time (milliseconds since the epoch, or a datetime); replaces the last one."""

    @abstractmethod
    def delete_alarm(self, **options: Any) -> Awaitable[None]: ...

    @abstractmethod
    def sync(self) -> Awaitable[None]:
        """Wait until everything written so far is on disk."""
