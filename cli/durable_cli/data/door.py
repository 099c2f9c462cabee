"""The one door to whole objects, whether an emulator runs or not: find, copy, replace, delete and list them.

Behind it is either the running emulator or the files under the lock; whoever goes through it need not know which.
Nothing here wakes an object, and only `replace` with `create` makes one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from durable_cli.objects.finding import Target, require_state
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client
    from durable_cli.data.listing_types import ListPage, ListQuery

Answer = dict[str, object]
Names = list[str]
"""Inside the doors `list` is a method."""
Item = TypeVar("Item")
Result = TypeVar("Result")

DOOR_THREADS: Final = 8
"""Objects that are moved at the same time: a disk syncs many files as fast as one."""


@dataclass(frozen=True)
class FoundObject:
    """What a `Target` stands for; `is_known` says whether there is such an object now."""

    class_name: str
    namespace: str
    id: str
    name: str | None
    is_known: bool


class DataDoor(Protocol):
    """For any number of threads.

    Every method raises NotFoundError for a class that is not there, and StorageError for files that cannot be used.
    """

    @property
    def is_running(self) -> bool:
        """Whether an emulator answers."""
        ...

    def find(self, target: Target) -> FoundObject:
        """Also an object that is not there. Raises UserInputError for what is no name and no id."""
        ...

    def copy(self, target: Target, path: Path, *, sync: bool = True) -> int:
        """Write the object's state after its last turn to a file that only its owner may read; returns its bytes.

        One SQLite file without a log, which replaces what has that name when it is complete; on the disk by then,
        unless `sync` is False. Raises NotFoundError, and UserInputError when the file cannot be made.
        """
        ...

    def replace(self, target: Target, image: Path, *, create: bool) -> Answer:
        """`{"undo": "<bookmark>" | None, "bytes": 8192, "alarm_ms": 1700000000000 | None, "created": False}`

        Make a file as `copy` wrote it the object's state; the file stays as it is. A live object is reset. Of an object
        whose own file was damaged, `"damaged": "<folder>"` says where in `lost+found` that is kept. Raises
        NotFoundError for an object that is not there, unless `create`; UserInputError for a file that is no object.
        """
        ...

    def delete(self, target: Target) -> Answer:
        """`{"undo": "<bookmark>" | None}`, and `damaged` as above: the object with its alarm. Raises NotFoundError."""
        ...

    def list(self, query: ListQuery) -> ListPage: ...

    def class_names(self) -> Names:
        """Classes that have or may have objects in this environment."""
        ...


def each_in_parallel(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[tuple[Item, Result | Exception]]:
    """What `work` returned or raised for each item, in their order, a few at a time: most of its time goes to the disk.

    `for target, answer in each_in_parallel(door.delete, targets)`. A caller that stops early ends the rest.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()

    def outcome() -> tuple[Item, Result | Exception]:
        item, future = waiting.popleft()
        try:
            return item, future.result()
        except Exception as error:
            return item, error

    with ThreadPoolExecutor(DOOR_THREADS) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) >= 2 * DOOR_THREADS:
                    yield outcome()
            while waiting:
                yield outcome()
        finally:
            for _, future in waiting:
                future.cancel()


def with_door(project: Project, what: str, work: Callable[[DataDoor], Result]) -> Result:
    """Call `work` with the door that is open: the lock is held all the while, or a running emulator is asked.

    `what` names us to others while we hold the lock. Raises NotFoundError when nothing is stored, StateInUseError.
    """
    require_state(project)

    def on_files(layout: StateLayout) -> Result:
        # Imported here: apsw is not needed when an emulator runs.
        from durable_cli.data.files_door import FilesDoor

        with closing(FilesDoor(project, layout)) as door:
            return work(door)

    def on_emulator(client: Client) -> Result:
        from durable_cli.data.emulator_door import EmulatorDoor

        return work(EmulatorDoor(client))

    return with_state(project, what, on_files=on_files, on_emulator=on_emulator)
