"""The same thing done to every object of a class: a few at a time, progress told, failures collected until the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from durable.errors import NotFoundError, StorageError
from durable.limits import LIST_OBJECTS_MAX
from durable_cli.data.door import DataDoor, each_in_parallel
from durable_cli.data.listing_types import ListedObject, ListQuery, every_object
from durable_cli.data.progress import Progress
from durable_cli.objects.finding import Target

Result = TypeVar("Result")

_FAILURES_SHOWN_MAX: Final = 5


def each_object(
    door: DataDoor,
    class_word: str,
    work: Callable[[ListedObject, Target], Result],
    told: Progress,
    failures: list[str],
) -> Iterator[tuple[ListedObject, Result]]:
    """The objects for which `work` returned, with what it did; each is told of when the caller is done with it.

    One that has stored nothing, or was deleted meanwhile, is passed over; the text of a StorageError joins `failures`.
    """

    def worked(item: tuple[int, int, ListedObject]) -> Result:
        # By its id: names may look like anything, and some objects have none.
        return work(item[2], Target(class_word, id=item[2].id))

    for (number, total, each), outcome in each_in_parallel(worked, _numbered(door, class_word)):
        match outcome:
            case NotFoundError():
                pass
            case StorageError():
                failures.append(str(outcome))
            case Exception():
                raise outcome
            case _:
                yield each, outcome
        told(number, total)


def raise_failures(failures: list[str], done: str) -> None:
    if failures:
        first = "\n".join(failures[:_FAILURES_SHOWN_MAX])
        more = f"\nand {len(failures) - _FAILURES_SHOWN_MAX} more" if len(failures) > _FAILURES_SHOWN_MAX else ""
        raise StorageError(
            f"{len(failures)} object{'s' * (len(failures) != 1)} could not be {done}; the others were:\n{first}{more}"
        )


def _numbered(door: DataDoor, class_word: str) -> Iterator[tuple[int, int, ListedObject]]:
    """(number from 1, how many, object)"""
    total = door.list(ListQuery(class_word, limit=1)).count
    # The page after one whose objects are deleted meanwhile begins where it ended, so nothing is passed over.
    for number, each in enumerate(every_object(door.list, ListQuery(class_word, limit=LIST_OBJECTS_MAX)), start=1):
        yield number, max(number, total), each
