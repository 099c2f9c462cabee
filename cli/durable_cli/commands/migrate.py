"""`durable migrate`: bring the recorded classes up to date with `[[migrations]]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast

import typer

from durable_cli.options import ConfigOption, EnvironmentOption, JsonOption, PersistOption

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable.storage.migration_plan import MigrationPlan
    from durable_cli.client import Client
    from durable_cli.project import Project


class Word(StrEnum):
    """What to do; without a word: apply."""

    status = "status"
    apply = "apply"


@dataclass(frozen=True)
class Outcome:
    """`applied` are the tags recorded now; `entries` what was done, or would be: `MigrationPlan.to_json()`."""

    applied: tuple[str, ...]
    entries: tuple[dict[str, object], ...]


def migrate(
    word: Annotated[
        Word,
        typer.Argument(
            metavar="status|apply", show_default=False, help="Show what is pending, or do it. Default: apply."
        ),
    ] = Word.apply,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    env: EnvironmentOption = None,
    persist_to: PersistOption = None,
) -> None:
    """Apply the [[migrations]] of the configuration that are not applied yet, in their order.

    Works with the emulator running and stopped. Doing it twice does nothing the second time. The data of a deleted
    class is moved to .durable/deleted, not destroyed.
    """
    from durable_cli.project import open_project, with_state

    project = open_project(config, env, persist_to)
    only_look = dry_run or word is Word.status
    if only_look and not project.state.is_dir():  # taking the lock would make it
        outcome = _without_state(project)
    else:
        outcome = with_state(
            project,
            "durable migrate",
            on_files=lambda layout: _on_files(project, layout, only_look=only_look),
            on_emulator=lambda client: _through_emulator(client, only_look=only_look),
        )
    _print(outcome, project, only_look=only_look, as_json=json)


def _without_state(project: Project) -> Outcome:
    from durable.storage import migrations

    return Outcome((), tuple(migrations.plan(project.config.migrations, (), ()).to_json()))


def _on_files(project: Project, layout: StateLayout, *, only_look: bool) -> Outcome:
    import random

    from durable.clock import SystemClock
    from durable.storage import migrations
    from durable.storage.state_db import StateDatabase

    environment = project.config.environment
    if only_look and not layout.state_file.exists():
        return _without_state(project)
    with StateDatabase(layout.state_file) as state:
        plan = migrations.plan(
            project.config.migrations, state.applied_tags(environment), state.namespaces(environment)
        )
        if not only_look:
            # Also without pending entries: it finishes what a crash left half done.
            migrations.apply_plan(
                plan, state, layout, environment=environment, clock=SystemClock(), source=random.SystemRandom()
            )
        return Outcome(tuple(state.applied_tags(environment)), tuple(plan.to_json()))


def _through_emulator(client: Client, *, only_look: bool) -> Outcome:
    answer = client.post("/__durable/migrate", {"dry_run": only_look})
    applied, entries = answer.get("applied"), answer.get("steps")
    if not (isinstance(applied, list) and isinstance(entries, list)):
        raise ValueError(f"the emulator's answer is not about migrations: {', '.join(answer)}")
    return Outcome(
        tuple(str(tag) for tag in cast("list[object]", applied)), tuple(cast("list[dict[str, object]]", entries))
    )


def _print(outcome: Outcome, project: Project, *, only_look: bool, as_json: bool) -> None:
    from durable_cli import console

    if as_json:
        import json

        document = {
            "environment": project.config.environment,
            "applied": list(outcome.applied),
            "steps": list(outcome.entries),
            "dry_run": only_look,
        }
        console.put_data(json.dumps(document, indent=2))
        return
    for line in describe(outcome.entries):
        console.put_data(line)
    console.say(summary(outcome, only_look=only_look))


def summary(outcome: Outcome, *, only_look: bool) -> str:
    """`Applied v2.`, `Nothing to do: v1 is applied.`"""
    pending = [str(entry["tag"]) for entry in outcome.entries]
    if pending and only_look:
        return f"Pending: {', '.join(pending)}. durable migrate applies {'it' if len(pending) == 1 else 'them'}."
    if pending:
        return f"Applied {', '.join(pending)}."
    if not outcome.applied:
        return "Nothing to do: the configuration has no [[migrations]]."
    return f"Nothing to do: {', '.join(outcome.applied)} {'is' if len(outcome.applied) == 1 else 'are'} applied."


def describe(entries: Sequence[dict[str, object]]) -> list[str]:
    """One line per step: `v2: create class ChatRoom`."""
    plan = _plan_from_json(entries)
    return plan.describe()


def _plan_from_json(entries: Sequence[dict[str, object]]) -> MigrationPlan:
    from durable.config import Location
    from durable.storage.migration_plan import (
        CreateClass,
        DeleteClass,
        MigrationPlan,
        PlannedMigration,
        RenameClass,
        Step,
    )

    def step_from_json(step: object) -> Step:
        match step:
            case {"step": "create_class", "class": str(name), "sqlite": bool(sqlite)}:
                return CreateClass(name, sqlite)
            case {"step": "rename_class", "from": str(source), "to": str(target)}:
                return RenameClass(source, target)
            case {"step": "delete_class", "class": str(name)}:
                return DeleteClass(name)
            case _:
                raise ValueError(f"not a step of a migration: {step!r}")

    nowhere = Location("", 0, 0)
    return MigrationPlan(
        (),
        tuple(
            PlannedMigration(
                str(entry["tag"]), tuple(step_from_json(step) for step in cast("list[object]", entry["steps"])), nowhere
            )
            for entry in entries
        ),
    )
