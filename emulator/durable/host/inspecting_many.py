"""One query of many objects: sleeping ones a few at a time in a thread, live ones one by one between their turns.

A sleeping object's file is opened for the query alone, and its events wait for as long as that takes; so only as many
files are lent at once as are read in a moment. Nobody is woken, and nothing is written.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from durable import values
from durable.errors import DurableError, StorageError
from durable.limits import (
    QUERY_BATCH_BYTES,
    QUERY_BATCH_SECONDS,
    QUERY_BUSY_SECONDS_MAX,
    QUERY_LENT_OBJECTS_MAX,
    QUERY_LENT_SECONDS,
    QUERY_OBJECT_BYTES_MAX,
)
from durable.storage.file_check import missing_file
from durable.storage.quick_look import look_quickly
from durable.storage.sql.answers import Answers, size_of
from durable.storage.sql.inspection import Inspection
from durable.storage.sql.parameters import Parameters
from durable.wire.messages import ActorKey, CallReply, Failed, InspectMany

if TYPE_CHECKING:
    from durable.host.host import Host

_encode: Final = msgspec.msgpack.Encoder().encode

Looked = list[Inspection] | DurableError | None
"""What came of one file; None when it has to be opened as its actor does."""


async def inspect_many(host: Host, request: InspectMany) -> None:
    """Answer for as many of the objects as a moment and a message hold, in their order."""
    try:
        asked = Inquiry(host, request)
        await asked.run()
        host.send(CallReply(request.id, asked.epoch, _encode((asked.done, asked.answers.to_json()))))
    except Exception as error:
        # Whoever asked waits for an answer, whatever it is.
        host.send(Failed(request.id, 0, host.report(error, "", "query"), 400))


class Inquiry:
    """`done` counts the objects that `answers` has, those that have vanished meanwhile included."""

    def __init__(self, host: Host, request: InspectMany) -> None:
        self.answers = Answers()
        self.done = 0
        self.epoch = 0
        """Of the last write that is seen in the answers and may not be on the disk yet."""
        self._host = host
        self._request = request
        self._parameters: Parameters = values.decode(request.parameters) if request.parameters else ()
        self._bytes = 0
        self._group = 1
        """How many files to lend next."""

    async def run(self) -> None:
        until = time.monotonic() + QUERY_BATCH_SECONDS
        actors = self._request.actors
        while self.done < len(actors):
            # One at least, or whoever asked would ask for ever.
            if self.done and (self._bytes >= QUERY_BATCH_BYTES or time.monotonic() > until):
                return
            sleeping = self._sleeping(actors)
            if sleeping:
                await self._look_at(sleeping)
            else:
                await self._ask(actors[self.done])
                self.done += 1

    def _sleeping(self, actors: list[ActorKey]) -> list[ActorKey]:
        """The next ones, as far as nobody has their files."""
        found: list[ActorKey] = []
        for actor in actors[self.done : self.done + self._group]:
            if not self._host.registry.is_at_rest(actor.id):
                break
            found.append(actor)
        return found

    async def _look_at(self, actors: list[ActorKey]) -> None:
        host, registry = self._host, self._host.registry
        self._check_ours()
        files = [registry.file_of(actor) for actor in actors]
        for actor in actors:
            registry.lend_sleeping(actor.id)
        began = time.monotonic()
        try:
            looked = await host.loop.run_in_executor(None, self._look_in_thread, files)
        finally:
            for actor in actors:
                registry.give_back(actor.id, None)
        if time.monotonic() - began > QUERY_LENT_SECONDS:
            self._group = 1
        else:
            self._group = min(2 * self._group, QUERY_LENT_OBJECTS_MAX)
        for actor, found in zip(actors, looked, strict=False):
            if found is None:
                await self._ask(actor)
            else:
                self._take(actor, found)
        self.done += len(looked)

    def _look_in_thread(self, files: list[Path]) -> list[Looked]:
        """As many as a message holds, in their order."""
        request = self._request
        found: list[Looked] = []
        size = 0
        for file in files:
            if size >= QUERY_BATCH_BYTES:
                break
            looked: Looked
            try:
                looked = look_quickly(
                    file, request.sql, self._parameters, rows_max=request.rows_max,
                    bytes_max=QUERY_OBJECT_BYTES_MAX, seconds_max=request.seconds_max,
                )  # fmt: skip
            except DurableError as error:
                looked = error
            else:
                size += size_of(looked[-1]) if looked else 0
            found.append(looked)
        return found

    async def _ask(self, actor: ActorKey) -> None:
        """Through the object's own connection, when no turn of it runs."""
        host, request = self._host, self._request
        try:
            async with asyncio.timeout(QUERY_BUSY_SECONDS_MAX):
                live = await host.registry.lend(actor.id)
        except TimeoutError:
            self._take(actor, StorageError(f"is busy, and was for {QUERY_BUSY_SECONDS_MAX:g} seconds"))
            return
        try:
            self._check_ours()
            store = host.registry.store(actor)
            if not store.has_file:
                if await host.index.is_known(actor):
                    self._take(actor, missing_file(store.path))
                return
            found = await host.loop.run_in_executor(
                None,
                lambda: store.inspect(
                    request.sql, self._parameters, write=False, rows_max=request.rows_max,
                    bytes_max=QUERY_OBJECT_BYTES_MAX, seconds_max=request.seconds_max,
                ),
            )  # fmt: skip
            self.epoch = max(self.epoch, store.undurable_epoch)
            self._take(actor, found)
        except DurableError as error:
            self._take(actor, error)
        finally:
            host.registry.give_back(actor.id, live)

    def _check_ours(self) -> None:
        if self._host.registry.is_closed:
            # Of no object: whoever asked turns to the next process.
            raise RuntimeError("the process that had these objects is being replaced")

    def _take(self, actor: ActorKey, found: list[Inspection] | DurableError) -> None:
        label = actor.id if actor.name is None else actor.name
        if isinstance(found, DurableError):
            self.answers.fail(label, str(found))
            self._bytes += len(label)
        else:
            self._bytes += self.answers.add(label, found[-1])
