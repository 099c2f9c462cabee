"""Configured migrations against recorded state: what is to be done, or why it cannot be; and doing it.

Semantics of the platform (developers.cloudflare.com/durable-objects/reference/durable-objects-migrations): an ordered
list, each tag applied once, all pending entries as one atomic step. One deviation: where the platform replays the whole
list when it does not know the recorded tag, this refuses, because replaying fails later and says less.
"""

from __future__ import annotations

import datetime
import errno
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from durable.clock import Clock
from durable.config.nearest import did_you_mean
from durable.config.schema import Location, Migration
from durable.errors import MigrationError
from durable.storage.layout import StateLayout, make_folder, sync_folder
from durable.storage.migration_plan import (
    CreateClass,
    DeleteClass,
    MigrationPlan,
    PlannedMigration,
    RenameClass,
    Step,
)
from durable.storage.state_db import NamespaceRow, StateDatabase

__all__ = ["apply_plan", "finish_deletions", "plan"]

KEY_SUFFIX_BITS = 48
"""12 hex digits behind the class name: with 1000 namespaces ever made, a collision has odds of 1 in 500 million."""


# --- planning ---------------------------------------------------------------------------------------------------------
def plan(
    config_migrations: Sequence[Migration], applied_tags: Sequence[str], namespaces: Sequence[NamespaceRow]
) -> MigrationPlan:
    """What has to be done to bring one environment up to date; raises `MigrationError` when it cannot be."""
    _refuse_changed_history(config_migrations, applied_tags)
    classes = _Classes(namespaces)
    planned = [
        PlannedMigration(migration.tag, tuple(classes.apply(migration)), migration.location)
        for migration in config_migrations[len(applied_tags) :]
    ]
    return MigrationPlan(tuple(applied_tags), tuple(planned))


def _refuse_changed_history(config_migrations: Sequence[Migration], applied_tags: Sequence[str]) -> None:
    """The applied tags have to be the first ones of the configuration, in the same order."""
    configured = [migration.tag for migration in config_migrations]
    for tag in applied_tags:
        if tag not in configured:
            unapplied = [other for other in configured if other not in applied_tags]
            message = (
                f'the migration "{tag}" was applied to this state, but the configuration no longer has it. '
                f"An applied entry stays in the file, with its tag. {did_you_mean(tag, unapplied)}"
            )
            raise MigrationError(message.rstrip(), fix="put the entry back, or use a fresh state with --persist-to DIR")
    for position, tag in enumerate(applied_tags):
        migration = config_migrations[position]
        if migration.tag == tag:
            continue
        if migration.tag in applied_tags:
            message = f'the migration "{tag}" was applied before "{migration.tag}", and now stands behind it'
            raise _error(migration.location, message, fix="bring the entries back into the order they were applied in")
        message = f'the new migration "{migration.tag}" stands before "{tag}", which is already applied'
        raise _error(migration.location, message, fix=f'move "{migration.tag}" to the end')


