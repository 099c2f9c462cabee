"""`[[migrations]]` against recorded state: what is to be done, or why it cannot be, with the line that is at fault.

Semantics of the platform (developers.cloudflare.com/durable-objects/reference/durable-objects-migrations): an ordered
list, each tag applied once, all pending entries as one atomic step. Two deviations: where the platform replays the
whole list when it does not know the recorded tag, and passes over an applied entry that was edited, this refuses both.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable.config import snippets
from durable.config.document import error_at
from durable.config.nearest import did_you_mean
from durable.config.schema import Config, Location, Migration
from durable.errors import MigrationError
from durable.storage.class_life import declared
from durable.storage.class_life.exported import plan_exports
from durable.storage.migration_plan import (
    CreateClass,
    DeleteClass,
    MigrationPlan,
    PlannedMigration,
    RenameClass,
    Step,
    TransferClass,
)
from durable.storage.state_db import AppliedMigration, NamespaceRow, StateDatabase

__all__ = ["pending_of", "plan"]


def pending_of(config: Config, state_db: StateDatabase | None) -> MigrationPlan:
    """What the state lacks of the configuration's environment; None is a state where nothing was applied yet.

    Raises `MigrationError` for what can never be applied to it.
    """
    environment = config.environment
    applied = state_db.applied_migrations(environment) if state_db is not None else []
    namespaces = state_db.namespaces(environment) if state_db is not None else []
    if config.exports is not None:
        found = plan_exports(config, [each.tag for each in applied], namespaces)
    else:
        found = plan(config.migrations, applied, namespaces, source=config.source)
    _refuse_bound_deletions(config, found)
    return found


def plan(
    config_migrations: Sequence[Migration],
    applied: Sequence[AppliedMigration],
    namespaces: Sequence[NamespaceRow],
    *,
    source: str = "",
) -> MigrationPlan:
    """What has to be done to bring one environment up to date; `source` is the text that errors quote from."""
    _History(config_migrations, applied, source).refuse_changes()
    classes = _Classes(namespaces, source)
    planned = [
        PlannedMigration(
            migration.tag, tuple(classes.apply(migration)), migration.location, declared.declared_by(migration)
        )
        for migration in config_migrations[len(applied) :]
    ]
    return MigrationPlan(tuple(each.tag for each in applied), tuple(planned))


def _refuse_bound_deletions(config: Config, found: MigrationPlan) -> None:
    """As the platform does (error 10061): a class goes only when nothing is bound to it any more."""
    names = [step.class_name for step in found.steps() if isinstance(step, DeleteClass)]
    created = {step.class_name for step in found.steps() if isinstance(step, CreateClass)}
    created |= {step.target for step in found.steps() if isinstance(step, (RenameClass, TransferClass))}
    for binding in config.bindings:
        if binding.script_name is None and binding.class_name in names and binding.class_name not in created:
            raise refusal(
                config.source,
                binding.location,
                f"the class {binding.class_name} cannot be deleted while env.{binding.name} is bound to it",
                fix="remove this binding, or take the class out of what is deleted",
            )


class _History:
    """The applied entries have to be the first ones of the configuration, in the same order, saying the same."""

    def __init__(
        self, config_migrations: Sequence[Migration], applied: Sequence[AppliedMigration], source: str
    ) -> None:
        self._configured = {migration.tag: migration for migration in config_migrations}
        self._order = config_migrations
        self._applied = applied
        self._source = source

    def refuse_changes(self) -> None:
        tags = [each.tag for each in self._applied]
        for each in self._applied:
            if each.tag not in self._configured:
                raise self._missing(each, tags)
        for position, tag in enumerate(tags):
            if self._order[position].tag != tag:
                raise self._out_of_order(self._order[position], tag, tags)
        for each in self._applied:
            now = declared.declared_by(self._configured[each.tag])
            if declared.digest_of(now) != each.digest:
                raise self._edited(self._configured[each.tag], each, now)

    def _missing(self, entry: AppliedMigration, tags: Sequence[str]) -> MigrationError:
        unapplied = [other for other in self._configured if other not in tags]
        message = (
            f'the migration "{entry.tag}" was applied to this state, but the configuration no longer has it. '
            f"An applied entry stays in the file, with its tag. {did_you_mean(entry.tag, unapplied)}"
        )
        back = declared.difference(entry.declared, {})
        fix = "put the entry back" + (f" ({back.replace(' and has nothing now', '')})" if back else "")
        return MigrationError(message.rstrip(), fix=f"{fix}, or use a fresh state with --persist-to DIR")

    def _out_of_order(self, entry: Migration, tag: str, tags: Sequence[str]) -> MigrationError:
        if entry.tag in tags:
            message = f'the migration "{tag}" was applied before "{entry.tag}", and now stands behind it'
            fix = "bring the entries back into the order they were applied in"
        else:
            message = f'the new migration "{entry.tag}" stands before "{tag}", which is already applied'
            fix = f'move "{entry.tag}" to the end'
        return refusal(self._source, entry.location, message, fix=fix)

    def _edited(self, entry: Migration, applied: AppliedMigration, now: declared.Declared) -> MigrationError:
        more = declared.added(applied.declared, now)
        fix = "put it back as it was"
        if set(more) == {"new_sqlite_classes"}:
            language = snippets.language_of(entry.location.file)
            tags = [each.tag for each in self._order]
            fix += f", and add:\n{snippets.migration_entry(language, tags, more)}"
        elif more:
            fix += ", and say what is new in an entry of its own at the end"
        return refusal(
            self._source,
            entry.location,
            f'the migration "{entry.tag}" was edited after it was applied: '
            f"{declared.difference(applied.declared, now)}. An applied entry is never applied again",
            fix=fix,
        )


class _Classes:
    """The classes that exist while the pending entries are gone through; remembers what each came from."""

    def __init__(self, namespaces: Sequence[NamespaceRow], source: str) -> None:
        self._sqlite: dict[str, bool | None] = {namespace.class_name: namespace.sqlite for namespace in namespaces}
        self._origins: dict[str, str] = {}
        self._source = source

    def apply(self, migration: Migration) -> list[Step]:
        """One entry's steps, in the platform's order: deleted, renamed, transferred, new."""
        steps: list[Step] = []
        for name in migration.deleted_classes:
            steps.append(self._delete(migration, name))
        for renamed in migration.renamed_classes:
            steps.append(self._rename(migration, renamed.source, renamed.target))
        for moved in migration.transferred_classes:
            step = TransferClass(moved.source, moved.source_script, moved.target)
            steps.append(self._transfer(migration, step))
        for name in migration.new_classes:
            steps.append(self._create(migration, name, sqlite=False))
        for name in migration.new_sqlite_classes:
            steps.append(self._create(migration, name, sqlite=True))
        return steps

    def _delete(self, migration: Migration, name: str) -> Step:
        self._require(migration, "deleted_classes", name, "deletes")
        del self._sqlite[name]
        return DeleteClass(name)

    def _rename(self, migration: Migration, source: str, target: str) -> Step:
        self._require(migration, "renamed_classes", source, "renames")
        self._require_room(migration, "renamed_classes", source, target, f"renames {source} to {target}")
        self._sqlite[target] = self._sqlite.pop(source)
        self._origins[target] = f' (renamed from {source} by "{migration.tag}")'
        return RenameClass(source, target)

    def _transfer(self, migration: Migration, step: TransferClass) -> Step:
        doing = f"transfers {step.source} from the worker {step.source_script} to {step.target}"
        self._require_room(migration, "transferred_classes", step.source, step.target, doing)
        self._sqlite[step.target] = None
        self._origins[step.target] = f' (transferred from the worker {step.source_script} by "{migration.tag}")'
        return step

    def _create(self, migration: Migration, name: str, *, sqlite: bool) -> Step:
        key = "new_sqlite_classes" if sqlite else "new_classes"
        if name in self._sqlite:
            message = f'migration "{migration.tag}" creates {name}, which exists already{self._origins.get(name, "")}'
            fix = f"take {name} out of {key}"
            if self._sqlite[name] is not None and sqlite != self._sqlite[name]:
                message += "; a class cannot be changed from one kind of storage to the other"
                fix = f"delete {name} in one entry and create it in the next; its data does not come along"
            raise refusal(self._source, migration.place(key, name), message, fix=fix)
        self._sqlite[name] = sqlite
        self._origins[name] = f' (created by "{migration.tag}")'
        return CreateClass(name, sqlite)

    def _require(self, migration: Migration, key: str, name: str, verb: str) -> None:
        if name not in self._sqlite:
            hint = did_you_mean(name, self._sqlite)
            raise refusal(
                self._source,
                migration.place(key, name),
                f'migration "{migration.tag}" {verb} {name}, but there is no such class.'
                + (f" {hint}" if hint else ""),
                fix=f"the classes that exist at this point: {', '.join(sorted(self._sqlite)) or 'none'}",
            )

    def _require_room(self, migration: Migration, key: str, source: str, target: str, doing: str) -> None:
        if target in self._sqlite:
            place = migration.places.get((f"{key}.to", target), migration.place(key, source))
            raise refusal(
                self._source,
                place,
                f'migration "{migration.tag}" {doing}, but {target} exists already'
                f"{self._origins.get(target, '')}; its objects would be in the way",
                fix=f"take {target} out of the new classes of an entry that is not applied yet, or delete it first",
            )


def refusal(source: str, location: Location, message: str, *, fix: str) -> MigrationError:
    """An error about one place of the configuration, with its line."""
    if not source or not location.line:
        return MigrationError(f"{location}: {message}", fix=fix)
    line = error_at(source, location, "").source_line
    return MigrationError(f"{location}: {message}", fix=fix, source_line=line, column=location.column)
