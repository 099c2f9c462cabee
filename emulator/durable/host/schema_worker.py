"""`python -m durable.host.schema_worker ROOT STATE ANSWERS`: migrates objects of a state that nobody serves.

Batches come as lines of JSON on standard input. One line per object goes to the open file of descriptor ANSWERS as soon
as the object is done, and an empty one to standard output when the batch is; the end of the input ends the process.
Whoever starts it holds the state lock, which it inherits. It runs user code: the `up` of .py files.

    {"todo": "migrate", "namespace": "Room-0123456789ab", "class": "Room", "objects": [["<64 hex>", "general"]]}
    {"id": "<64 hex>", "state": "migrated", "before": 1, "after": 2, "ms": 0.4, "error": "", …}

Nothing is synced here: one sync of the file system at the end is cheaper than one per object.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from durable import failpoints
from durable.actor import object_schema
from durable.actor.object_schema import FAILED, PENDING, Outcome
from durable.clock import SystemClock
from durable.errors import DurableError, MigrationError
from durable.host.guard import Guard
from durable.limits import GC_YOUNG_OBJECTS
from durable.schema.files import FOLDER, ClassSchema, read_class
from durable.storage.actor_store import ActorStore
from durable.storage.file_check import missing_file
from durable.storage.file_copy import copy_bytes
from durable.storage.layout import StateLayout
from durable.storage.schema_record import quick_checksums
from durable.storage.schema_snapshot import COPIED, SnapshotWriter
from durable.storage.transaction import EVERY_FRAME, has_file
from durable.wire.messages import ActorKey

_encode: Final = msgspec.json.Encoder().encode


def main() -> int:
    root, state, answers = sys.argv[1:4]
    # Kept apart from what user code prints: that goes where errors go.
    done = os.dup(1)
    os.dup2(2, 1)
    failpoints.arm_from_environment()
    # Nobody asks here how much memory SQLite has, and to keep count takes a lock at each allocation.
    apsw.shutdown()
    apsw.config(apsw.SQLITE_CONFIG_MEMSTATUS, False)
    apsw.initialize()
    Guard(state).install()
    sys.path.insert(0, root)
    worker = SchemaWorker(Path(root), StateLayout(Path(state)), int(answers))
    gc.freeze()
    gc.set_threshold(GC_YOUNG_OBJECTS)
    try:
        for line in sys.stdin:
            worker.run(json.loads(line))
            os.write(done, b"\n")
    except BrokenPipeError:
        # Whoever asked is gone; the object that was under way is done, and nobody will ask for another.
        os._exit(1)
    return 0


class SchemaWorker:
    """One process's share of a fleet run."""

    def __init__(self, root: Path, layout: StateLayout, answers: int) -> None:
        self._root = root
        self._layout = layout
        self._answers = answers
        self._parent = os.getppid()
        self._clock = SystemClock()
        self._schemas: dict[str, ClassSchema] = {}
        self._snapshots: dict[str, SnapshotWriter] = {}

    def run(self, batch: dict[str, Any]) -> None:
        """Every object of a batch, in order, each answered when it is done."""
        class_name, todo = str(batch["class"]), str(batch["todo"])
        schema = self._schemas.get(class_name)
        if schema is None:
            schema = self._schemas[class_name] = read_class(self._root / FOLDER / class_name)
        for identity, name in batch["objects"]:
            key = ActorKey(str(batch["namespace"]), identity, name)
            try:
                if schema.digest != batch["digest"]:
                    raise MigrationError("the files of migrations were changed while they were being applied")
                outcome = self._one(todo, key, schema, str(batch.get("snapshot", "")))
            except (DurableError, OSError) as error:
                outcome = Outcome(FAILED, 0, 0, error=str(error))
            os.write(self._answers, _encode({"id": identity, **outcome.to_json()}) + b"\n")
            if os.getppid() != self._parent:
                raise BrokenPipeError

    def _one(self, todo: str, key: ActorKey, schema: ClassSchema, snapshot: str) -> Outcome:
        path = self._layout.object_file(key.namespace, key.id)
        if todo == "look":
            found = self._look(path, schema)
            if found.state == PENDING and snapshot:
                self._snapshot(snapshot).add(path)
            return found
        if todo == "try":
            return self._try(path, key, schema)
        return self._migrate(path, key, schema, count_rows=False)

    def _snapshot(self, folder: str) -> SnapshotWriter:
        writer = self._snapshots.get(folder)
        if writer is None:
            writer = self._snapshots[folder] = SnapshotWriter(Path(folder) / f"objects-{os.getpid()}.tar")
        return writer

    def _look(self, path: Path, schema: ClassSchema) -> Outcome:
        applied = quick_checksums(path)
        if applied is not None:
            return object_schema.judge(schema, applied)
        if not has_file(path):
            raise missing_file(path)
        store = self._store(path)
        try:
            return object_schema.look(store, schema)
        finally:
            store.end()

    def _migrate(self, path: Path, key: ActorKey, schema: ClassSchema, *, count_rows: bool) -> Outcome:
        store = self._store(path)
        try:
            return object_schema.migrate_store(
                store, schema, key, self._clock.wall_ms(), self._root, count_rows=count_rows
            )
        finally:
            store.end()

    def _store(self, path: Path) -> ActorStore:
        # Without its history: the log that the run adds to is kept all the same, and to note the moment of one commit
        # takes longer than to make it. A restore to a moment after it finds the state before, and waking migrates that.
        store = ActorStore(path, clock=self._clock, on_first_write=_nobody)
        store.synced_frames = EVERY_FRAME
        return store

    def _try(self, path: Path, key: ActorKey, schema: ClassSchema) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="durable-try-", dir=self._layout.state.parent) as folder:
            copy = Path(folder) / path.name
            for suffix in COPIED:
                if os.path.exists(f"{path}{suffix}"):
                    copy_bytes(Path(f"{path}{suffix}"), Path(f"{copy}{suffix}"), None, sync=False)
            return self._migrate(copy, key, schema, count_rows=True)


def _nobody() -> None:
    """The object is in the index already."""


if __name__ == "__main__":
    sys.exit(main())
