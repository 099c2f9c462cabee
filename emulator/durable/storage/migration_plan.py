"""What a migration is going to do, as values: for people, for programs, and for whoever does it. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from durable.config.schema import Location

__all__ = ["CreateClass", "DeleteClass", "MigrationPlan", "PlannedMigration", "RenameClass", "Step"]


@dataclass(frozen=True, slots=True)
class CreateClass:
    """A new, empty namespace. `sqlite` tells `new_sqlite_classes` from the older `new_classes`."""

    class_name: str
    sqlite: bool

    def describe(self) -> str:
        return f"create class {self.class_name}"

    def to_json(self) -> dict[str, object]:
        return {"step": "create_class", "class": self.class_name, "sqlite": self.sqlite}


@dataclass(frozen=True, slots=True)
class RenameClass:
    """The namespace keeps its key, so its objects, ids and data come along."""

    source: str
    target: str

    def describe(self) -> str:
        return f"rename class {self.source} to {self.target}, with its objects and their data"

    def to_json(self) -> dict[str, object]:
        return {"step": "rename_class", "from": self.source, "to": self.target}


@dataclass(frozen=True, slots=True)
class DeleteClass:
    """The namespace is forgotten and its data put aside."""

    class_name: str

    def describe(self) -> str:
        return f"delete class {self.class_name} with all its objects; their data moves to the folder deleted"

    def to_json(self) -> dict[str, object]:
        return {"step": "delete_class", "class": self.class_name}


Step = CreateClass | RenameClass | DeleteClass


@dataclass(frozen=True, slots=True)
class PlannedMigration:
    """One entry of the configuration that is not applied yet; `steps` in the order in which they run."""

    tag: str
    steps: tuple[Step, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """The entries to apply, in order, to a state where exactly the tags `applied` are recorded."""

    applied: tuple[str, ...]
    migrations: tuple[PlannedMigration, ...]

    def steps(self) -> Iterator[Step]:
        for migration in self.migrations:
            yield from migration.steps

    @property
    def is_empty(self) -> bool:
        return not self.migrations

    @property
    def only_adds(self) -> bool:
        """True when nothing that exists is renamed or deleted."""
        return all(isinstance(step, CreateClass) for step in self.steps())

    @property
    def destructive(self) -> bool:
        return any(isinstance(step, DeleteClass) for step in self.steps())

    def describe(self) -> list[str]:
        """One line per step: `v2: create class ChatRoom`."""
        lines: list[str] = []
        for migration in self.migrations:
            sentences = [step.describe() for step in migration.steps] or ["nothing to do"]
            lines += [f"{migration.tag}: {sentence}" for sentence in sentences]
        return lines

    def to_json(self) -> list[dict[str, object]]:
        """`[{"tag": "v2", "steps": [{"step": "create_class", "class": "ChatRoom", "sqlite": True}]}]`"""
        return [
            {"tag": migration.tag, "steps": [step.to_json() for step in migration.steps]}
            for migration in self.migrations
        ]
