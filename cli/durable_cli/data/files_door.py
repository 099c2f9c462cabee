"""The data door onto the files of a state directory whose lock is held.

The index and the files change in the order that hosts keep: a crash in between leaves an object as it was, or as it is
to be.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from durable.clock import SystemClock
from durable.errors import NotFoundError
from durable.failpoints import failpoint
from durable.storage.actor_store import ActorStore
from durable.storage.class_life.applying import open_state
from durable.storage.file_check import missing_file
from durable.storage.index import IndexRemoval, IndexRow
from durable.storage.layout import StateLayout
from durable.storage.object_image import copy_image
from durable.storage.replacing import make_empty, prepare_replacement, remove_empty, stores_nothing_yet
from durable_cli.data.door import Answer, FoundObject, Names
from durable_cli.data.shared_index import SharedIndex
from durable_cli.objects.finding import Target, known_names, namespace_key, no_such_object, object_file
from durable_cli.project import Project

if TYPE_CHECKING:
    from durable_cli.data.listing_types import ListPage, ListQuery


class FilesDoor:
    """For any number of threads, one for an object. Keeps the indexes open that it has used: `close` when done."""

    is_running = False

    def __init__(self, project: Project, layout: StateLayout) -> None:
        self._project = project
        self._layout = layout
        self._keys: dict[str, str] = {}
        self._bindings = {binding.name: binding.class_name for binding in project.config.bindings}
        self._indexes: dict[str, SharedIndex] = {}
        self._clock = SystemClock()
        with open_state(layout) as state:
            self._clock.set(state.clock)
            self._class_names = [row.class_name for row in state.namespaces(project.config.environment)]

    def close(self) -> None:
        for index in self._indexes.values():
            index.close()

    def class_names(self) -> Names:
        return [*self._class_names]

    def list(self, query: ListQuery) -> ListPage:
        from durable_cli.objects.listing import list_files

        return list_files(self._project, self._layout, query)

    # --- one object -----------------------------------------------------------------------------------------------
    def find(self, target: Target) -> FoundObject:
        key = self._namespace(target)
        path = object_file(self._layout, key, target)
        row = self._index(key).get(path.stem)
        name = row.name if row is not None and row.name is not None else target.name
        class_name = self._bindings.get(target.class_word, target.class_word)
        with self._store(path) as store:
            return FoundObject(class_name, key, path.stem, name, row is not None or store.has_file)

    def copy(self, target: Target, path: Path, *, sync: bool = True) -> int:
        found = self._known(target)
        with self._store(self._file(found)) as store:
            if not store.has_file:
                raise missing_file(store.path)
            if not store.exists:
                raise self._no_such_object(target, found)
            return copy_image(store, path, sync=sync)

    def replace(self, target: Target, image: Path, *, create: bool) -> Answer:
        found = self.find(target) if create else self._known(target)
        index = self._index(found.namespace)
        with self._store(self._file(found)) as store:
            created = stores_nothing_yet(store)
            replacement = prepare_replacement(store, image)
            alarm = replacement.build()
            now, size = self._clock.wall_ms(), replacement.bytes
            row = index.get(found.id)
            new = IndexRow(found.id, found.name, row.created_ms if row is not None else now, now, alarm)
            if created:
                make_empty(store)
            # An earlier alarm reaches the index before it is the object's, a later one after it.
            if created or row is None or (alarm is not None and (row.alarm_ms is None or alarm < row.alarm_ms)):
                index.apply(new)
            failpoint("door.row_made")
            replacement.decide(now)
            if not created:
                index.apply(new)
        return {**replacement.answer(created=created), "bytes": size, "alarm_ms": alarm, "created": created}

    def delete(self, target: Target) -> Answer:
        found = self._known(target)
        with self._store(self._file(found)) as store:
            answer: Answer = {"undo": None}
            if store.has_file:
                replacement = prepare_replacement(store, None)
                replacement.build()
                replacement.decide(self._clock.wall_ms())
                answer = {**replacement.answer()}
            failpoint("door.emptied")
            self._index(found.namespace).apply(IndexRemoval(found.id))
            if store.has_file:
                remove_empty(store)
        return answer

    # --- finding --------------------------------------------------------------------------------------------------
    def _namespace(self, target: Target) -> str:
        if target.class_word not in self._keys:
            self._keys[target.class_word] = namespace_key(self._project, self._layout, target.class_word)
        return self._keys[target.class_word]

    def _known(self, target: Target) -> FoundObject:
        found = self.find(target)
        if not found.is_known:
            raise self._no_such_object(target, found)
        return found

    def _no_such_object(self, target: Target, found: FoundObject) -> NotFoundError:
        return no_such_object(target, known_names(self._layout, found.namespace))

    def _file(self, found: FoundObject) -> Path:
        return self._layout.object_file(found.namespace, found.id)

    @contextmanager
    def _store(self, path: Path) -> Generator[ActorStore]:
        days = self._project.config.dev.pitr_days
        store = ActorStore(path, clock=self._clock, on_first_write=lambda: None, keep_days=days)
        with closing(store):
            yield store

    def _index(self, key: str) -> SharedIndex:
        # Not looked up first: two threads must not make two.
        return self._indexes.setdefault(key, SharedIndex(self._layout, key))
