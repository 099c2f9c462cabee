"""Deletes objects: one, every one of a class, or all of them after a snapshot. Asks nobody: whoever calls has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from durable_cli.data.door import DataDoor
from durable_cli.data.listing_types import ListQuery
from durable_cli.data.progress import Progress
from durable_cli.data.snapshots import Snapshot, take
from durable_cli.data.whole_class import each_object, raise_failures
from durable_cli.project import Project


@dataclass(frozen=True, slots=True)
class ResetClass:
    """What became of one class; `snapshot` None: it had no objects."""

    class_name: str
    deleted: int
    snapshot: Snapshot | None


def delete_all(door: DataDoor, class_word: str, told: Progress) -> int:
    """How many there were. Raises StorageError at the end, with the others gone, when some could not be deleted."""
    deleted = 0
    failures: list[str] = []
    for _ in each_object(door, class_word, lambda _, target: door.delete(target), told, failures):
        deleted += 1
    raise_failures(failures, "deleted")
    return deleted


def reset_class(
    door: DataDoor, project: Project, class_name: str, now_ms: int, work: Path, copied: Progress, told: Progress
) -> ResetClass:
    """Take a snapshot of every object, then delete them; nothing is deleted when one cannot be copied."""
    if not door.list(ListQuery(class_name, limit=1)).count:
        return ResetClass(class_name, 0, None)
    snapshot = take(door, project, class_name, None, None, now_ms, work, copied)
    return ResetClass(class_name, delete_all(door, class_name, told), snapshot)
