"""`ctx.storage.sql` of one actor: as fast as it gets, watched for portability, or refused to a class without SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from durable.actor.timeline import OK, failure_text, shortened
from durable.errors import StorageError
from durable.limits import TIMELINE_TEXT_CHARACTERS_MAX as _TEXT_MAX
from durable.sdk import portability
from durable.sdk.storage import SqlStorage, SyncKv
from durable.storage.sql.binding import INTEGER_EXACT_MAX

if TYPE_CHECKING:
    from durable.actor.actor import Actor

_CONVERT = (
    "declare the class under `new_sqlite_classes` instead of `new_classes` in [[migrations]]. On the platform that"
    " cannot be changed any more once the class is deployed"
)
_SAFE = (str, float, type(None), bytes, memoryview)
"""Exact types that the platform binds as we do."""


def sql_storage(actor: Actor) -> SqlStorage:
    """What the actor's class may use."""
    if actor.engine.is_kv_only(actor.key.namespace):
        return NoSql()
    actor.store.sql.watch(actor.engine.clock, actor.engine.loop.call_soon)
    return ActorSql(actor) if portability.watch is None else PortableSql(actor)


class ActorSql(SqlStorage):
    """The actor's database."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._sql = actor.store.sql
        self._now = actor.engine.clock.monotonic

    def exec(self, query: str, *bindings: Any) -> Any:
        actor = self._actor
        if actor.broken is not None:
            actor.check_usable()
        now = self._now
        began = now()
        try:
            cursor = self._sql.execute(query, bindings)
        except Exception as error:
            text = shortened(query) if type(query) is str else ""
            actor.ring.append([now(), began, "sql", text, failure_text(error), None])
            raise
        # Written out, because a function for it would cost as much again: a statement takes less than 5 µs.
        text = query if len(query) <= _TEXT_MAX else shortened(query)
        cursor.entry = entry = [now(), began, "sql", text, OK, cursor.rows_written]
        actor.ring.append(entry)
        return cursor

    @property
    def database_size(self) -> int:
        if self._actor.broken is not None:
            self._actor.check_usable()
        return self._sql.database_size


class PortableSql(ActorSql):
    """Looks at every binding before it is bound."""

    def exec(self, query: str, *bindings: Any) -> Any:
        for position, value in enumerate(bindings, 1):
            if type(value) not in _SAFE and portability.watch is not None:
                kind = _difference(value)
                if kind is not None:
                    portability.watch(kind, f"binding {position} is {_shown(value)}")
        return super().exec(query, *bindings)


def _difference(value: Any) -> str | None:
    """The kind of difference that binding `value` makes on the platform."""
    if isinstance(value, bool):
        return "sql-bool"
    if isinstance(value, int):
        return "sql-int" if abs(value) <= INTEGER_EXACT_MAX else "sql-large-int"
    return "sql-bytearray" if isinstance(value, bytearray) else None


def _shown(value: Any) -> str:
    if isinstance(value, bytearray):
        return "a bytearray"
    return f"the {type(value).__name__} {value if abs(value) < 10**20 else 'of many digits'}"


class NoSql(SqlStorage):
    """For a class that was not declared to use SQLite: can be passed around, but not used."""

    def exec(self, query: str, *bindings: Any) -> NoReturn:
        raise _no_sql()

    @property
    def database_size(self) -> int:
        raise _no_sql()


class NoSyncKv(SyncKv):
    """The same for `ctx.storage.kv`."""

    def get(self, key: str, default: Any = None) -> NoReturn:
        raise _no_kv()

    def put(self, key: str, value: Any = None) -> NoReturn:
        raise _no_kv()

    def delete(self, key: str) -> NoReturn:
        raise _no_kv()

    def list(self, options: Any = None, **more: Any) -> NoReturn:
        raise _no_kv()


def _no_sql() -> StorageError:
    return StorageError(f"SQL is not enabled for this Durable Object class. To enable it, {_CONVERT}.")


def _no_kv() -> StorageError:
    return StorageError(
        "The storage.kv (synchronous KV) API is only available for SQLite-backed Durable Objects, but this object's"
        " namespace is not declared to use SQLite. Use the methods of `storage` itself, such as"
        f" `await storage.get(key)`, or {_CONVERT}."
    )
