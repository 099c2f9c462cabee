"""Asks what is known of one object and what keeps it in memory, and has it leave memory. Looking wakes nobody.

Must not know how anything is shown.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlencode

from durable.errors import UserInputError
from durable_cli.objects.finding import Target, known_names, namespace_key, no_such_object, object_file, require_state
from durable_cli.objects.listing import describe_file, page_from_answer
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from pathlib import Path

    from durable.storage.layout import StateLayout
    from durable_cli.client import Client
    from durable_cli.data.listing_types import ListedObject

Answer = dict[str, object]


def show(project: Project, target: Target) -> Answer:
    """`{"class": "Counter", "name": "home", "id": "…", "created_ms": …, "used_ms": …, "alarm_ms": None, "bytes": 8192,
    "history_bytes": 4096, "schema_version": None, "state": "idle", "pins": [], …}`

    More when it is in memory: see `durable.host.presence`. Raises NotFoundError, StateInUseError.
    """
    require_state(project)
    return with_state(
        project,
        "durable objects show",
        on_files=lambda layout: _on_files(project, layout, target),
        on_emulator=lambda client: _through_emulator(project, client, target),
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


def _through_emulator(project: Project, client: Client, target: Target) -> Answer:
    from durable.storage.layout import StateLayout

    answer = client.post("/__durable/show", _question(target))
    page = client.post("/__durable/objects", {"class": target.class_word, "ids": [answer["id"]]})
    return answer | _stored(StateLayout(project.state), page_from_answer(page).objects[0])


def _on_files(project: Project, layout: StateLayout, target: Target) -> Answer:
    key = namespace_key(project, layout, target.class_word)
    identity = object_file(layout, key, target).stem
    bindings = {binding.name: binding.class_name for binding in project.config.bindings}
    class_name = bindings.get(target.class_word, target.class_word)
    found = describe_file(project, layout, class_name, key, identity)
    if found.created_ms is None:
        raise no_such_object(target, known_names(layout, key))
    return {
        "class": class_name, "name": found.name, "id": identity, "created_ms": found.created_ms,
        "alarm_ms": found.alarm_ms, "state": "stopped", "pins": [], "sockets": 0, "hibernatable_sockets": 0,
        **_stored(layout, found),
    }  # fmt: skip


def _stored(layout: StateLayout, found: ListedObject) -> Answer:
    history = layout.object_file(found.namespace, found.id).with_suffix(".history")
    return {
        "bytes": found.bytes, "used_ms": found.used_ms, "history_bytes": _folder_bytes(history),
        "schema_version": found.schema_version,
    }  # fmt: skip


def _folder_bytes(folder: Path) -> int:
    """What becomes too old goes away while it is counted."""
    count = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                count += entry.stat(follow_symlinks=False).st_size
    return count
