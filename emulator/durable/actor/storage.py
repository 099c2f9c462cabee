"""`ctx.storage` of one actor: the sdk's interface over its store. Every operation is done when the call returns."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from durable.actor.critical_section import run_critical
from durable.actor.handlers import maybe_await
from durable.errors import StorageError
from durable.sdk.aliases import merge_options
from durable.sdk.storage import DurableObjectStorage, SqlStorage, SyncKv

if TYPE_CHECKING:
    from durable.actor.actor import Actor

T = TypeVar("T")

_LIST_OPTIONS = ("start", "start_after", "end", "prefix", "reverse", "limit", "allow_concurrency", "no_cache")
_ALARM_YEAR_LIMIT_MS = 6_911_222_400_000
"""2189-01-04: the platform refuses later dates."""


class Done(Generic[T]):
    """An awaitable that already has its value: awaiting it never lets another event in."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        return self._value
        yield  # pragma: no cover - makes this a generator


_NOTHING: Done[None] = Done(None)


class ActorSql(SqlStorage):
    """`ctx.storage.sql`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._sql = actor.store.sql

    def exec(self, query: str, *bindings: Any) -> Any:
        if self._actor.broken is not None:
            self._actor.check_usable()
        return self._sql.exec(query, *bindings)

    @property
    def database_size(self) -> int:
        if self._actor.broken is not None:
            self._actor.check_usable()
        return self._sql.database_size


class ActorSyncKv(SyncKv):
    """`ctx.storage.kv`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def get(self, key: str, default: Any = None) -> Any:
        return self._actor.usable_store().kv.get(key, default)

    def put(self, key: str, value: Any) -> None:
        self._actor.usable_store().kv.put(key, value)

    def delete(self, key: str) -> bool:
        return self._actor.usable_store().kv.delete(key)

    def list(self, options: Mapping[str, Any] | None = None, **more: Any) -> Iterable[tuple[str, Any]]:
        return _listed(self._actor, options, more).items()


class ActorStorage(DurableObjectStorage):
    """`ctx.storage`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.sql = ActorSql(actor)
        self.kv = ActorSyncKv(actor)

    def get(self, key: str | Sequence[str], *, default: Any = None, **options: Any) -> Awaitable[Any]:
        kv = self._actor.usable_store().kv
        return Done(kv.get(key, default) if isinstance(key, str) else kv.get_many(list(key)))

    def put(self, key: str | Mapping[str, Any], value: Any = None, **options: Any) -> Awaitable[None]:
        kv = self._actor.usable_store().kv
        if isinstance(key, Mapping):
            kv.put_many(dict(key))
        else:
            kv.put(key, value)
        return _NOTHING

    def delete(self, key: str | Sequence[str], **options: Any) -> Awaitable[Any]:
        kv = self._actor.usable_store().kv
        return Done(kv.delete(key) if isinstance(key, str) else kv.delete_many(list(key)))

    def list(self, options: Mapping[str, Any] | None = None, **more: Any) -> Awaitable[dict[str, Any]]:
        return Done(_listed(self._actor, options, more))

    def delete_all(self, **options: Any) -> Awaitable[None]:
        actor = self._actor
        store = actor.usable_store()
        if actor.transactions:
            raise StorageError("Cannot call deleteAll() within a transaction")
        store.delete_all(keep_alarm=actor.keeps_alarm_on_delete_all)
        if not actor.keeps_alarm_on_delete_all:
            actor.alarm_touched = True
        return _NOTHING

    def transaction(self, callback: Callable[[Any], Awaitable[T] | T]) -> Awaitable[T]:
        actor = self._actor

        async def work() -> Any:
            name = actor.begin_transaction()
            touched = actor.alarm_touched
            try:
                result = await maybe_await(callback(self))
            except BaseException:
                actor.alarm_touched = touched
                actor.end_transaction(name, keep=False)
                raise
            actor.end_transaction(name, keep=True)
            return result

        return run_critical(actor, work, breaks=False)

    def transaction_sync(self, callback: Callable[[], T]) -> T:
        store = self._actor.usable_store()
        name = store.savepoint()
        touched = self._actor.alarm_touched
        try:
            result = callback()
        except BaseException:
            self._actor.alarm_touched = touched
            if self._actor.broken is None:
                store.rollback_to(name)
            raise
        store.release(name)
        return result

    def get_alarm(self, **options: Any) -> Awaitable[int | None]:
        actor = self._actor
        if actor.alarm_running and not actor.alarm_touched:
            return _NOTHING
        return Done(actor.usable_store().alarm.get())

    def set_alarm(self, scheduled_time: float | datetime, **options: Any) -> Awaitable[None]:
        actor = self._actor
        store = actor.usable_store()
        if actor.instance is not None and not actor.has_alarm_handler:
            raise TypeError("Your Durable Object class must have an alarm() handler in order to call setAlarm()")
        store.alarm.set(max(_alarm_ms(scheduled_time), actor.engine.clock.wall_ms()))
        actor.alarm_touched = True
        return _NOTHING

    def delete_alarm(self, **options: Any) -> Awaitable[None]:
        self._actor.usable_store().alarm.delete()
        self._actor.alarm_touched = True
        return _NOTHING

    def sync(self) -> Awaitable[None]:
        actor = self._actor

        async def sync() -> None:
            # The turn that asked ends first: what it wrote is then committed and is part of what is waited for.
            await actor.wait_durable()
            await actor.engine.sync(actor.usable_store())

        return sync()


def _listed(actor: Actor, options: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    merged = merge_options("list", _LIST_OPTIONS, options, more)
    merged.pop("allow_concurrency", None)
    merged.pop("no_cache", None)
    return actor.usable_store().kv.list(**merged)


def _alarm_ms(moment: float | datetime) -> int:
    """Milliseconds since the epoch. A datetime without a zone is local time, as everywhere in Python."""
    if isinstance(moment, datetime):
        moment = moment.timestamp() * 1000
    elif isinstance(moment, bool) or not isinstance(moment, (int, float)):
        raise TypeError(f"set_alarm() takes milliseconds since the epoch or a datetime, got {type(moment).__name__}")
    if isinstance(moment, float) and not math.isfinite(moment):
        raise TypeError(f"set_alarm() takes a point in time, got {moment}")
    if moment <= 0:
        raise TypeError("setAlarm() cannot be called with an alarm time <= 0")
    if moment >= _ALARM_YEAR_LIMIT_MS:
        raise TypeError("This API doesn't support dates after 2189.")
    return math.ceil(moment)
