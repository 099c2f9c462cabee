"""From a configuration and the state to a program that hosts can load: namespaces, migrations. Knows no process.

What only adds is applied as soon as the code fits it, so that the first start of a project needs no second command.
What renames or deletes waits for the developer's word.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from durable.clock import Clock
from durable.config import Config
from durable.errors import MigrationError
from durable.gateway.neighbours import Surroundings
from durable.storage.class_life.applying import apply_plan, new_key
from durable.storage.class_life.donors import donors_of
from durable.storage.class_life.planning import pending_of
from durable.storage.layout import StateLayout
from durable.storage.migration_plan import CreateClass, DeleteClass, MigrationPlan, RenameClass, TransferClass
from durable.storage.state_db import StateDatabase
from durable.supervisor.program import Program
from durable.wire.messages import NamespaceInfo

UNBORN = "000000000000"
"""Ends the keys of namespaces in a preview; nothing is ever stored under one."""


def _alone(config: Config) -> Surroundings:
    return Surroundings()


class Preparation(Struct, frozen=True):
    """Makes programs of configurations, for one state directory whose lock is held."""

    layout: StateLayout
    state_db: StateDatabase
    clock: Clock
    source: random.Random
    """Of the random parts of namespace keys."""
    surroundings: Callable[[Config], Surroundings] = _alone
    """What a program finds of other workers."""
    _unborn: dict[str, str] = field(default_factory=dict[str, str])
    """Keys of classes that no code was loaded for yet: other workers may make ids of them meanwhile."""

    def prepare(self, config: Config) -> Program:
        """The program of this configuration; its `commit` applies what only adds.

        Not before: code that lacks a new class, or a name that was only half typed when it was saved, would leave an
        applied entry that nobody may mend. Raises `MigrationError`, which names the steps, when more is pending.
        """
        pending = self.pending(config)
        if not pending.only_adds:
            steps = "\n".join(f"    {line}" for line in pending.describe())
            raise MigrationError(f"these migrations are not applied yet:\n{steps}", fix=self.command(config))
        if pending.is_empty:
            return self.program(config)
        names = [step.class_name for step in pending.steps() if isinstance(step, CreateClass)]
        keys = {name: self._unborn.get(name) or new_key(name, self.source) for name in names}
        self._unborn.update(keys)
        done: list[bool] = []

        def commit() -> None:
            if not done:
                environment, now_ms = config.environment, self.clock.wall_ms()
                self.state_db.apply(environment, pending, now_ms=now_ms, make_key=keys.__getitem__)
                self._unborn.clear()
                done.append(True)

        return replace(self.preview(config, pending, keys), commit=commit)

    def command(self, config: Config) -> str:
        """What to type for applying all of it to this state."""
        words = ["durable migrate"]
        if config.environment is not None:
            words.append(f"--env {shlex.quote(config.environment)}")
        folder = self.layout.deleted_folder.parent
        if folder != config.root / ".durable":
            words.append(f"--persist-to {shlex.quote(str(folder))}")
        return " ".join(words)

    def pending(self, config: Config) -> MigrationPlan:
        """What the state lacks; raises `MigrationError` for entries that can never be applied to it."""
        return pending_of(config, self.state_db)

    def apply(self, config: Config, pending: MigrationPlan, folder: Path | None = None) -> None:
        """Bring the state up to date. No host may have a file of a deleted class open.

        `folder` is that of the project that classes are transferred from.
        """
        if not pending.is_empty:
            apply_plan(
                pending,
                self.state_db,
                self.layout,
                environment=config.environment,
                clock=self.clock,
                source=self.source,
                find_donor=donors_of(config, self.layout.state, folder),
            )

    def preview(self, config: Config, pending: MigrationPlan, keys: Mapping[str, str] | None = None) -> Program:
        """The program as it would be with the plan applied, to see whether its code is fit for it.

        `keys` are those of the classes that it creates.
        """
        spaces = {row.class_name: (row.key, row.sqlite) for row in self.state_db.namespaces(config.environment)}
        for step in pending.steps():
            match step:
                case CreateClass(name, sqlite):
                    spaces[name] = ((keys or {}).get(name, f"{name}-{UNBORN}"), sqlite)
                case DeleteClass(name):
                    spaces.pop(name, None)
                case RenameClass(source, target):
                    spaces[target] = spaces.pop(source)
                case TransferClass(target=target):
                    spaces[target] = (f"{target}-{UNBORN}", True)
        namespaces = [NamespaceInfo(key, name, sqlite) for name, (key, sqlite) in spaces.items()]
        return Program(config, namespaces, self.layout.state, self.surroundings(config))

    def program(self, config: Config) -> Program:
        """The program as the state is now, without classes whose data could not be brought here yet."""
        away = {move.key for move in self.state_db.unfinished_moves()}
        namespaces = [
            NamespaceInfo(row.key, row.class_name, row.sqlite)
            for row in self.state_db.namespaces(config.environment)
            if row.key not in away
        ]
        return Program(config, namespaces, self.layout.state, self.surroundings(config))
