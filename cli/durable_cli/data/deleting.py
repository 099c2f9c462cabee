"""Deletes objects: one, every one of a class, or all of them after a snapshot. Asks nobody: whoever calls has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from durable.errors import NotFoundError, StorageError
from durable_cli.data.door import DataDoor, each_in_parallel
from durable_cli.data.exporting import Progress, objects_of, raise_failures, target_of
from durable_cli.data.listing_types import ListedObject, ListQuery
from durable_cli.data.snapshots import Snapshot, take
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

    def delete(item: tuple[int, int, ListedObject]) -> None:
        door.delete(target_of(item[2], class_word))

    # The page after one whose objects are gone begins where it ended, so nothing is passed over.
    for (number, total, _), outcome in each_in_parallel(delete, objects_of(door, class_word)):
        match outcome:
            case None:
                deleted += 1
            case NotFoundError():
                pass  # it had stored nothing, or was deleted meanwhile
            case StorageError():
                failures.append(str(outcome))
            case _:
                raise outcome
        told(number, total)
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