class _Classes:
    """The classes that exist while the pending entries are gone through; remembers what each came from."""

    def __init__(self, namespaces: Sequence[NamespaceRow]) -> None:
        self._sqlite = {namespace.class_name: namespace.sqlite for namespace in namespaces}
        self._origins: dict[str, str] = {}

    def apply(self, migration: Migration) -> list[Step]:
        """One entry's steps, in the platform's order: deleted, renamed, transferred, new."""
        steps: list[Step] = []
        for name in migration.deleted_classes:
            steps.append(self._delete(migration, name))
        for renamed in migration.renamed_classes:
            steps.append(self._rename(migration, renamed.source, renamed.target))
        for transferred in migration.transferred_classes:
            raise _error(
                migration.location,
                f'migration "{migration.tag}" transfers {transferred.source} from the worker '
                f"{transferred.source_script}; transfers between workers come with a later version",
                fix=f"take transferred_classes out of it; a new {transferred.target} starts without data",
            )
        for name in migration.new_classes:
            steps.append(self._create(migration, name, sqlite=False))
        for name in migration.new_sqlite_classes:
            steps.append(self._create(migration, name, sqlite=True))
        return steps

    def _delete(self, migration: Migration, name: str) -> Step:
        self._require(migration, name, "deletes")
        del self._sqlite[name]
        return DeleteClass(name)

    def _rename(self, migration: Migration, source: str, target: str) -> Step:
        self._require(migration, source, "renames")
        if target in self._sqlite:
            raise _error(
                migration.location,
                f'migration "{migration.tag}" renames {source} to {target}, but {target} exists already'
                f"{self._origins.get(target, '')}; its objects would be in the way",
                fix=f"take {target} out of the new classes of an entry that is not applied yet, or delete it first",
            )
        self._sqlite[target] = self._sqlite.pop(source)
        self._origins[target] = f' (renamed from {source} by "{migration.tag}")'
        return RenameClass(source, target)

    def _create(self, migration: Migration, name: str, *, sqlite: bool) -> Step:
        key = "new_sqlite_classes" if sqlite else "new_classes"
        if name in self._sqlite:
            message = f'migration "{migration.tag}" creates {name}, which exists already{self._origins.get(name, "")}'
            fix = f"take {name} out of {key}"
            if sqlite != self._sqlite[name]:
                message += "; a class cannot be changed from one kind of storage to the other"
                fix = f"delete {name} in one entry and create it in the next; its data does not come along"
            raise _error(migration.location, message, fix=fix)
        self._sqlite[name] = sqlite
        self._origins[name] = f' (created by "{migration.tag}")'
        return CreateClass(name, sqlite)

    def _require(self, migration: Migration, name: str, verb: str) -> None:
        if name not in self._sqlite:
            hint = did_you_mean(name, self._sqlite)
            raise _error(
                migration.location,
                f'migration "{migration.tag}" {verb} {name}, but there is no such class.'
                + (f" {hint}" if hint else ""),
                fix=f"the classes that exist at this point: {', '.join(sorted(self._sqlite)) or 'none'}",
            )


def _error(location: Location, message: str, *, fix: str) -> MigrationError:
    return MigrationError(f"{location}: {message}", fix=fix)


# --- applying ---------------------------------------------------------------------------------------------------------
def apply_plan(
    plan: MigrationPlan,
    state_db: StateDatabase,
    layout: StateLayout,
    *,
    environment: str | None,
    clock: Clock,
    source: random.Random,
) -> None:
    """Record the plan in one transaction, then put the data of deleted classes aside.

    The record comes first: a crash in between leaves folders that no namespace points to, and `finish_deletions` moves
    them later. The other way round it would leave namespaces whose data is gone. No host may have files of a deleted
    class open.
    """

    def make_key(class_name: str) -> str:
        return f"{class_name}-{source.getrandbits(KEY_SUFFIX_BITS):0{KEY_SUFFIX_BITS // 4}x}"

    state_db.apply(environment, plan, now_ms=clock.wall_ms(), make_key=make_key)
    finish_deletions(state_db, layout)


def finish_deletions(state_db: StateDatabase, layout: StateLayout) -> list[Path]:
    """Move what deleted namespaces have left in the state directory; returns where it went. Called at every start."""
    moved: list[Path] = []
    for deletion in state_db.unmoved_deletions():
        source = layout.namespace_folder(deletion.key)
        time = datetime.datetime.fromtimestamp(deletion.deleted_ms / 1000, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        # The name depends on the record alone, so that a second try after a crash finds what the first one did.
        target = layout.deleted_folder / f"{deletion.key}-{time}"
        if source.exists():
            _move_folder(source, target)
            moved.append(target)
        state_db.mark_moved(deletion.key)
    return moved


def _move_folder(source: Path, target: Path) -> None:
    make_folder(target.parent)
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_across(source, target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def _copy_across(source: Path, target: Path) -> None:
    """The state directory is a link or a mount on another file system: copy, and only then remove."""
    if not target.exists():
        unfinished = target.with_name(target.name + ".unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        shutil.copytree(source, unfinished, symlinks=True)
        os.sync()
        os.rename(unfinished, target)
        sync_folder(target.parent)
    shutil.rmtree(source)
