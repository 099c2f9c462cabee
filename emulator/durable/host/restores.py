"""Bringing objects back to an earlier state: at their next activation because they asked for it, or for a tool.

The file is lent to a thread all the while, so that events of the object wait. The alarm of the state to come reaches
the index before the restore is decided when it is earlier, and after it otherwise: the scheduler never sleeps past it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from durable import values
from durable.errors import ActorResetError, NotFoundError, StorageError
from durable.storage.actor_store import ActorStore
from durable.wire import messages as wire
from durable.wire.messages import ActorKey

if TYPE_CHECKING:
    from durable.host.host import Host


class Restores:
    """Of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._given_up: set[str] = set()
        """Objects whose file could not be prepared: they are activated as they are."""

    # --- before an activation -----------------------------------------------------------------------------------
    def is_due(self, key: ActorKey, store: ActorStore) -> bool:
        """Whether something has to be done with the object's file before its constructor runs."""
        if store.history is None or key.id in self._given_up or not store.has_file:
            return False
        try:
            return store.recovery.wished() is not None or bool(store.recovery.look())
        except StorageError:
            # Nobody's turn has failed: the activation begins with storage as it is, and says what it meets itself.
            store.rollback()
            return False

    def begin(self, key: ActorKey, store: ActorStore) -> None:
        """Do it; the file is lent at once and given back when that is over."""
        self._host.registry.lend_sleeping(key.id)
        self._host.background(self._prepare(key, store))

    async def _prepare(self, key: ActorKey, store: ActorStore) -> None:
        host = self._host
        try:
            wish = store.recovery.wished()
            if wish is not None:
                await self._carry_out(key, store, wish.bookmark, wish.nonce)
            else:
                await host.commits.make_durable(store)
                host.checkpoints.tell_break(store)
                if not await self._in_thread(store.checkpoint):
                    self._given_up.add(key.id)
        except Exception as error:
            self._given_up.add(key.id)
            store.rollback()
            host.log_failure(error, _label(key), "restore")
            await self._drop_wish(key, store)
        finally:
            host.registry.give_back(key.id, None)

    async def _drop_wish(self, key: ActorKey, store: ActorStore) -> None:
        """The object goes on as it was, and does not try again at each activation."""
        try:
            if store.recovery.wished() is not None:
                store.recovery.drop_wish()
                self._host.commit(store)
        except StorageError as error:
            store.rollback()
            self._host.log_failure(error, _label(key), "restore")

    # --- for tools ------------------------------------------------------------------------------------------------
    async def answer(self, request: wire.Restore) -> None:
        """Restore the object, or say what could be, and answer whoever asked."""
        host, key = self._host, request.actor
        actor = await host.registry.lend(key.id)
        try:
            payload = values.encode(await self._answer(request))
            host.send(wire.CallReply(request.id, 0, payload))
        except Exception as error:
            # Whoever asked waits for an answer, whatever it is; a live actor is reset by itself, if it has to be.
            if actor is None:
                host.registry.store(key).rollback()
            host.send(wire.Failed(request.id, 0, host.report(error, _label(key), "restore"), 400))
        finally:
            host.registry.give_back(key.id, actor)

    async def _answer(self, request: wire.Restore) -> dict[str, Any]:
        store = self._host.registry.store(request.actor)
        if not store.has_file and not store.has_history:
            raise NotFoundError(f"object {request.actor.id} has no data and no history")
        if request.bookmark:
            return await self._carry_out(request.actor, store, request.bookmark)
        if request.moment_ms is not None:
            moment = request.moment_ms if request.moment_ms >= 0 else self._host.clock.wall_ms() + request.moment_ms
            return await self._carry_out(request.actor, store, moment)
        return store.recovery.reach().to_json()

    # --- doing it -------------------------------------------------------------------------------------------------
    async def _carry_out(self, key: ActorKey, store: ActorStore, at: str | int, nonce: int = 0) -> dict[str, Any]:
        host = self._host
        await host.commits.make_durable(store)
        is_removed = not store.has_file
        alarm_before = None if is_removed else store.alarm.now
        moment, restore = await self._in_thread(lambda: store.prepare_restore(at, nonce))
        alarm = await self._in_thread(restore.build)
        # An object that asked for this itself is being woken, and keeps its sockets.
        end_activation(
            host, key, f"Durable Object was reset because it was restored to {restore.target}.", with_sockets=not nonce
        )
        if not is_removed and alarm is not None and (alarm_before is None or alarm < alarm_before):
            await self._indexed(key, alarm)
        await self._in_thread(lambda: restore.decide(host.clock.wall_ms()))
        if is_removed:
            # Not before: the index would promise a file that is not there yet.
            await self._indexed(key, alarm)
        else:
            host.send(wire.IndexPut(0, key, alarm))
        size = store.path.stat().st_size
        return {"restored": str(restore.target), "moment_ms": moment, "undo": str(restore.undo), "bytes": size}

    async def _indexed(self, key: ActorKey, alarm: int | None) -> None:
        error = await self._host.index.stored(key, alarm)
        if error:
            raise StorageError(f"the index of objects could not be written: {error}")

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await self._host.loop.run_in_executor(None, work)


def end_activation(host: Host, key: ActorKey, why: str, *, with_sockets: bool = True) -> None:
    """End the object's activation, if there is one: what it knows is no longer so.

    Its sockets end with it, and those of a sleeping object `with_sockets`.
    """
    actor = host.registry.live(key.id)
    if actor is not None:
        actor.reset(ActorResetError(why))
    elif with_sockets:
        for record in list(host.sockets.of(key.id)):
            host.sockets.forget(record)
            host.send(wire.SocketClose(record.socket, 1006, "", 0))


def _label(key: ActorKey) -> str:
    return f'"{key.name}"' if key.name is not None else key.id[:8]
