"""Deleted classes: what is kept of them, and bringing one back; through the running emulator, or on the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from durable.errors import MigrationError
from durable_cli import console
from durable_cli.moments import shown_bytes, shown_moment
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client


def list_deleted(project: Project, *, as_json: bool) -> None:
    """The latest first."""
    kept = _deleted(project) if project.state.is_dir() else []
    if as_json:
        console.put_json(kept, indent=2)
        return
    for each in kept:
        objects = each["objects"]
        console.put_data(
            f"{each['snapshot']}  class {each['class']}, {objects} object{'s' * (objects != 1)}, "
            f"{shown_bytes(each['bytes'])}, deleted {shown_moment(each['deleted_ms'])}"
        )
    if kept:
        console.say("durable migrate restore-class SNAPSHOT brings one back.")
    else:
        console.say("No deleted class is kept.")


def restore(project: Project, word: str, into: str | None, *, as_json: bool) -> None:
    """Raises NotFoundError for a word that means nothing, MigrationError when its place is not there or taken."""
    answer = with_state(
        project,
        "durable migrate",
        on_files=lambda layout: _restore_on_files(project, layout, word, into),
        on_emulator=lambda client: client.post("/__durable/classes/restore", {"snapshot": word, "into": into}),
    )
    if as_json:
        console.put_json(answer, indent=2)
        return
    objects = cast("int", answer["objects"])
    console.say(f"{answer['into']} has the {objects} object{'s' * (objects != 1)} of {answer['snapshot']}.")


def _deleted(project: Project) -> list[dict[str, Any]]:
    def ask(client: Client) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", client.post("/__durable/classes/deleted", {})["deleted"])

    return with_state(
        project, "durable migrate", on_files=lambda layout: _deleted_on_files(project, layout), on_emulator=ask
    )


def _deleted_on_files(project: Project, layout: StateLayout) -> list[dict[str, Any]]:
    from durable.storage.class_life.applying import open_state
    from durable.storage.class_life.restoring import snapshots

    if not layout.state_file.exists():
        return []
    with open_state(layout) as state:
        return [each.to_json() for each in snapshots(state, layout, project.config.environment)]


def _restore_on_files(project: Project, layout: StateLayout, word: str, into: str | None) -> dict[str, object]:
    from durable.clock import SystemClock
    from durable.storage.class_life.applying import open_state
    from durable.storage.class_life.planning import pending_of
    from durable.storage.class_life.restoring import choose, restore_class

    with open_state(layout, create=False) as state:
        if not pending_of(project.config, state).is_empty:
            raise MigrationError("first apply what the configuration asks for", fix="durable migrate")
        chosen, place = choose(state, layout, project.config.environment, word, into)
        restore_class(state, layout, chosen, place, SystemClock())
        return chosen.to_json() | {"into": place.class_name}
