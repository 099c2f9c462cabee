"""Asks what is known of one object and what keeps it in memory, and has it leave memory. Looking wakes nobody.

Must not know how anything is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlencode

from durable.errors import UserInputError
from durable_cli.objects import Target, known_names, namespace_key, no_such_object, object_file, require_state
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout

Answer = dict[str, object]


def show(project: Project, target: Target) -> Answer:
    """`{"class": "Counter", "name": "home", "id": "…", "created_ms": …, "alarm_ms": None, "state": "idle", "pins": []}`

    More when it is in memory: see `durable.host.presence`. Raises NotFoundError, StateInUseError.
    """
    require_state(project)
    return with_state(
        project,
        "durable objects show",
        on_files=lambda layout: _on_files(project, layout, target),
        on_emulator=lambda client: client.post("/__durable/show", _question(target)),
    )


def evict(project: Project, target: Target) -> Answer:
    """As `show`, with `"evicted"`: False for an object that was not in memory.

    Raises NotFoundError, StateInUseError, and UserInputError for what is pinned, and when no emulator runs.
    """
    require_state(project)
    return with_state(
        project,
        "durable objects evict",
        on_files=_nothing_runs,
        on_emulator=lambda client: client.post("/__durable/evict", _question(target)),
    )


def evict_all(project: Project, class_word: str | None) -> Answer:
    """`{"evicted": 12, "pinned": [{"class": …, "name": …, "id": …, "pins": […]}], "pinned_count": 1}`

    Raises as `evict`; of one class when it is given.
    """
    require_state(project)
    question: Answer = {"all": True} if class_word is None else {"all": True, "class": class_word}
    return with_state(
        project,
        "durable objects evict",
        on_files=_nothing_runs,
        on_emulator=lambda client: client.post("/__durable/evict", question),
    )


def recent_events(project: Project, target: Target | None, limit: int) -> Answer:
    """What the running emulator remembers of an object, or of all: `{"events": [{"at_ms": …, "kind": "call", …}], …}`.

    Raises NotFoundError, StateInUseError, and UserInputError when no emulator runs.
    """
    require_state(project)

    def on_files(layout: StateLayout) -> NoReturn:
        raise UserInputError(
            "no emulator runs here, and what happened is kept in its memory only",
            fix="start durable dev, and use the object",
        )

    words = {"limit": str(limit)}
    if target is not None:
        words |= {"class": target.class_word, **({"name": target.name} if target.name is not None else {})}
        words |= {"id": target.id} if target.id is not None else {}
    return with_state(
        project,
        "durable objects events",
        on_files=on_files,
        on_emulator=lambda client: client.get(f"/__durable/events?{urlencode(words)}"),
    )


def _nothing_runs(_layout: StateLayout) -> NoReturn:
    raise UserInputError(
        "no emulator runs here, so no object is in memory: there is nothing to evict",
        fix="evict is for objects of a running durable dev",
    )


def _question(target: Target) -> Answer:
    return {"class": target.class_word, "name": target.name, "id": target.id}


def _on_files(project: Project, layout: StateLayout, target: Target) -> Answer:
    from durable.storage.index import NamespaceIndex

    key = namespace_key(project, layout, target.class_word)
    identity = object_file(layout, key, target).stem
    row = None
    if layout.index_file(key).is_file():  # opening it would make one
        index = NamespaceIndex(layout.index_file(key))
        try:
            row = index.get(identity)
        finally:
            index.close()
    if row is None:
        raise no_such_object(target, known_names(layout, key))
    bindings = {binding.name: binding.class_name for binding in project.config.bindings}
    return {
        "class": bindings.get(target.class_word, target.class_word), "name": row.name, "id": identity,
        "created_ms": row.created_ms, "alarm_ms": row.alarm_ms, "state": "stopped", "pins": [], "sockets": 0,
        "hibernatable_sockets": 0,
    }  # fmt: skip
