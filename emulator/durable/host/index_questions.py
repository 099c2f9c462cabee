"""What a host tells and asks the index of objects, which is the gateway's: each message waits for its answer here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from durable.wire import messages as wire
from durable.wire.messages import ActorKey

if TYPE_CHECKING:
    from durable.host.host import Host


class IndexQuestions:
    """Callbacks get "" when what was asked for is durable, else the reason why it is not."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._last_id = 0
        self._changes: dict[int, Callable[[str], None]] = {}
        self._finds: dict[int, Callable[[bool, str], None]] = {}

    @property
    def changes_waiting(self) -> int:
        """Changes that the gateway has not answered."""
        return len(self._changes)

    def put(self, key: ActorKey, alarm_ms: int | None, done: Callable[[str], None], *, new_file: bool = False) -> None:
        """Have the index say that the object exists, and when its alarm is due."""
        number = self._ask(done)
        self._host.send(wire.IndexPut(number, key, alarm_ms, self._host.clock.wall_ms(), new_file))

    async def stored(self, key: ActorKey, alarm_ms: int | None, *, new_file: bool = False) -> str:
        """The same, waited for; returns what callbacks get."""
        answer: asyncio.Future[str] = self._host.loop.create_future()
        self.put(key, alarm_ms, lambda error: None if answer.done() else answer.set_result(error), new_file=new_file)
        return await answer

    async def remove(self, key: ActorKey) -> str:
        """Have the index forget an object that stores nothing; returns what callbacks get."""
        answer: asyncio.Future[str] = self._host.loop.create_future()
        number = self._ask(lambda error: None if answer.done() else answer.set_result(error))
        self._host.send(wire.IndexRemove(number, key))
        return await answer

    def find(self, key: ActorKey, found: Callable[[bool, str], None]) -> None:
        """Ask whether the index knows the object: `found(known, error)`."""
        self._last_id += 1
        self._finds[self._last_id] = found
        self._host.send(wire.IndexFind(self._last_id, key))

    async def is_known(self, key: ActorKey) -> bool:
        """The same, waited for; False when the index cannot be read."""
        answer: asyncio.Future[bool] = self._host.loop.create_future()
        self.find(key, lambda known, _: None if answer.done() else answer.set_result(known))
        return await answer

    def durable(self, message: wire.IndexDurable) -> None:
        for number in message.ids:
            done = self._changes.pop(number, None)
            if done is not None:
                done(message.error)

    def found(self, message: wire.IndexFound) -> None:
        found = self._finds.pop(message.id, None)
        if found is not None:
            found(message.known, message.error)

    def _ask(self, done: Callable[[str], None]) -> int:
        self._last_id += 1
        self._changes[self._last_id] = done
        return self._last_id
