"""Configuration against code: is every bound class defined, and does every class have its place in the migrations?

Asked after the user's code was imported, with the names of the classes that it defines. Must not know how they were
found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from durable.config import snippets
from durable.config.document import Language, error_at
from durable.config.nearest import did_you_mean, nearest
from durable.config.schema import Binding, Config, Migration
from durable.errors import ConfigError

__all__ = ["check_classes"]


def check_classes(config: Config, classes: Sequence[str], *, actors: Sequence[str] | None = None) -> list[ConfigError]:
    """One complaint per class that is bound, or was made by a migration, and does not fit; `fix` can be pasted.

    `actors` are those of `classes` that objects can be made of, all of them if it is not given: one of them may be the
    new name of one that is gone.
    """
    return _Check(config, classes, classes if actors is None else actors).complaints()


class _Check:
    def __init__(self, config: Config, classes: Sequence[str], actors: Sequence[str]) -> None:
        self._config = config
        self._classes = classes
        self._language: Language = snippets.language_of(config.path.name)
        self._bindings: dict[str, Binding] = {}
        for binding in config.bindings:
            if binding.script_name is None:
                self._bindings.setdefault(binding.class_name, binding)
        self._made_by = _live_classes(config.migrations)
        self._gone = [name for name in self._made_by if name not in classes]
        self._renamed = _pairs(self._gone, [name for name in actors if name not in self._made_by])

    def complaints(self) -> list[ConfigError]:
        undefined = [binding for name, binding in self._bindings.items() if name not in self._classes]
        problems = [self._undefined(binding) for binding in undefined]
        told = {*self._bindings, *(old for old, new in self._renamed.items() if new in self._bindings)}
        problems += [self._abandoned(name) for name in self._gone if name not in told]
        without_entry = [name for name in self._bindings if name in self._classes and name not in self._made_by]
        return problems + [self._without_migration(self._bindings[name], without_entry) for name in without_entry]

    def _undefined(self, binding: Binding) -> ConfigError:
        name, main = binding.class_name, self._config.main.name
        message = f"{main} defines no class {name}, which env.{binding.name} is bound to."
        if name in self._made_by:
            target = self._renamed.get(name)
            if target is not None:
                alike = nearest(name, [target]) is not None
                guess = f'Did you mean "{target}"? If {name} has objects and is' if alike else f"If {name} is"
                message += f" {guess} now called {target}, bind env.{binding.name} to {target} and add{self._where}:"
                return self._error(binding, message, fix=self._renaming())
            if self._classes:
                message += (
                    f" It defines {', '.join(self._classes)}. Bring the class back; or, to delete it with all its "
                    f"objects, take the binding out and add{self._where}:"
                )
                return self._error(binding, message, fix=self._deletion())
        near = nearest(name, self._classes)
        if near is not None:
            fix = snippets.setting(self._language, "class_name", near)
            return self._error(binding, f'{message} Did you mean "{near}"?', fix=fix)
        if self._classes:
            message += f" It defines {', '.join(self._classes)}."
        return self._error(
            binding, message, fix=f"from durable import DurableObject\n\nclass {name}(DurableObject):\n    ..."
        )

    def _abandoned(self, name: str) -> ConfigError:
        """A class that is neither bound nor defined any more: its objects would be left where nobody reaches them."""
        migration = self._made_by[name]
        message = f"{self._config.main.name} defines no class {name}, which migration {migration.tag} made."
        target = self._renamed.get(name)
        if target is not None:
            message += f" If it is now called {target}, add{self._where}:"
            fix = self._renaming()
        else:
            message += f" Bring the class back; or, to delete it with all its objects, add{self._where}:"
            fix = self._deletion()
        return error_at(self._config.source, migration.location, message, fix=fix)

    def _without_migration(self, binding: Binding, missing: Sequence[str]) -> ConfigError:
        """All missing classes go into one snippet, so that pasting it once is enough."""
        name = binding.class_name
        for migration in reversed(self._config.migrations):
            for renamed in migration.renamed_classes:
                if renamed.source == name:
                    message = (
                        f"the class {name} was renamed to {renamed.target} by migration {migration.tag}; "
                        f"env.{binding.name} has to be bound to the new name"
                    )
                    fix = snippets.setting(self._language, "class_name", renamed.target)
                    return self._error(binding, message, fix=fix)
            if name in migration.deleted_classes:
                message = (
                    f"the class {name} was deleted by migration {migration.tag}; remove the binding, or create it anew"
                )
                return self._error(binding, message, fix=self._entry(new_sqlite_classes=[name]))
        message = f"the class {name} stands in no migration, so it has no place to keep its data."
        old = next((old for old, new in self._renamed.items() if new == name), None)
        if old is not None:
            message += f" {old} is gone from {self._config.main.name}; if {name} is its new name, add{self._where}:"
            return self._error(binding, message, fix=self._renaming())
        hint = did_you_mean(name, self._made_by)
        return self._error(
            binding, message + (f" {hint}" if hint else ""), fix=self._entry(new_sqlite_classes=list(missing))
        )

    # --- what to paste ------------------------------------------------------------------------------------------------
    @property
    def _where(self) -> str:
        """The place of an entry that cannot just go to the end of the file."""
        return ' to the end of "migrations"' if self._language == "json" and self._config.migrations else ""

    def _renaming(self) -> str:
        """All renamed classes go into one entry, for the same reason as new ones."""
        return self._entry(renamed_classes=[{"from": old, "to": new} for old, new in self._renamed.items()])

    def _deletion(self) -> str:
        return self._entry(deleted_classes=[name for name in self._gone if name not in self._renamed])

    def _entry(self, **steps: Sequence[str] | Sequence[Mapping[str, str]]) -> str:
        return snippets.migration_entry(self._language, [migration.tag for migration in self._config.migrations], steps)

    def _error(self, binding: Binding, message: str, *, fix: str) -> ConfigError:
        return error_at(self._config.source, binding.location, message, fix=fix)


def _live_classes(migrations: Sequence[Migration]) -> dict[str, Migration]:
    """The classes that exist once all entries are applied, and the entry that gave each its name."""
    live: dict[str, Migration] = {}
    for migration in migrations:
        for name in migration.deleted_classes:
            live.pop(name, None)
        for renamed in migration.renamed_classes:
            live.pop(renamed.source, None)
            live[renamed.target] = migration
        for transferred in migration.transferred_classes:
            live[transferred.target] = migration
        for name in (*migration.new_classes, *migration.new_sqlite_classes):
            live[name] = migration
    return live


def _pairs(gone: Sequence[str], new: Sequence[str]) -> Mapping[str, str]:
    """Which class is probably whose new name: the most alike, and without likeness only if one is left of each."""
    left = list(new)
    pairs: dict[str, str] = {}
    for name in gone:
        near = nearest(name, left)
        if near is not None:
            pairs[name] = near
            left.remove(near)
    unmatched = [name for name in gone if name not in pairs]
    if len(unmatched) == len(left) == 1:
        pairs[unmatched[0]] = left[0]
    return pairs
