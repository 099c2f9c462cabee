"""`durable migrate`: bring the recorded classes up to date with `[[migrations]]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from durable_cli.options import JsonOption, Place, with_place

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client
    from durable_cli.migrating.fleet import FleetOutcome
    from durable_cli.project import Project


class Word(StrEnum):
    """What to do; without a word: apply."""

    status = "status"
    apply = "apply"
    deleted = "deleted"
    restore_class = "restore-class"
    new = "new"


@dataclass(frozen=True)
class Outcome:
    """`applied` are the tags recorded now; `entries` what was done, or would be: `MigrationPlan.to_json()`."""

    applied: tuple[str, ...]
    entries: tuple[dict[str, object], ...]


@with_place
def migrate(
    place: Place,
    word: Annotated[
        Word,
        typer.Argument(
            metavar="status|apply|new|deleted|restore-class",
            show_default=False,
            help="Show what is pending, do it, make a migration of a class's objects, list deleted classes, or bring "
            "one back. Default: apply.",
        ),
    ] = Word.apply,
    rest: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CLASS MESSAGE] [SNAPSHOT]", show_default=False,
            help="What new is for and what it does; what restore-class brings back.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR", show_default=False,
            help="The project that transferred_classes take from. Default: the folder beside this one that has it.",
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            "--into", metavar="CLASS", show_default=False,
            help="The class that restore-class fills. Default: the one of the same name.",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="NAME", show_default=False, help="Migrate the objects of this name alone."),
    ] = None,
    continue_on_error: Annotated[
        bool, typer.Option("--continue-on-error", help="Go on with the other objects when one fails.")
    ] = False,
    snapshot: Annotated[
        bool, typer.Option("--snapshot/--no-snapshot", help="Copy objects before they are migrated.")
    ] = True,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Apply the [[migrations]] (or exports) of the configuration that are not applied yet, in their order.

    Works with the emulator running and stopped. Doing it twice does nothing the second time. The data of a deleted
    class is moved to .durable/deleted, not destroyed; restore-class brings it back.
    """

    project = place.open()
    words = rest or []
    if word in (Word.deleted, Word.restore_class):
        from durable_cli.migrating.deleted_classes import list_deleted, restore

        if word is Word.deleted:
            _refuse_more(words, 0)
            list_deleted(project, as_json=json)
        else:
            _refuse_more(words, 1)
            restore(project, words[0], into, as_json=json)
        return
    if word is Word.new:
        _make_new(project, words)
        return
    _refuse_more(words, 0)
    from durable_cli.migrating.fleet import FleetOptions, raise_failures, read_files, run_fleet

    only_look = dry_run or word is Word.status
    schemas = read_files(project)
    outcome = _migrated(project, source, only_look=only_look)
    todo = "status" if word is Word.status else "try" if dry_run else "migrate"
    fleet = run_fleet(project, schemas, FleetOptions(todo, only, continue_on_error, snapshot, keep_rows=json))
    _print(outcome, project, fleet, only_look=only_look, as_json=json)
    if fleet is not None:
        raise_failures(fleet)


def _make_new(project: Project, words: Sequence[str]) -> None:
    from durable_cli import console
    from durable_cli.migrating.new_file import make_migration
    from durable_cli.report import shown_path

    console.put_data(shown_path(make_migration(project, words)))


def _refuse_more(words: Sequence[str], wanted: int) -> None:
    from durable.errors import UserInputError

    if len(words) > wanted:
        raise UserInputError(f"unexpected argument: {words[wanted]}", fix="durable migrate --help")
    if len(words) < wanted:
        raise UserInputError("restore-class needs to know what: SNAPSHOT or CLASS", fix="durable migrate deleted")


def _migrated(project: Project, source: Path | None, *, only_look: bool) -> Outcome:
    from durable_cli.project import with_state

    if only_look and not project.state.is_dir():  # taking the lock would make it
        return _without_state(project)
    return with_state(
        project,
        "durable migrate",
        on_files=lambda layout: _on_files(project, layout, source, only_look=only_look),
        on_emulator=lambda client: _through_emulator(client, source, only_look=only_look),
    )


