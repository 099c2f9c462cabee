"""Explicit transactions of one actor: `storage.transaction`, the `txn` that its callback gets, `transaction_sync`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from durable.actor.handlers import call_relaxed, maybe_await
from durable.actor.key_operations import ActorKeyOperations, Done, Options
from durable.errors import StorageError
from durable.sdk.storage import DurableObjectTransaction

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.storage.actor_store import ActorStore


class ActorTransaction(ActorKeyOperations, DurableObjectTransaction):
    """One explicit transaction; begun by making it, and `txn` for the callback that it is made for."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._name = actor.begin_transaction()
        self._alarm_touched = actor.alarm_touched
        self._rolled_back = False
        self._ended = False
        self.inner: list[asyncio.Future[Any]] = []
        """Outcomes of the transactions that were asked for inside this one."""

    def _store(self, method: str) -> ActorStore:
        if self._ended:
            raise StorageError(
                f"Cannot call {method}() on transaction that has already committed: did you move `txn` outside of the"
                " closure?"
            )
        if self._rolled_back:
            raise StorageError(f"Cannot {method}() on rolled back transaction")
        self._actor.storage_operations += 1
        return self._actor.usable_store()

    def delete_all(self, options: Options = None, **more: Any) -> NoReturn:
        self._store("delete_all")
        raise no_delete_all()

    def rollback(self) -> None:
        if self._rolled_back and not self._ended:
            return
        store = self._store("rollback")
        if not store.is_innermost(self._name):
            raise StorageError("Cannot roll back an outer transaction while a nested transaction is still running.")
        self._rolled_back = True
        self._actor.alarm_touched = self._alarm_touched
        store.rollback_to(self._name)

    async def run(self, callback: Callable[[Any], Any]) -> Any:
        """Call the callback with this, then keep what it wrote, or undo it when it raises."""
        try:
            result = await maybe_await(call_relaxed(callback, self))
            await self._wait_inner()
        except BaseException as error:
            if isinstance(error, Exception):
                await self._wait_inner()
            self._end(keep=False)
            raise
        self._end(keep=True)
        return result

    async def _wait_inner(self) -> None:
        """A nested transaction that nobody awaited is part of this one all the same."""
        while running := [outcome for outcome in self.inner if not outcome.done()]:
            await asyncio.wait(running)

    def _end(self, *, keep: bool) -> None:
        self._ended = True
        if not keep and not self._rolled_back:
            self._actor.alarm_touched = self._alarm_touched
        self._actor.end_transaction(None if self._rolled_back else self._name, keep=keep)


def no_delete_all() -> StorageError:
    return StorageError("Cannot call deleteAll() within a transaction")


def run_sync(actor: Actor, callback: Callable[[], Any]) -> Any:
    """`storage.transaction_sync`."""
    store = actor.usable_store()
    name = store.savepoint()
    touched = actor.alarm_touched
    try:
        result = callback()
        if inspect.iscoroutine(result):
            result = _begun(actor, result)
    except BaseException:
        actor.alarm_touched = touched
        if actor.broken is None:
            store.rollback_to(name)
        raise
    store.release(name)
    return result


def _begun(actor: Actor, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine up to its first real wait, which is where the transaction around it ends; the rest is a task."""
    try:
        waits_for = coroutine.send(None)
    except StopIteration as stop:
        return Done(stop.value)
    return actor.spawn(_resumed(_Rest(coroutine, waits_for)))


async def _resumed(rest: _Rest) -> Any:
    return await rest


class _Rest:
    """What is left of a coroutine that has already said what it waits for."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = partial(_given, self._waits_for)
        while True:
            try:
                asked = step()
            except StopIteration as stop:
                return stop.value
            try:
                step = partial(self._coroutine.send, (yield asked))
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:
                step = partial(self._coroutine.throw, error)


def _given(value: Any) -> Any:
    return value
