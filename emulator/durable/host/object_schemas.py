"""The migrations of a host's classes: applied when an object wakes, before its constructor, and when a tool asks.

The files are those that were on the disk when the program was loaded: new ones come with a reload, as new code does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from durable import values
from durable.actor import object_schema
from durable.actor.actor import Actor
from durable.actor.object_schema import Outcome
from durable.actor.state import ActorState
from durable.errors import MigrationError
from durable.schema.files import ClassSchema, read_schemas, without_sql
from durable.storage.actor_store import ActorStore
from durable.storage.file_check import missing_file
from durable.storage.layout import make_folder
from durable.storage.object_image import copy_image
from durable.wire import messages as wire

if TYPE_CHECKING:
    from durable.host.host import Host


class ObjectSchemas:
    """Of one host; empty for a project without a folder of migrations."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._root = Path()
        self._class_names: dict[str, str] = {}
        self._schemas: dict[str, ClassSchema] = {}

    def load(self, load: wire.Load) -> None:
        """Read and check the files. Raises MigrationError, and the program then counts as one that cannot be loaded."""
        self._root = Path(load.root)
        self._class_names = {space.key: space.class_name for space in load.namespaces}
        self._schemas = self._read()
        for space in load.namespaces:
            if not space.sqlite and space.key in self._schemas:
                raise without_sql(space.class_name)

    def _read(self) -> dict[str, ClassSchema]:
        found = read_schemas(self._root, self._class_names.values())
        return {key: found[name] for key, name in self._class_names.items() if name in found}

    def _nothing(self, namespace: str) -> ClassSchema:
        return ClassSchema(self._class_names.get(namespace, namespace), ())

    def prepare(self, actor: Actor, state: ActorState) -> None:
        """Part of the constructor's turn: what it raises is the constructor's failure, and takes its writes along."""
        schema = self._schemas.get(actor.key.namespace)
        if schema is None:
            if actor.store.is_open:
                # Without any files the code may still be older than the data.
                self._nothing(actor.key.namespace).pending(actor.store.schema.checksums())
            return
        object_schema.apply_pending(actor.store, schema, actor.key, self._host.clock.wall_ms())
        state.schema_version = schema.version

    # --- for tools ----------------------------------------------------------------------------------------------------
    async def answer(self, request: wire.MigrateObject) -> None:
        """Do it between two turns of the object, and answer whoever asked."""
        host, key = self._host, request.actor
        actor = await host.registry.lend(key.id)
        epoch = 0
        try:
            store = host.registry.store(key)
            outcome = self._outcome(request, store, is_live=actor is not None)
            if outcome.state == object_schema.MIGRATED and request.todo == "migrate":
                epoch = host.commit(store)
            host.send(wire.CallReply(request.id, epoch, values.encode(outcome.to_json())))
        except Exception as error:
            # Whoever asked waits for an answer, whatever it is.
            host.send(wire.Failed(request.id, 0, host.report(error, key.id[:8], "migrate"), 400))
        finally:
            host.registry.give_back(key.id, actor, epoch)

    def _outcome(self, request: wire.MigrateObject, store: ActorStore, *, is_live: bool) -> Outcome:
        if not store.has_file:
            raise missing_file(store.path)
        schema = self._schema(request)
        if request.todo == "look":
            return object_schema.look(store, schema)
        if request.todo == "try":
            return self._try(request, store, schema)
        if is_live:
            # It was brought up to date when it woke; if it has deleted everything since, its next waking does so again.
            found = object_schema.look(store, schema)
            return Outcome(object_schema.CURRENT, found.before, found.after)
        if request.snapshot and object_schema.look(store, schema).state == object_schema.PENDING:
            folder = Path(request.snapshot) / request.actor.id[:2]
            make_folder(folder)
            copy_image(store, folder / f"{request.actor.id}.sqlite", sync=False)
        return object_schema.migrate_store(store, schema, request.actor, self._host.clock.wall_ms(), self._root)

    def _schema(self, request: wire.MigrateObject) -> ClassSchema:
        namespace = request.actor.namespace
        schema = self._schemas.get(namespace)
        if schema is not None and schema.digest == request.digest:
            return schema
        if request.todo != "migrate":
            schema = self._read().get(namespace)
            if schema is not None:
                return schema
        raise MigrationError("the files of migrations changed after the program was loaded", fix="reload")

    def _try(self, request: wire.MigrateObject, store: ActorStore, schema: ClassSchema) -> Outcome:
        found = object_schema.look(store, schema)
        if found.state != object_schema.PENDING:
            return found
        clock = self._host.clock
        # Beside the state: /tmp may be memory, and the object is on this disk already.
        beside = store.path.parents[3]
        with tempfile.TemporaryDirectory(prefix="durable-try-", dir=beside) as folder:
            path = Path(folder) / store.path.name
            copy_image(store, path, sync=False)
            copy = ActorStore(path, clock=clock, on_first_write=lambda: None)
            try:
                return object_schema.migrate_store(
                    copy, schema, request.actor, clock.wall_ms(), self._root, count_rows=True
                )
            finally:
                copy.end()