def _without_state(project: Project) -> Outcome:
    from durable.storage.class_life.planning import pending_of

    return Outcome((), tuple(pending_of(project.config, None).to_json()))


def _on_files(project: Project, layout: StateLayout, source: Path | None, *, only_look: bool) -> Outcome:
    import random

    from durable.clock import SystemClock
    from durable.storage.class_life.applying import apply_plan, open_state
    from durable.storage.class_life.donors import donors_of
    from durable.storage.class_life.planning import pending_of

    environment = project.config.environment
    if only_look and not layout.state_file.exists():
        return _without_state(project)
    with open_state(layout) as state:
        plan = pending_of(project.config, state)
        if not only_look:
            apply_plan(
                plan,
                state,
                layout,
                environment=environment,
                clock=SystemClock(),
                source=random.SystemRandom(),
                find_donor=donors_of(project.config, layout.state, source),
            )
        return Outcome(tuple(state.applied_tags(environment)), tuple(plan.to_json()))


def _through_emulator(client: Client, source: Path | None, *, only_look: bool) -> Outcome:
    body: dict[str, object] = {"dry_run": only_look}
    if source is not None:
        body["folder"] = str(source.absolute())
    answer = client.post("/__durable/migrate", body)
    applied, entries = answer.get("applied"), answer.get("steps")
    if not (isinstance(applied, list) and isinstance(entries, list)):
        raise ValueError(f"the emulator's answer is not about migrations: {', '.join(answer)}")
    return Outcome(
        tuple(str(tag) for tag in cast("list[object]", applied)), tuple(cast("list[dict[str, object]]", entries))
    )


def _print(outcome: Outcome, project: Project, fleet: FleetOutcome | None, *, only_look: bool, as_json: bool) -> None:
    from durable_cli import console
    from durable_cli.migrating.fleet import describe as describe_objects
    from durable_cli.migrating.fleet import summary as summary_of_objects

    if as_json:
        import msgspec

        document: dict[str, object] = {
            "environment": project.config.environment,
            "applied": list(outcome.applied),
            "steps": list(outcome.entries),
            "dry_run": only_look,
        }
        if fleet is not None:
            document["objects"] = fleet.to_json()
        # Ten thousand objects take the standard library's indented form a third of a second.
        console.put_data(msgspec.json.format(msgspec.json.encode(document)).decode())
        return
    for line in describe(outcome.entries):
        console.put_data(line)
    console.say(summary(outcome, only_look=only_look))
    if fleet is not None:
        for line in describe_objects(fleet):
            console.put_data(line)
        console.say(summary_of_objects(fleet))


def summary(outcome: Outcome, *, only_look: bool) -> str:
    """`Applied v2.`, `Nothing to do: v1 is applied.`"""
    pending = [str(entry["tag"]) for entry in outcome.entries]
    if pending and only_look:
        return f"Pending: {', '.join(pending)}. durable migrate applies {'it' if len(pending) == 1 else 'them'}."
    if pending:
        return f"Applied {', '.join(pending)}.{_kept(outcome.entries)}"
    if not outcome.applied:
        return "Nothing to do: the configuration has no [[migrations]]."
    return f"Nothing to do: {', '.join(outcome.applied)} {'is' if len(outcome.applied) == 1 else 'are'} applied."


def _kept(entries: Sequence[dict[str, object]]) -> str:
    """How to get back what was deleted."""
    from durable.storage.migration_plan import DeleteClass, MigrationPlan

    deleted = [step.class_name for step in MigrationPlan.from_json(entries).steps() if isinstance(step, DeleteClass)]
    if not deleted:
        return ""
    return f" What {', '.join(deleted)} left is kept: durable migrate deleted lists it."


def describe(entries: Sequence[dict[str, object]]) -> list[str]:
    """One line per step: `v2: create class ChatRoom`."""
    from durable.storage.migration_plan import MigrationPlan

    return MigrationPlan.from_json(entries).describe()
