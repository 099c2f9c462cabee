"""An index of objects for many threads of one command: what they write at the same time becomes one transaction."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing

from durable.storage.index import Change, IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout


class _Write:
    """Changes of one thread, and what became of them."""

    def __init__(self, changes: list[Change]) -> None:
        self.changes = changes
        self.is_done = False
        self.error: BaseException | None = None


class SharedIndex:
    """Of one namespace; opened by the first that writes, or reads where there is one."""

    def __init__(self, layout: StateLayout, namespace: str) -> None:
        self._path = layout.index_file(namespace)
        self._ending = ExitStack()
        self._opened: NamespaceIndex | None = None
        self._disk = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Write] = []

    def get(self, identity: str) -> IndexRow | None:
        with self._disk:
            if self._opened is None and not self._path.is_file():  # opening it would make one
                return None
            return self._index().get(identity)

    def apply(self, *changes: Change) -> None:
        """They are on disk when this returns. Raises StorageError."""
        write = _Write(list(changes))
        with self._lock:
            self._waiting.append(write)
        with self._disk:
            if not write.is_done:
                self._write_all()
        if write.error is not None:
            raise write.error

    def _write_all(self) -> None:
        with self._lock:
            writes, self._waiting = self._waiting, []
        error: BaseException | None = None
        try:
            self._index().apply(change for write in writes for change in write.changes)
        except BaseException as failure:
            error = failure
        for write in writes:
            write.error, write.is_done = error, True

    def _index(self) -> NamespaceIndex:
        if self._opened is None:
            self._opened = self._ending.enter_context(closing(NamespaceIndex(self._path)))
        return self._opened

    def close(self) -> None:
        self._ending.close()
