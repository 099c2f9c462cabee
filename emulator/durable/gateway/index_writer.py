"""The only writer of the `index.sqlite` files while the emulator runs, and the only reader in this process.

What hosts ask for during one turn of the loop becomes one transaction per namespace, in one worker thread; what arrives
while the disk is busy shares the next one. Answers go out only when the rows are on disk. The writer does not know what
an alarm is for: whoever has to know watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec import Struct, field

from durable.clock import Clock
from durable.errors import WireError
from durable.failpoints import failpoint
from durable.gateway.link import HostLink
from durable.limits import INDEX_WRITES_WAITING_MAX
from durable.storage.index import AlarmCorrection, Change, IndexRemoval, IndexRow, NamespaceIndex
from durable.storage.layout import sync_folder
from durable.wire.messages import ActorKey, IndexDurable, IndexFind, IndexFound, IndexPut, IndexRemove

T = TypeVar("T")
Reply = Callable[[IndexDurable], None]
Found = Callable[[IndexFound], None]

_ALARM_MS_MAX = 2**63 - 1
"""What SQLite's INTEGER holds."""


class IndexPaths(Protocol):
    """Where a namespace's index lies, and the files that it promises."""

    def index_file(self, namespace: str) -> Path: ...
    def object_file(self, namespace: str, object_id: str) -> Path: ...


class AlarmWatcher(Protocol):
    """Who wants to know that an object's alarm was written."""

    def alarm_put(self, actor: ActorKey) -> None:
        """A host has something to say about this object's alarm; it is not durable yet."""
        ...

    def alarm_indexed(self, actor: ActorKey, alarm_ms: int | None) -> None:
        """The index says so now, durably."""
        ...


class IndexStatistics(Struct, frozen=True):
    """`transactions` is how often the disk was asked; the fewer per write, the better the batching works."""

    writes: int
    transactions: int
    waiting: int
    failures: int


class _Write(Struct):
    change: Change
    actor: ActorKey
    id: int = 0
    reply: Reply | None = None
    new_file: bool = False


class _Batch(Struct):
    writes: dict[str, list[_Write]] = field(default_factory=dict[str, list[_Write]])
    count: int = 0


