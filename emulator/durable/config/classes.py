"""Configuration against code: is every class defined that is bound or has objects, and every bound one declared?

Asked after the user's code was imported, with the names of the classes that it defines. Must not know how they were
found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from durable.config import snippets
from durable.config.document import Language, error_at
from durable.config.nearest import did_you_mean, nearest
from durable.config.schema import Binding, Config, Location, Migration
from durable.errors import ConfigError

__all__ = ["check_classes", "live_class_names"]

_ALIVE = ("created", "expecting-transfer")
"""States of an export that has objects."""


def live_class_names(config: Config) -> frozenset[str]:
    """The classes that have objects when everything is applied."""
    return frozenset(_live_classes(config))


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
        self._live = _live_classes(config)
        self._gone = [name for name in self._live if name not in classes]
        # In exports a new name is said with the old one, and a name that was given up is nobody's new one.
        self._former = {each.source: each.target for entry in config.migrations for each in entry.renamed_classes}
        new = [name for name in actors if name not in self._live and name not in self._former]
        self._renamed = _pairs(self._gone, new if config.exports is None else [])

    def complaints(self) -> list[ConfigError]:
        undefined = [binding for name, binding in self._bindings.items() if name not in self._classes]
        problems = [self._undefined(binding) for binding in undefined]
        told = {*self._bindings, *(old for old, new in self._renamed.items() if new in self._bindings)}
        told |= {new for old, new in self._former.items() if old in self._bindings}
        problems += [self._abandoned(name) for name in self._gone if name not in told]
        without_entry = [name for name in self._bindings if name in self._classes and name not in self._live]
        return problems + [self._without_migration(self._bindings[name], without_entry) for name in without_entry]

    def _undefined(self, binding: Binding) -> ConfigError:
        name, main = binding.class_name, self._config.main.name
        message = f"{main} defines no class {name}, which env.{binding.name} is bound to."
        if name in self._live and self._config.exports is None:
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
        """A class that is neither bound nor defined any more: nobody would reach its objects, whose alarms still run.

        The platform refuses it as well (errors 10064 and 10070).
        """
        live, main = self._live[name], self._config.main.name
        target = self._renamed.get(name)
        if live.tag is None:
            message = f"{main} defines no class {name}, and exports say that it has objects. Bring the class back; or:"
            fix = f'state = "deleted" for {name} in exports'
        elif target is not None:
            message = f"{main} defines no class {name}, which migration {live.tag} made. If it is now called {target}, "
            message, fix = f"{message}add{self._where}:", self._renaming()
        else:
            message = f"{main} defines no class {name}, which migration {live.tag} made. Bring the class back; or, to "
            message, fix = f"{message}delete it with all its objects, add{self._where}:", self._deletion()
        return error_at(self._config.source, live.place, message, fix=fix)

    def _without_migration(self, binding: Binding, missing: Sequence[str]) -> ConfigError:
        """All missing classes go into one snippet, so that pasting it once is enough."""
        name = binding.class_name
        if self._config.exports is not None:
            return self._without_export(binding)
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
        hint = did_you_mean(name, self._live)
        return self._error(
            binding, message + (f" {hint}" if hint else ""), fix=self._entry(new_sqlite_classes=list(missing))
        )

    def _without_export(self, binding: Binding) -> ConfigError:
        name = binding.class_name
        gone = next((each for each in self._config.exports or () if each.name == name), None)
        if gone is not None:
            became = "deleted" if gone.state == "deleted" else f"{gone.state} to {gone.other}"
            message = f"the class {name} was {became}, as exports says, and env.{binding.name} is bound to it."
            return self._error(binding, message, fix="remove the binding, or bind it to a live class")
        hint = did_you_mean(name, self._live)
        message = f"the class {name} stands not in exports, so it has no place to keep its data."
        return self._error(
            binding, message + (f" {hint}" if hint else ""), fix=snippets.export_entry(self._language, name)
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


class _Live(NamedTuple):
    """Where it is said that a class has objects, and by which migration; None for exports."""

    place: Location
    tag: str | None


def _live_classes(config: Config) -> dict[str, _Live]:
    """The classes that have objects when everything is applied."""
    if config.exports is not None:
        return {each.name: _Live(each.location, None) for each in config.exports if each.state in _ALIVE}
    live: dict[str, _Live] = {}
    for migration in config.migrations:
        _follow(migration, live)
    return live


def _follow(migration: Migration, live: dict[str, _Live]) -> None:
    def made(kind: str, name: str) -> None:
        live[name] = _Live(migration.place(kind, name), migration.tag)

    for name in migration.deleted_classes:
        live.pop(name, None)
    for renamed in migration.renamed_classes:
        live.pop(renamed.source, None)
        made("renamed_classes.to", renamed.target)
    for transferred in migration.transferred_classes:
        made("transferred_classes.to", transferred.target)
    for name in migration.new_classes:
        made("new_classes", name)
    for name in migration.new_sqlite_classes:
        made("new_sqlite_classes", name)


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
