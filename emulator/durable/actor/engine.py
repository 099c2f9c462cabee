"""The engine port: the few things an actor asks of whatever runs it. Nothing here says that a file is local."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from durable.actor.sockets import SocketTable
from durable.clock import Clock
from durable.sdk.runtime import Runtime
from durable.storage.actor_store import ActorStore
from durable.wire.messages import ActorKey, Message
from durable.wire.timeline import Rings


class Engine(Protocol):
    """One host, as its actors see it."""

    loop: asyncio.AbstractEventLoop
    clock: Clock
    timeline: Rings
    """What is remembered of each object, by its id."""
    sockets: SocketTable
    compatibility_date: str
    exports: Any
    """What actors have as `ctx.exports`."""

    @property
    def durable_epoch(self) -> int: ...
    def send(self, message: Message) -> None: ...
    def commit(self, store: ActorStore) -> int:
        """The store's transaction was committed; returns the epoch that makes it durable."""
        ...

    async def sync(self, store: ActorStore) -> None:
        """Make every commit of the store durable now, whatever the durability; raises StorageError."""
        ...

    def when_durable(self, epoch: int, callback: Callable[[], None]) -> None: ...
    def index_put(self, key: ActorKey, alarm_ms: int | None, done: Callable[[str], None]) -> None:
        """Have the index say this before the commit; `done("")` when that is durable, else with the reason."""
        ...

    def is_kv_only(self, namespace: str) -> bool:
        """Whether the namespace's class was declared without SQLite."""
        ...

    def prepare_schema(self, actor: Any, state: Any) -> None:
        """Apply the migrations that the object lacks, as part of its constructor's turn; `state` is its `ctx`."""
        ...

    def carry(self, actor: Any, result: Any) -> Any:
        """What a caller gets of a result that is no plain value; raises DataCloneError."""
        ...

    def runtime(self, actor: Any) -> Runtime: ...
    def next_socket(self) -> int:
        """A socket number that no host of this emulator has used."""
        ...

    def begun(self, event: int) -> None:
        """Tell the gateway, before the handler runs, that this socket event will not be delivered twice."""
        ...

    def log(self, level: str, text: str, label: str) -> None: ...
    def log_failure(self, error: BaseException, label: str, method: str) -> None:
        """A failure of user code that no caller waits for."""
        ...

    def own_file(self, file: str) -> str | None:
        """What the developer calls a file of the project: `rooms/chat.py`; None for a package's file or ours."""
        ...

    def actor_gone(self, actor: Any) -> None:
        """The actor is evicted or broken; its store stays usable for the next activation."""
        ...