class IndexWriter:
    """Give every host's link to `listen`; read with the coroutines."""

    def __init__(self, paths: IndexPaths, clock: Clock) -> None:
        self._paths = paths
        self._clock = clock
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="durable-index")
        self._indexes: dict[str, NamespaceIndex] = {}  # belongs to the worker thread
        self._watchers: list[AlarmWatcher] = []
        self._batch = _Batch()
        self._submitted: set[asyncio.Future[dict[str, str]]] = set()
        self._planned = False
        self._finds: list[tuple[IndexFind, Found]] = []
        self._writes = self._transactions = self._failures = 0

    def listen(self, link: HostLink) -> None:
        link.on(IndexPut, lambda message: self.put(message, link.send))
        link.on(IndexRemove, lambda message: self.remove(message, link.send))
        link.on(IndexFind, lambda message: self.find_known(message, link.send))

    def watch(self, watcher: AlarmWatcher) -> None:
        self._watchers.append(watcher)

    # --- writing ---------------------------------------------------------------------------------------------------
    def put(self, message: IndexPut, reply: Reply) -> None:
        """Write one row; `reply` gets `IndexDurable` when the row is on disk, unless the id is 0."""
        actor = message.actor
        if message.alarm_ms is not None and abs(message.alarm_ms) > _ALARM_MS_MAX:
            reply(IndexDurable([message.id], f"an alarm at {message.alarm_ms} ms is out of range"))
            return
        now_ms = self._clock.wall_ms()
        row = IndexRow(actor.id, actor.name, message.created_ms or now_ms, now_ms, message.alarm_ms)
        self._add(_Write(row, actor, message.id, reply, message.new_file))
        for watcher in self._watchers:
            watcher.alarm_put(actor)

    def remove(self, message: IndexRemove, reply: Reply) -> None:
        """Drop one row; answered as `put` is."""
        self._add(_Write(IndexRemoval(message.actor.id), message.actor, message.id, reply))
        for watcher in self._watchers:
            watcher.alarm_put(message.actor)

    def correct_alarm(self, actor: ActorKey, expected_ms: int, alarm_ms: int | None) -> None:
        """Take over what the object's own row says, unless the index has moved on from `expected_ms` meanwhile."""
        self._add(_Write(AlarmCorrection(actor.id, expected_ms, alarm_ms), actor))

    def _add(self, write: _Write) -> None:
        batch = self._batch
        if batch.count >= INDEX_WRITES_WAITING_MAX:
            raise WireError(f"{batch.count} index rows wait to be written; the limit is {INDEX_WRITES_WAITING_MAX}")
        batch.count += 1
        batch.writes.setdefault(write.actor.namespace, []).append(write)
        if not self._planned and not self._submitted:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._planned = False
        if not self._batch.count:
            return
        batch, self._batch = self._batch, _Batch()
        self._writes += batch.count
        future = asyncio.get_running_loop().run_in_executor(self._worker, self._write, batch.writes)
        self._submitted.add(future)
        future.add_done_callback(lambda done: self._written(batch, done))

    def _written(self, batch: _Batch, future: asyncio.Future[dict[str, str]]) -> None:
        self._submitted.discard(future)
        errors = dict.fromkeys(batch.writes, "the index is being closed") if future.cancelled() else future.result()
        self._transactions += len(batch.writes)
        answers: dict[Reply, dict[str, list[int]]] = {}
        for namespace, writes in batch.writes.items():
            error = errors.get(namespace, "")
            self._failures += bool(error)
            for write in writes:
                if write.id and write.reply is not None:
                    answers.setdefault(write.reply, {}).setdefault(error, []).append(write.id)
                if not error:
                    self._tell(write)
        for reply, by_error in answers.items():
            for error, ids in by_error.items():
                reply(IndexDurable(ids, error))
        if self._batch.count and not self._submitted:
            self._flush()

    def _tell(self, write: _Write) -> None:
        if isinstance(write.change, AlarmCorrection):
            return  # came from the watcher itself
        alarm_ms = write.change.alarm_ms if isinstance(write.change, IndexRow) else None
        for watcher in self._watchers:
            watcher.alarm_indexed(write.actor, alarm_ms)

    # --- what hosts ask -----------------------------------------------------------------------------------------------
    def find_known(self, message: IndexFind, reply: Found) -> None:
        """Say whether the index has the object; questions of one turn share one visit to the worker."""
        if len(self._finds) >= INDEX_WRITES_WAITING_MAX:
            raise WireError(f"{len(self._finds)} objects wait to be looked up; the limit is {INDEX_WRITES_WAITING_MAX}")
        if not self._finds:
            asyncio.get_running_loop().call_soon(self._start_finds)
        self._finds.append((message, reply))

    def _start_finds(self) -> None:
        finds, self._finds = self._finds, []
        future = asyncio.get_running_loop().run_in_executor(self._worker, self._look_up, finds)
        future.add_done_callback(lambda done: _answer(finds, done))

    # --- reading ---------------------------------------------------------------------------------------------------
    async def get(self, namespace: str, identity: str) -> IndexRow | None:
        return await self._read(namespace, lambda index: index.get(identity), None)

    async def find(self, namespace: str, name: str) -> IndexRow | None:
        return await self._read(namespace, lambda index: index.find_by_name(name), None)

    async def page(self, namespace: str, after: str | None = None, limit: int = 100) -> tuple[IndexRow, ...]:
        """One page in the order of ids, beginning after that id."""
        return await self._read(namespace, lambda index: index.list(after, limit), ())

    async def names(self, namespace: str, limit: int) -> tuple[str, ...]:
        return await self._read(namespace, lambda index: index.names(limit), ())

    async def due(self, namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]:
        return await self._read(namespace, lambda index: index.due(before_ms, limit), ())

    async def count(self, namespace: str) -> int:
        return await self._read(namespace, lambda index: index.count(), 0)

    async def _read(self, namespace: str, read: Callable[[NamespaceIndex], T], nothing: T) -> T:
        """Whoever reads sees what was asked to be written before: the one worker keeps the order."""
        self._flush()

        def job() -> T:
            index = self._index(namespace, create=False)
            return nothing if index is None else read(index)

        return await asyncio.get_running_loop().run_in_executor(self._worker, job)

    # --- the end ---------------------------------------------------------------------------------------------------
    async def forget(self, namespace: str) -> None:
        """Close a namespace's file because its class was deleted; later writes would make a new one."""
        self._flush()
        await asyncio.get_running_loop().run_in_executor(self._worker, self._drop, namespace)

    async def close(self) -> None:
        """Write what waits, answer it, and close every file."""
        while self._batch.count or self._submitted:
            self._flush()
            await asyncio.gather(*self._submitted)
            await asyncio.sleep(0)  # the answers are callbacks of those futures
        await asyncio.get_running_loop().run_in_executor(self._worker, self._close_all)
        self._worker.shutdown()

    def statistics(self) -> IndexStatistics:
        return IndexStatistics(self._writes, self._transactions, self._batch.count, self._failures)

    # --- in the worker thread ----------------------------------------------------------------------------------------
    def _write(self, writes: dict[str, list[_Write]]) -> dict[str, str]:
        """Namespaces that failed, with the reason."""
        errors: dict[str, str] = {}
        for namespace, of_one in writes.items():
            try:
                failpoint("index.write")
                self._sync_folders(namespace, of_one)
                index = self._index(namespace, create=True)
                assert index is not None
                index.apply([write.change for write in of_one])
                failpoint("index.written")
            except Exception as error:
                # Whatever it was, the hosts that wait have to hear of it.
                errors[namespace] = str(error) or type(error).__name__
                # After a failed sync the pages may pass for clean although they never reached the disk; a fresh
                # connection reads the file as it is.
                self._drop(namespace)
        return errors

    def _sync_folders(self, namespace: str, writes: list[_Write]) -> None:
        """A row promises a file: its name must survive the power cut that the row survives."""
        new = [write.actor.id for write in writes if write.new_file]
        for folder in {self._paths.object_file(namespace, identity).parent for identity in new}:
            sync_folder(folder)

    def _look_up(self, finds: list[tuple[IndexFind, Found]]) -> list[IndexFound]:
        return [self._find_one(message) for message, _ in finds]

    def _find_one(self, message: IndexFind) -> IndexFound:
        try:
            index = self._index(message.actor.namespace, create=False)
            return IndexFound(message.id, index is not None and index.get(message.actor.id) is not None)
        except Exception as error:
            # Whatever it was, the host that waits has to hear of it.
            return IndexFound(message.id, False, str(error) or type(error).__name__)

    def _index(self, namespace: str, *, create: bool) -> NamespaceIndex | None:
        index = self._indexes.get(namespace)
        if index is None:
            path = self._paths.index_file(namespace)
            if not create and not path.exists():
                return None
            index = self._indexes[namespace] = NamespaceIndex(path)
        return index

    def _drop(self, namespace: str) -> None:
        index = self._indexes.pop(namespace, None)
        if index is not None:
            index.close()

    def _close_all(self) -> None:
        for namespace in list(self._indexes):
            self._drop(namespace)


def _answer(finds: list[tuple[IndexFind, Found]], done: asyncio.Future[list[IndexFound]]) -> None:
    if done.cancelled():
        return  # the gateway ends, and the hosts with it
    for (_, reply), answer in zip(finds, done.result(), strict=True):
        reply(answer)
