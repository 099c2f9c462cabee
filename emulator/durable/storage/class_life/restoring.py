"""What deleted classes left, and bringing one of them back in place of a class that has no objects."""

from __future__ import annotations

from msgspec import Struct

from durable.clock import Clock
from durable.config.nearest import did_you_mean
from durable.errors import MigrationError, NotFoundError
from durable.failpoints import failpoint
from durable.storage.class_life.moves import finish_moves
from durable.storage.index import NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import DeletedNamespace, NamespaceRow, StateDatabase

__all__ = ["Snapshot", "restore_class", "snapshots"]


class Snapshot(Struct, frozen=True):
    """One deleted class whose data is still there; `name` is its folder in `deleted`."""

    name: str
    class_name: str
    deleted_ms: int
    objects: int
    bytes: int
    namespace: DeletedNamespace

    def to_json(self) -> dict[str, object]:
        """`{"snapshot": "Room-9f3a0c21b7de-20231114T221320Z", "class": "Room", "deleted_ms": 0, "objects": 2, …}`"""
        return {
            "snapshot": self.name,
            "class": self.class_name,
            "deleted_ms": self.deleted_ms,
            "objects": self.objects,
            "bytes": self.bytes,
        }


def snapshots(state_db: StateDatabase, layout: StateLayout, environment: str | None) -> list[Snapshot]:
    """The latest first; one whose folder somebody removed is no snapshot any more."""
    found: list[Snapshot] = []
    for row in state_db.deleted_namespaces(environment):
        folder = layout.deleted_folder / row.folder
        if folder.is_dir():
            sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
            objects = sum(1 for _ in folder.glob("??/*.sqlite"))
            found.append(Snapshot(row.folder, row.class_name, row.deleted_ms, objects, sum(sizes), row))
    return found


def choose(
    state_db: StateDatabase, layout: StateLayout, environment: str | None, word: str, into: str | None
) -> tuple[Snapshot, NamespaceRow]:
    """The snapshot that `word` means, by its name or its class, and the empty namespace whose place it will take.

    Raises `NotFoundError` for a word that means none, `MigrationError` when its place is not there or taken.
    """
    kept = snapshots(state_db, layout, environment)
    snapshot = next((each for each in kept if word in (each.name, each.class_name)), None)
    if snapshot is None:
        words = [word for each in kept for word in (each.name, each.class_name)]
        known = f"{did_you_mean(word, words)} There are {', '.join(each.name for each in kept)}." if kept else ""
        raise NotFoundError(f"no deleted class is kept as {word}", fix=known.strip() or "there are none")
    return snapshot, _place(state_db, layout, environment, snapshot, into or snapshot.class_name)


def restore_class(
    state_db: StateDatabase, layout: StateLayout, chosen: Snapshot, place: NamespaceRow, clock: Clock
) -> None:
    """Bring a snapshot back under its old key, so that its objects keep their ids, names, alarms and history.

    No host may have a file of the place open.
    """
    state_db.restore(chosen.namespace, place.class_name, clock.wall_ms())
    failpoint("class_life.recorded")
    finish_moves(state_db, layout)


def _place(
    state_db: StateDatabase, layout: StateLayout, environment: str | None, snapshot: Snapshot, class_name: str
) -> NamespaceRow:
    row = next((row for row in state_db.namespaces(environment) if row.class_name == class_name), None)
    if row is None:
        key = "new_sqlite_classes" if snapshot.namespace.sqlite else "new_classes"
        raise MigrationError(
            f"there is no class {class_name} for the objects of {snapshot.name} to live in",
            fix=f'[[migrations]]\ntag = "a new one"\n{key} = ["{class_name}"]\nthen durable migrate, and this again',
        )
    if row.sqlite != snapshot.namespace.sqlite:
        raise MigrationError(
            f"{class_name} is not of the kind of storage that {snapshot.name} is of",
            fix="restore it into a class that is: --into CLASS",
        )
    if _has_objects(layout, row.key):
        raise MigrationError(
            f"{class_name} has objects, and those of {snapshot.name} would take their place",
            fix="restore it into a class that has none: --into CLASS",
        )
    return row


def _has_objects(layout: StateLayout, key: str) -> bool:
    folder = layout.namespace_folder(key)
    if any(True for _ in folder.glob("??/*.sqlite")):
        return True
    if not layout.index_file(key).exists():
        return False
    index = NamespaceIndex(layout.index_file(key))
    try:
        return index.count() > 0
    finally:
        index.close()
