"""What a migration is going to do, as values: for people, for programs, and for whoever does it. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct, field

from durable.config.schema import Location

__all__ = ["CreateClass", "DeleteClass", "MigrationPlan", "PlannedMigration", "RenameClass", "Step", "TransferClass"]

NOWHERE = Location("", 0, 0)


class CreateClass(Struct, frozen=True):
    """A new, empty namespace. `sqlite` tells `new_sqlite_classes` from the older `new_classes`."""

    class_name: str
    sqlite: bool

    def describe(self) -> str:
        return f"create class {self.class_name}"

    def to_json(self) -> dict[str, object]:
        return {"step": "create_class", "class": self.class_name, "sqlite": self.sqlite}


class RenameClass(Struct, frozen=True):
    """The namespace keeps its key, so its objects, ids and data come along."""

    source: str
    target: str

    def describe(self) -> str:
        return f"rename class {self.source} to {self.target}, with its objects and their data"

    def to_json(self) -> dict[str, object]:
        return {"step": "rename_class", "from": self.source, "to": self.target}


class DeleteClass(Struct, frozen=True):
    """The namespace is forgotten and its data put aside."""

    class_name: str

    def describe(self) -> str:
        return f"delete class {self.class_name} with all its objects; their data moves to the folder deleted"

    def to_json(self) -> dict[str, object]:
        return {"step": "delete_class", "class": self.class_name}


class TransferClass(Struct, frozen=True):
    """The namespace leaves another worker's state, and its folder comes along. `sqlite` None takes either kind."""

    source: str
    source_script: str
    target: str
    sqlite: bool | None = None

    def describe(self) -> str:
        to = "" if self.target == self.source else f" as {self.target}"
        return f"transfer class {self.source} from the worker {self.source_script}{to}, with its objects and their data"

    def to_json(self) -> dict[str, object]:
        told: dict[str, object] = {"step": "transfer_class", "from": self.source, "from_script": self.source_script}
        return told | {"to": self.target} | ({} if self.sqlite is None else {"sqlite": self.sqlite})


Step = CreateClass | RenameClass | DeleteClass | TransferClass


def step_from_json(step: object) -> Step:
    """What `to_json` gave. Raises ValueError for anything else."""
    match step:
        case {"step": "create_class", "class": str(name), "sqlite": bool(sqlite)}:
            return CreateClass(name, sqlite)
        case {"step": "rename_class", "from": str(source), "to": str(target)}:
            return RenameClass(source, target)
        case {"step": "delete_class", "class": str(name)}:
            return DeleteClass(name)
        case {"step": "transfer_class", "from": str(source), "from_script": str(script), "to": str(target)}:
            kind = cast("dict[str, Any]", step).get("sqlite")
            return TransferClass(source, script, target, kind if isinstance(kind, bool) else None)
        case _:
            raise ValueError(f"not a step of a migration: {step!r}")


class PlannedMigration(Struct, frozen=True):
    """One entry of the configuration that is not applied yet; `steps` in the order in which they run.

    `declared` is what the entry says, for the record: `{"new_sqlite_classes": ["Room"]}`. What `exports` ask for stands
    under the tag "exports", and None says that no tag is to be recorded for it.
    """

    tag: str
    steps: tuple[Step, ...]
    location: Location = NOWHERE
    declared: Mapping[str, object] | None = field(default_factory=dict[str, object])


class MigrationPlan(Struct, frozen=True):
    """The entries to apply, in order, to a state where exactly the tags `applied` are recorded."""

    applied: tuple[str, ...]
    migrations: tuple[PlannedMigration, ...]

    def steps(self) -> Iterator[Step]:
        for migration in self.migrations:
            yield from migration.steps

    def transfers(self) -> list[TransferClass]:
        return [step for step in self.steps() if isinstance(step, TransferClass)]

    @property
    def is_empty(self) -> bool:
        return not self.migrations

    @property
    def only_adds(self) -> bool:
        """True when nothing that exists is renamed, moved or deleted."""
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

    @classmethod
    def from_json(cls, entries: Sequence[Mapping[str, object]]) -> MigrationPlan:
        """What `to_json` gave, for telling it to people; without what only applying needs."""
        return cls(
            (),
            tuple(
                PlannedMigration(
                    str(entry["tag"]), tuple(step_from_json(step) for step in cast("list[object]", entry["steps"]))
                )
                for entry in entries
            ),
        )
