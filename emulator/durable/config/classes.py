"""Configuration against code: is every bound class defined, and does every bound class have a migration?

Asked after the user's code was imported, with the names of the classes that it defines. Must not know how they were
found.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable.config import snippets
from durable.config.document import error_at
from durable.config.nearest import did_you_mean, nearest
from durable.config.schema import Binding, Config, Migration
from durable.errors import ConfigError

__all__ = ["check_classes"]


def check_classes(config: Config, classes: Sequence[str]) -> list[ConfigError]:
    """One complaint per class that is bound but not defined, or bound but in no migration; `fix` can be pasted."""
    first_bindings: dict[str, Binding] = {}
    for binding in config.bindings:
        if binding.script_name is None:
            first_bindings.setdefault(binding.class_name, binding)
    undefined = [binding for name, binding in first_bindings.items() if name not in classes]
    problems = [_undefined(config, binding, classes) for binding in undefined]
    live = _live_classes(config.migrations)
    without_entry = [name for name in first_bindings if name in classes and name not in live]
    return problems + [_without_migration(config, first_bindings[name], without_entry) for name in without_entry]


def _undefined(config: Config, binding: Binding, classes: Sequence[str]) -> ConfigError:
    name, main = binding.class_name, config.main.name
    message = f"{main} defines no class {name}, which env.{binding.name} is bound to."
    near = nearest(name, classes)
    if near is not None:
        fix = snippets.setting(snippets.language_of(config.path.name), "class_name", near)
        return error_at(config.source, binding.location, f'{message} Did you mean "{near}"?', fix=fix)
    if classes:
        message += f" It defines {', '.join(classes)}."
    fix = f"from durable import DurableObject\n\nclass {name}(DurableObject):\n    ..."
    return error_at(config.source, binding.location, message, fix=fix)


def _live_classes(migrations: Sequence[Migration]) -> set[str]:
    live: set[str] = set()
    for migration in migrations:
        live -= set(migration.deleted_classes)
        for renamed in migration.renamed_classes:
            live.discard(renamed.source)
            live.add(renamed.target)
        live.update(transferred.target for transferred in migration.transferred_classes)
        live.update(migration.new_classes, migration.new_sqlite_classes)
    return live


def _without_migration(config: Config, binding: Binding, missing: Sequence[str]) -> ConfigError:
    """All missing classes go into one snippet, so that pasting it once is enough."""
    name, language = binding.class_name, snippets.language_of(config.path.name)
    for migration in reversed(config.migrations):
        for renamed in migration.renamed_classes:
            if renamed.source == name:
                return error_at(
                    config.source,
                    binding.location,
                    f"the class {name} was renamed to {renamed.target} by migration {migration.tag}; "
                    f"env.{binding.name} has to be bound to the new name",
                    fix=snippets.setting(language, "class_name", renamed.target),
                )
        if name in migration.deleted_classes:
            return error_at(
                config.source,
                binding.location,
                f"the class {name} was deleted by migration {migration.tag}; remove the binding, or create it anew",
                fix=snippets.migration_entry(language, _next_tag(config), [name]),
            )
    hint = did_you_mean(name, _live_classes(config.migrations))
    return error_at(
        config.source,
        binding.location,
        f"the class {name} stands in no migration, so it has no place to keep its data." + (f" {hint}" if hint else ""),
        fix=snippets.migration_entry(language, _next_tag(config), missing),
    )


def _next_tag(config: Config) -> str:
    return snippets.next_tag([migration.tag for migration in config.migrations])
