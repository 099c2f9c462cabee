"""`exports` against recorded state: the steps from the classes that exist to those that are declared.

There is no list and no tag: what is declared already is passed over (the platform's "stale tombstone"), and a class
that exists and is not declared is an error, because its objects would silently be out of reach.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable.config.document import error_at
from durable.config.nearest import did_you_mean
from durable.config.schema import Config, ExportedClass
from durable.errors import MigrationError
from durable.storage.migration_plan import (
    CreateClass,
    DeleteClass,
    MigrationPlan,
    PlannedMigration,
    RenameClass,
    Step,
    TransferClass,
)
from durable.storage.state_db import NamespaceRow

__all__ = ["TAG", "plan_exports"]

TAG = "exports"
"""What stands for the tag in plans; it is never recorded."""


def plan_exports(config: Config, applied: Sequence[str], namespaces: Sequence[NamespaceRow]) -> MigrationPlan:
    """What has to be done, in the order deleted, renamed, transferred, created."""
    exports = config.exports or ()
    existing = {row.class_name: row.sqlite for row in namespaces}
    _refuse_undeclared(config, exports, existing)
    steps: list[Step] = []
    for each in exports:
        if each.state == "deleted" and existing.pop(each.name, None) is not None:
            steps.append(DeleteClass(each.name))
    renames = [each for each in exports if each.state == "renamed" and each.name in existing]
    while renames:
        # Of B → C and A → B the first makes room for the second, in whatever order they stand.
        each = next((each for each in renames if each.other not in existing), renames[0])
        renames.remove(each)
        steps.append(_rename(config, each, exports, existing))
    for each in exports:
        if each.state in ("created", "expecting-transfer"):
            step = _present(config, each, existing)
            if step is not None:
                steps.append(step)
    # Stable, so that transfers come before what is created, as in an entry of migrations.
    steps.sort(key=lambda step: isinstance(step, CreateClass))
    planned = [PlannedMigration(TAG, tuple(steps), exports[0].location, None)] if steps and exports else []
    return MigrationPlan(tuple(applied), tuple(planned))


def _rename(
    config: Config, each: ExportedClass, exports: Sequence[ExportedClass], existing: dict[str, bool]
) -> RenameClass:
    target = next((other for other in exports if other.name == each.other), None)
    if target is None or target.state not in ("created", "renamed"):
        message = f"exports renames {each.name} to {each.other}, and does not declare {each.other}"
        declaration = (
            f'{each.other}: type "durable-object", storage "{"sqlite" if existing[each.name] else "legacy-kv"}"'
        )
        raise _refusal(config, each, message, fix=f"add {declaration}")
    if each.other in existing:
        message = (
            f"exports renames {each.name} to {each.other}, but {each.other} exists already; "
            "its objects would be in the way"
        )
        raise _refusal(config, each, message, fix=f"delete {each.other} first, or keep both classes")
    existing[each.other] = existing.pop(each.name)
    return RenameClass(each.name, each.other)


def _present(config: Config, each: ExportedClass, existing: dict[str, bool]) -> Step | None:
    sqlite = each.storage == "sqlite"
    if each.name in existing:
        if existing[each.name] != sqlite:
            has = "sqlite" if existing[each.name] else "legacy-kv"
            raise _refusal(
                config,
                each,
                f'{each.name} is stored as "{has}", and exports declares "{each.storage}"; '
                "a class cannot be changed from one kind of storage to the other",
                fix=f'storage = "{has}", or delete {each.name} first; its data does not come along',
            )
        return None
    if each.state == "created":
        return CreateClass(each.name, sqlite)
    return TransferClass(each.name, each.other, each.name, sqlite)


def _refuse_undeclared(config: Config, exports: Sequence[ExportedClass], existing: dict[str, bool]) -> None:
    declared = [each.name for each in exports]
    for name in sorted(existing):
        if name not in declared:
            near = did_you_mean(name, declared)
            message = f"the class {name} exists, and exports says nothing of it.{' ' + near if near else ''}"
            fix = f'declare it, or say what became of it: state = "deleted", or state = "renamed" for {name}'
            raise _refusal(config, exports[0], message, fix=fix)


def _refusal(config: Config, each: ExportedClass, message: str, *, fix: str) -> MigrationError:
    line = error_at(config.source, each.location, "").source_line if each.location.line else ""
    return MigrationError(f"{each.location}: {message}", fix=fix, source_line=line, column=each.location.column)
