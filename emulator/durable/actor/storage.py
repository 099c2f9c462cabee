"""`ctx.storage` of one actor: the sdk's interface over its store. Every operation is done when the call returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from durable.actor.critical_section import run_critical
from durable.actor.key_operations import NOTHING, ActorKeyOperations, Options, listing
from durable.actor.recovery import bookmark_for_time, current_bookmark, restore_next_session
from durable.actor.sql_storage import NoSql, NoSyncKv, sql_storage
from durable.actor.transactions import ActorTransaction, no_delete_all, run_sync
from durable.errors import StorageError
from durable.sdk.storage import DurableObjectStorage, SyncKv

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.storage.actor_store import ActorStore
    from durable.storage.kv import Kv

T = TypeVar("T")


class ActorSyncKv(SyncKv):
    """`ctx.storage.kv`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def _kv(self) -> Kv:
        self._actor.storage_operations += 1
        return self._actor.usable_store().kv

    def get(self, key: str, default: Any = None) -> Any:
        return self._kv().get(key, default)

    def put(self, key: str, value: Any = None) -> None:
        self._kv().put(key, value)

    def delete(self, key: str) -> bool:
        return self._kv().delete(key)

    def list(self, options: Options = None, **more: Any) -> Iterator[tuple[str, Any]]:
        return self._kv().iterate(**listing("kv.list", options, more))


class ActorStorage(ActorKeyOperations, DurableObjectStorage):
    """`ctx.storage`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.sql = sql_storage(actor)
        self._has_sql = not isinstance(self.sql, NoSql)
        self.kv = ActorSyncKv(actor) if self._has_sql else NoSyncKv()
        self._transactions: list[ActorTransaction] = []

    def _store(self, method: str) -> ActorStore:
        self._actor.storage_operations += 1
        return self._actor.usable_store()

    def delete_all(self, options: Options = None, **more: Any) -> Awaitable[None]:
        actor = self._actor
        store = actor.usable_store()
        unconfirmed = (options is not None or more) and self._write_options("delete_all", options, more)
        if actor.transactions:
            raise no_delete_all()
        self._write(unconfirmed, lambda: store.delete_all(keep_alarm=actor.keeps_alarm_on_delete_all))
        if not actor.keeps_alarm_on_delete_all:
            actor.alarm_touched = True
        return NOTHING

    def transaction(self, callback: Callable[[Any], Any]) -> Awaitable[Any]:
        actor = self._actor
        running = self._transactions

        async def work() -> Any:
            transaction = ActorTransaction(actor)
            running.append(transaction)
            try:
                return await transaction.run(callback)
            finally:
                running.remove(transaction)

        outer = running[-1] if running else None
        outcome: Any = run_critical(actor, work, breaks=False)
        if outer is not None:
            outer.inner.append(outcome)
        return outcome  # type: ignore[no-any-return]

    def transaction_sync(self, callback: Callable[[], T]) -> T:
        if not self._has_sql:
            raise StorageError("Durable Object is not backed by SQL.")
        return run_sync(self._actor, callback)  # type: ignore[no-any-return]

    def sync(self) -> Awaitable[None]:
        actor = self._actor

        async def sync() -> None:
            # The turn that asked ends first: what it wrote is then committed and is part of what is waited for.
            await actor.wait_durable()
            await actor.engine.sync(actor.usable_store())

        return sync()

    def get_current_bookmark(self) -> Awaitable[str]:
        return current_bookmark(self._actor)

    def get_bookmark_for_time(self, moment: float | datetime) -> Awaitable[str]:
        return bookmark_for_time(self._actor, moment)

    def on_next_session_restore_bookmark(self, bookmark: str) -> Awaitable[str]:
        return restore_next_session(self._actor, bookmark)
