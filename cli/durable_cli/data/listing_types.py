"""What is asked of a listing of objects, and a page of the answer. Knows neither files nor the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from durable.config.nearest import did_you_mean
from durable.errors import UserInputError

Sort = Literal["name", "size", "used", "created", "alarm"]
SORTS: Final[tuple[Sort, ...]] = ("name", "size", "used", "created", "alarm")

LIST_LIMIT: Final = 100
"""Objects of a page when no number is given."""


@dataclass(frozen=True)
class ListQuery:
    """`ListQuery("ChatRoom", name_glob="room-*", sort="size", limit=20)`

    Without a class: the objects of all of them. `sort` puts names from a to z, the largest, last used and newest first,
    and the next alarm first; `reverse` turns that. `after` is `ListPage.after` of the page before, asked with the same
    other words.
    """

    class_word: str | None = None
    name_glob: str | None = None
    sort: Sort = "name"
    reverse: bool = False
    live_only: bool = False
    limit: int = LIST_LIMIT
    after: str | None = None


@dataclass(frozen=True)
class ListedObject:
    """One object. `state` is a word of `durable.host.presence`, and `stopped` when no emulator runs.

    `bytes` counts its file and the log beside it; 0 for one in memory that has stored nothing, which has no times
    either. `schema_version` is None for a class without migrations, and where it could not be read.
    """

    class_name: str
    namespace: str
    id: str
    name: str | None
    bytes: int
    created_ms: int | None
    used_ms: int | None
    alarm_ms: int | None
    schema_version: int | None
    state: str
    sockets: int = 0

    @property
    def is_live(self) -> bool:
        return self.state in ("active", "idle", "pinned")


@dataclass(frozen=True)
class ListPage:
    """`after` is None on the last page; `count` is how many objects there are on all pages together.

    `now_ms` is the time by which alarms are due: the emulator's. `is_running` says whether one answered.
    """

    objects: tuple[ListedObject, ...]
    after: str | None = None
    count: int = 0
    now_ms: int = 0
    is_running: bool = False


def checked_sort(word: str) -> Sort:
    """Raises UserInputError."""
    for sort in SORTS:
        if word == sort:
            return sort
    raise UserInputError(f'--sort "{word}": one of {", ".join(SORTS)}', fix=did_you_mean(word, SORTS) or "--sort size")


def every_object(list_page: Callable[[ListQuery], ListPage], query: ListQuery) -> Iterator[ListedObject]:
    """The objects of all pages, a page in memory at a time: `every_object(door.list, ListQuery("ChatRoom"))`."""
    while True:
        page = list_page(query)
        yield from page.objects
        if page.after is None:
            return
        query = replace(query, after=page.after)
