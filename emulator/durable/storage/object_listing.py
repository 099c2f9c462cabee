"""A page of the objects of some classes, in the order that is wished: from their indexes and the sizes of their files.

Opens no object's file. What is in memory only (who lives, who was used a moment ago) is handed in by whoever knows.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from durable.storage.index_pages import IndexPages, KnownObject, Start
from durable.storage.layout import StateLayout
from durable.storage.listing_place import ListingPlace

_COLUMNS: Final[Mapping[str, str]] = {"name": "name", "created": "created_ms", "alarm": "alarm_ms"}
"""What the index sorts by; the others come from the files."""
SORTS: Final = (*_COLUMNS, "size", "used")
_LARGEST_FIRST: Final = frozenset({"size", "used", "created"})
_FILE: Final = ".sqlite"
_LOG: Final = ".sqlite-wal"
_ID_LETTERS: Final = 64


class Space(NamedTuple):
    """One class that is listed, and its namespace."""

    class_name: str
    key: str


@dataclass(frozen=True, slots=True)
class Wish:
    """`sort` is one of `SORTS`: names from a to z, the next alarm first, the others the largest or latest first."""

    sort: str
    limit: int
    reverse: bool = False
    name_glob: str | None = None
    after: ListingPlace | None = None

    @property
    def descending(self) -> bool:
        return (self.sort in _LARGEST_FIRST) != self.reverse


@dataclass(frozen=True, slots=True)
class StoredObject:
    """`bytes` of its file and log, and when these were written last; 0 and None for an object without a file."""

    space: Space
    known: KnownObject
    bytes: int
    used_ms: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """`after` is None on the last page; `count` is that of all pages."""

    objects: tuple[StoredObject, ...]
    after: ListingPlace | None
    count: int


class _Files(NamedTuple):
    bytes: int
    used_ms: int | None


_NO_FILES: Final = _Files(0, None)


class _Entry(NamedTuple):
    """Comparable: what it is sorted by comes first. None comes last in both directions."""

    value: str | int | None
    class_name: str
    id: str


def list_objects(
    layout: StateLayout,
    spaces: Sequence[Space],
    wish: Wish,
    *,
    among: Mapping[str, Mapping[str, str | None]] | None = None,
    used_ms: Mapping[str, int] | None = None,
) -> Listing:
    """Raises StorageError, StorageCorruptError.

    `among` narrows the listing to these objects: names by ids by namespaces. `used_ms` says by ids when objects were
    used that are in memory; the files of an object that was only read do not tell.
    """
    with ExitStack() as stack:
        ordered = sorted(spaces, reverse=wish.descending)
        pages = {
            space: IndexPages(layout.index_file(space.key), None if among is None else among.get(space.key, {}))
            for space in ordered
        }
        for each in pages.values():
            stack.callback(each.close)
        files = _FileFacts(layout, used_ms or {}, is_narrow=among is not None)
        found = _from_indexes(pages, wish) if wish.sort in _COLUMNS else _from_files(pages, wish, files)
        shown = found[: wish.limit]
        objects = tuple(StoredObject(space, known, *files.of(space, known.id)) for _, space, known in shown)
        last = shown[-1][0] if len(found) > wish.limit else None
        place = None if last is None else ListingPlace(wish.sort, *last)
        return Listing(objects, place, sum(each.count_named(wish.name_glob) for each in pages.values()))


_Found = list[tuple[_Entry, Space, KnownObject]]


def _from_indexes(pages: Mapping[Space, IndexPages], wish: Wish) -> _Found:
    """One more than wished for, if there are more."""
    column, wanted = _COLUMNS[wish.sort], wish.limit + 1
    found: _Found = []
    for space, index in pages.items():
        # By name means class by class: the same name in two classes is no neighbourhood.
        is_by_class = wish.sort == "name"
        start = _start(space, wish)
        if is_by_class and wish.after is not None and space.class_name != wish.after.class_name:
            if (space.class_name < wish.after.class_name) != wish.descending:
                continue
            start = None
        left = wanted - len(found) if is_by_class else wanted
        rows = index.ordered(column, left, descending=wish.descending, glob=wish.name_glob, start=start)
        found += [(_Entry(_value(row, wish.sort), space.class_name, row.id), space, row) for row in rows]
        if is_by_class and len(found) == wanted:
            break
    if wish.sort != "name" and len(pages) > 1:
        valued = [each for each in found if each[0].value is not None]
        valueless = [each for each in found if each[0].value is None]
        valued.sort(reverse=wish.descending)
        valueless.sort(key=lambda each: each[0][1:], reverse=wish.descending)
        found = (valued + valueless)[:wanted]
    return found


def _start(space: Space, wish: Wish) -> Start | None:
    """Where the objects of a class begin that come after the place, which may be of another class."""
    place = wish.after
    if place is None:
        return None
    if place.class_name == space.class_name:
        return Start(place.value, place.id)
    comes_later = (space.class_name > place.class_name) != wish.descending
    return Start(place.value, None, is_before=comes_later)


def _value(row: KnownObject, sort: str) -> str | int | None:
    return {"name": row.name, "created": row.created_ms, "alarm": row.alarm_ms}[sort]


def _from_files(pages: Mapping[Space, IndexPages], wish: Wish, files: _FileFacts) -> _Found:
    """The same; every file is looked at, and no more is remembered than goes on the page."""
    wanted = wish.limit + 1
    after = None if wish.after is None else _Entry(wish.after.value, wish.after.class_name, wish.after.id)
    spaces = {space.class_name: space for space in pages}

    def entries() -> Iterator[_Entry]:
        for space, index in pages.items():
            for identity in index.ids(wish.name_glob):
                facts = files.of_next(space, identity)
                entry = _Entry(facts.bytes if wish.sort == "size" else facts.used_ms or 0, space.class_name, identity)
                if after is None or (entry < after if wish.descending else entry > after):
                    yield entry

    pick = heapq.nlargest if wish.descending else heapq.nsmallest
    picked = pick(wanted, entries())
    found: _Found = []
    for entry in picked:
        space = spaces[entry.class_name]
        known = pages[space].known([entry.id]).get(entry.id)
        if known is not None:
            found.append((entry, space, known))
    return found


class _FileFacts:
    """Sizes and times of objects' files."""

    def __init__(self, layout: StateLayout, used_ms: Mapping[str, int], *, is_narrow: bool) -> None:
        self._layout = layout
        self._used_ms = used_ms
        self._is_narrow = is_narrow
        self._folder = ("", "")
        self._in_folder: dict[str, _Files] | None = None

    def of(self, space: Space, identity: str) -> _Files:
        """Of one object of a page."""
        path = str(self._layout.object_file(space.key, identity))
        facts = _NO_FILES
        for each in (path, f"{path}-wal"):
            with contextlib.suppress(OSError):
                facts = _and(facts, os.stat(each, follow_symlinks=False))
        return self._with_memory(identity, facts)

    def of_next(self, space: Space, identity: str) -> _Files:
        """Of one of very many: asked in the order of ids it reads each folder once, at half the price."""
        if self._is_narrow:
            return self.of(space, identity)
        if (space.key, identity[:2]) != self._folder:
            self._folder = space.key, identity[:2]
            self._in_folder = _folder_facts(self._layout.object_file(space.key, identity).parent)
        if self._in_folder is None:
            return self.of(space, identity)
        return self._with_memory(identity, self._in_folder.get(identity, _NO_FILES))

    def _with_memory(self, identity: str, facts: _Files) -> _Files:
        used_ms = self._used_ms.get(identity)
        return facts if used_ms is None else _Files(facts.bytes, max(used_ms, facts.used_ms or 0))


def _folder_facts(folder: Path) -> dict[str, _Files] | None:
    """None when a file went away meanwhile, or the folder is not there: each is then asked by itself."""
    found = dict[str, _Files]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((_FILE, _LOG)):
                    identity = entry.name[:_ID_LETTERS]
                    found[identity] = _and(found.get(identity, _NO_FILES), entry.stat(follow_symlinks=False))
    except OSError:
        return None
    return found


def _and(facts: _Files, one: os.stat_result) -> _Files:
    if not stat.S_ISREG(one.st_mode):
        return facts
    used_ms = one.st_mtime_ns // 1_000_000
    return _Files(facts.bytes + one.st_size, used_ms if facts.used_ms is None else max(facts.used_ms, used_ms))
