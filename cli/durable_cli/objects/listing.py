"""Lists objects, a page at a time: through the running emulator, or from the index and the files under the lock.

Wakes nobody and creates nothing. Must not know how a page is shown.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast

from durable.errors import UserInputError
from durable.limits import LIST_OBJECTS_MAX
from durable_cli.data.listing_types import ListedObject, ListPage, ListQuery
from durable_cli.objects.finding import no_such_class, require_state
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable.storage.object_listing import Space, StoredObject
    from durable_cli.client import Client

_OURS: Final = ("class_name", "namespace")


def listed(project: Project, query: ListQuery) -> ListPage:
    """Raises NotFoundError, StateInUseError, and UserInputError for a query that makes no sense."""
    check_query(query)
    require_state(project)
    return with_state(
        project,
        "durable objects list",
        on_files=lambda layout: list_files(project, layout, query),
        on_emulator=lambda client: list_emulator(client, query),
    )


def check_query(query: ListQuery) -> None:
    """Raises UserInputError."""
    from durable.storage.listing_place import place_of

    if not 1 <= query.limit <= LIST_OBJECTS_MAX:
        raise UserInputError(f"--limit {query.limit}: between 1 and {LIST_OBJECTS_MAX}", fix="--limit 100")
    if query.after is not None:
        place_of(query.after, query.sort)


def list_emulator(client: Client, query: ListQuery) -> ListPage:
    question: dict[str, object] = {
        "class": query.class_word, "name_glob": query.name_glob, "sort": query.sort, "reverse": query.reverse,
        "live_only": query.live_only, "limit": query.limit, "after": query.after,
    }  # fmt: skip
    return page_from_answer(client.post("/__durable/objects", question))


def page_from_answer(answer: dict[str, object]) -> ListPage:
    """From what `/__durable/objects` says."""
    objects = cast("list[dict[str, Any]]", answer["objects"])
    return ListPage(
        tuple(ListedObject(class_name=each.pop("class"), **each) for each in objects),
        cast("str | None", answer["after"]),
        cast("int", answer["count"]),
        cast("int", answer["now_ms"]),
        is_running=True,
    )


def page_document(page: ListPage) -> dict[str, object]:
    """The same, for --json; without the names that only we use."""
    objects = [
        {"class": each.class_name, **{key: value for key, value in asdict(each).items() if key not in _OURS}}
        for each in page.objects
    ]
    return {"objects": objects, "after": page.after, "count": page.count, "now_ms": page.now_ms}


def list_files(project: Project, layout: StateLayout, query: ListQuery) -> ListPage:
    """The caller holds the lock. Nothing is in memory, so `live_only` finds nothing."""
    from durable.storage.listing_place import place_of
    from durable.storage.object_listing import Wish, list_objects

    spaces, now_ms = _spaces(project, layout, query.class_word)
    if query.live_only:
        return ListPage((), now_ms=now_ms)
    place = None if query.after is None else place_of(query.after, query.sort)
    wish = Wish(query.sort, query.limit, query.reverse, query.name_glob, place)
    listing = list_objects(layout, spaces, wish)
    after = None if listing.after is None else listing.after.to_word()
    return ListPage(_described(project, layout, listing.objects), after, listing.count, now_ms)


def describe_file(project: Project, layout: StateLayout, class_name: str, key: str, identity: str) -> ListedObject:
    """One object of which something is known, as `list_files` describes it."""
    from durable.storage.object_listing import Space, Wish, list_objects

    listing = list_objects(layout, [Space(class_name, key)], Wish("name", 1), among={key: {identity: None}})
    return _described(project, layout, listing.objects)[0]


def _described(project: Project, layout: StateLayout, objects: tuple[StoredObject, ...]) -> tuple[ListedObject, ...]:
    from durable.schema.files import FOLDER
    from durable.storage.schema_record import quick_checksums

    migrated = {
        name for name in {each.space.class_name for each in objects} if (project.config.root / FOLDER / name).is_dir()
    }

    def version(stored: StoredObject) -> int | None:
        if stored.space.class_name not in migrated:
            return None
        applied = quick_checksums(layout.object_file(stored.space.key, stored.known.id))
        return None if applied is None else len(applied)

    return tuple(
        ListedObject(
            class_name=each.space.class_name,
            namespace=each.space.key,
            id=each.known.id,
            name=each.known.name,
            bytes=each.bytes,
            created_ms=each.known.created_ms,
            used_ms=each.used_ms,
            alarm_ms=each.known.alarm_ms,
            schema_version=version(each),
            state="stopped",
        )
        for each in objects
    )


def _spaces(project: Project, layout: StateLayout, class_word: str | None) -> tuple[list[Space], int]:
    """Which classes are meant, and the emulator's time.

    A class of the configuration that was never used has no place yet, and no objects.
    """
    from durable.clock import SystemClock
    from durable.storage.class_life.applying import open_state
    from durable.storage.object_listing import Space

    found, clock = dict[str, str](), SystemClock()
    if layout.state_file.is_file():
        with open_state(layout) as state:
            found = {row.class_name: row.key for row in state.namespaces(project.config.environment)}
            clock.set(state.clock)
    bindings = {binding.name: binding.class_name for binding in project.config.bindings}
    if class_word is None:
        return [Space(class_name, key) for class_name, key in found.items()], clock.wall_ms()
    class_name = bindings.get(class_word, class_word)
    if class_name not in found and class_name not in bindings.values():
        raise no_such_class(class_word, [*found, *bindings])
    return [Space(class_name, found[class_name])] if class_name in found else [], clock.wall_ms()
