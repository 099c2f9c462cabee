"""Objects of class Counter, made and seen with the engine's own storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durable.clock import SystemClock
from durable.sdk.ids import id_from_name, unique_id
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase

FAR_MS = 4_000_000_000_000


class Stored:
    """Of one project that was migrated."""

    def __init__(self, project: Path) -> None:
        self.layout = StateLayout(project / ".durable" / "state")
        with StateDatabase(self.layout.state_file) as state:
            self.key = state.namespaces(None)[0].key
        self.layout.ensure_namespace(self.key)

    def id_of(self, name: str | None) -> str:
        return id_from_name(self.key, name) if name is not None else unique_id(self.key)

    def store(self, identity: str) -> ActorStore:
        path = self.layout.object_file(self.key, identity)
        return ActorStore(path, clock=SystemClock(), on_first_write=lambda: None, keep_days=30)

    def make(self, name: str | None, **keys: Any) -> str:
        identity = self.id_of(name)
        store = self.store(identity)
        store.sql.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, body)")
        store.sql.exec("INSERT INTO t VALUES (1, ?)", str(name))
        store.kv.put_many({"name": name, **keys})
        store.alarm.set(FAR_MS)
        store.commit()
        store.recovery.note_commit()
        store.close()
        index = NamespaceIndex(self.layout.index_file(self.key))
        index.put_many([IndexRow(identity, name, 1, 1, FAR_MS)])
        index.close()
        return identity

    def keys(self, name: str) -> dict[str, Any]:
        store = self.store(self.id_of(name))
        try:
            return store.kv.list()
        finally:
            store.close()

    def rows(self) -> dict[str, IndexRow]:
        index = NamespaceIndex(self.layout.index_file(self.key))
        try:
            return {row.name or row.id: row for row in index.list()}
        finally:
            index.close()

    def files(self) -> set[str]:
        return {path.stem for path in self.layout.namespace_folder(self.key).glob("??/*.sqlite")}
