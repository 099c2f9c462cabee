"""Whole objects for tools: copied out, given the state of an image, deleted. Wakes nobody.

The file is lent to a thread all the while, so that events of the object wait. An object that is given another state is
reset as by a restore: what it has in memory is no longer so. The index hears of an alarm in the order of `restores`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable import values
from durable.errors import NotFoundError, StorageError
from durable.host.restores import end_activation
from durable.storage.actor_store import ActorStore
from durable.storage.file_check import missing_file
from durable.storage.object_image import ImageCopy, check_image
from durable.storage.replacing import alarm_of, prepare_replacement, remove_empty, stores_nothing_yet
from durable.wire.messages import ActorKey, CallReply, CopyObject, DeleteObject, Failed, ReplaceObject

if TYPE_CHECKING:
    from durable.host.host import Host

_PAUSE_SECONDS = 0.001
"""Between two pieces of a large file."""

Question = CopyObject | ReplaceObject | DeleteObject
Answer = dict[str, Any]
REPLACED = "Durable Object was reset because its data was replaced."
DELETED = "Durable Object was reset because it was deleted."


class ObjectImages:
    """Of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def answer(self, question: Question) -> None:
        """Do it, and answer whoever asked."""
        host, key = self._host, question.actor
        try:
            answer, epoch = await self._do(question)
            host.send(CallReply(question.id, epoch, values.encode(answer)))
        except Exception as error:
            # Whoever asked waits for an answer, whatever it is; a live actor is reset by itself, if it has to be.
            host.send(Failed(question.id, 0, host.report(error, key.id[:8], "objects"), 400))

    async def _do(self, question: Question) -> tuple[Answer, int]:
        """The answer, and the epoch that it reveals."""
        if isinstance(question, CopyObject):
            return await self._copy(question)
        async with self._lent(question.actor) as store:
            if isinstance(question, ReplaceObject):
                return await self._replace(question, store), 0
            return await self._delete(question.actor, store), 0

    @contextlib.asynccontextmanager
    async def _lent(self, key: ActorKey) -> AsyncGenerator[ActorStore]:
        registry = self._host.registry
        actor = await registry.lend(key.id)
        try:
            yield registry.store(key)
        except BaseException:
            if actor is None:
                registry.store(key).rollback()
            raise
        finally:
            registry.give_back(key.id, actor)

    async def _copy(self, question: CopyObject) -> tuple[Answer, int]:
        key, copy = question.actor, ImageCopy(Path(question.target))
        try:
            async with self._lent(key) as store:
                if not store.has_file and await self._host.index.is_known(key):
                    raise missing_file(store.path)
                if not store.exists:
                    raise NotFoundError(f"object {key.id} has no data")
                await self._in_thread(lambda: copy.begin(store))
                epoch = store.undurable_epoch
            with self._host.checkpoints.held_back(store):
                while not copy.is_taken:
                    # The object's turns come in between.
                    await asyncio.sleep(_PAUSE_SECONDS)
                    async with self._lent(key) as store:
                        epoch = max(epoch, store.undurable_epoch)
                        await self._in_thread(partial(copy.more, store))
            return {"bytes": await self._in_thread(partial(copy.finish, sync=question.sync))}, epoch
        except BaseException:
            copy.discard()
            raise

    async def _replace(self, question: ReplaceObject, store: ActorStore) -> Answer:
        host, key, image = self._host, question.actor, Path(question.image)
        created = stores_nothing_yet(store)
        if created and not question.create and not await host.index.is_known(key):
            raise NotFoundError(f"object {key.id} has no data")
        if host.registry.live(key.id) is not None:
            # Before its file is closed: for a file that is refused the object should notice nothing.
            await self._in_thread(lambda: check_image(image))
        await host.commits.make_durable(store)
        alarm_before = None if created else alarm_of(store)
        replacement = await self._in_thread(lambda: prepare_replacement(store, image))
        alarm = await self._in_thread(replacement.build)
        size = replacement.bytes
        end_activation(host, key, REPLACED)
        store.lost = None
        if created:
            # First an empty file, then its row: a crash leaves neither a row without a file nor the other way round.
            store.keep_file()
            store.close()
            await self._indexed(key, alarm, new_file=True)
        elif alarm is not None and (alarm_before is None or alarm < alarm_before):
            await self._indexed(key, alarm)
        await self._in_thread(lambda: replacement.decide(host.clock.wall_ms()))
        if not created:
            await self._indexed(key, alarm)
        return {**replacement.answer(created=created), "bytes": size, "alarm_ms": alarm, "created": created}

    async def _delete(self, key: ActorKey, store: ActorStore) -> Answer:
        host = self._host
        answer: Answer = {"undo": None}
        is_live = host.registry.live(key.id) is not None
        if not store.has_file and not is_live and not await host.index.is_known(key):
            raise NotFoundError(f"object {key.id} has no data")
        if store.has_file:
            await host.commits.make_durable(store)
            replacement = await self._in_thread(lambda: prepare_replacement(store, None))
            await self._in_thread(replacement.build)
            end_activation(host, key, DELETED)
            await self._in_thread(lambda: replacement.decide(host.clock.wall_ms()))
            answer = {**replacement.answer()}
        else:
            end_activation(host, key, DELETED)
        error = await host.index.remove(key)
        if error:
            raise StorageError(f"the object is empty, but the index of objects could not be written: {error}")
        store.lost = None
        if store.has_file:
            await self._in_thread(lambda: remove_empty(store))
        host.registry.forget(key.id)
        return answer

    async def _indexed(self, key: ActorKey, alarm: int | None, *, new_file: bool = False) -> None:
        error = await self._host.index.stored(key, alarm, new_file=new_file)
        if error:
            raise StorageError(f"the index of objects could not be written: {error}")

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, work)
