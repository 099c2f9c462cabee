"""An object with history, its commits, and copies of its folder as a crash at a named point would leave it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from durable import failpoints
from durable.clock import ManualClock
from durable.storage.actor_store import ActorStore

KEEP_DAYS = 30
ID = "ab" * 32
ROTATION = (
    "rotation.sealed",
    "rotation.checkpointed",
    "rotation.log_moved",
    "rotation.times_moved",
    "rotation.log_synced",
    "rotation.head_written",
    "rotation.base_made",
    "rotation.settled",
)


class Object:
    """One object in a folder of its own; `open` again to see what its files hold."""

    def __init__(self, folder: Path, clock: ManualClock, *, keep_days: int = KEEP_DAYS) -> None:
        self.folder = folder
        self.clock = clock
        self.file = folder / f"{ID}.sqlite"
        self.history = folder / f"{ID}.history"
        self.keep_days = keep_days
        self._stores: list[ActorStore] = []

    def open(self, *, keep_days: int | None = None) -> ActorStore:
        self.close()
        days = self.keep_days if keep_days is None else keep_days
        store = ActorStore(self.file, clock=self.clock, on_first_write=lambda: None, keep_days=days)
        self._stores.append(store)
        return store

    def close(self) -> None:
        while self._stores:
            self._stores.pop().close()

    def put(self, store: ActorStore, **values: Any) -> str:
        """One commit, a second after the last one; its bookmark."""
        self.clock.advance(1)
        store.kv.put_many(values)
        return self.commit(store)

    def commit(self, store: ActorStore) -> str:
        assert store.commit()
        store.recovery.note_commit()
        return store.recovery.bookmark()

    def restore(self, store: ActorStore, at: str | int, nonce: int = 0) -> int | None:
        """Bring the object back; returns its alarm."""
        _, restore = store.prepare_restore(at, nonce)
        alarm = restore.build()
        self.clock.advance(1)
        restore.decide(self.clock.wall_ms())
        return alarm

    def names(self) -> set[str]:
        return {path.name for path in self.history.iterdir()} if self.history.exists() else set()


def contents(store: ActorStore) -> dict[str, Any]:
    return store.kv.list()


@contextmanager
def images_at(names: tuple[str, ...], folder: Path, images: Path) -> Iterator[dict[str, Path]]:
    """At each pass of these failpoints, a copy of the folder as a crash there would leave it."""
    taken: dict[str, Path] = {}

    def taker(name: str):
        def take() -> None:
            image = images / f"{len(taken):02}-{name}"
            shutil.copytree(folder, image)
            taken[image.name] = image

        return take

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(failpoints.arm(name, taker(name)))
        yield taken
