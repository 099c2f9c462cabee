"""From a configuration and the state to a program that hosts can load: namespaces, migrations. Knows no process.

What only adds is applied on the way, so that the first start of a project needs no second command. What renames or
deletes waits for the developer's word.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from durable.clock import Clock
from durable.config import Config
from durable.errors import MigrationError
from durable.storage.layout import StateLayout
from durable.storage.migration_plan import MigrationPlan
from durable.storage.migrations import apply_plan, finish_deletions, plan
from durable.storage.state_db import StateDatabase
from durable.supervisor.program import Program
from durable.wire.messages import NamespaceInfo


@dataclass(frozen=True, slots=True)
class Preparation:
    """Makes programs of configurations, for one state directory whose lock is held."""

    layout: StateLayout
    state_db: StateDatabase
    clock: Clock
    source: random.Random
    """Of the random parts of namespace keys."""

    def prepare(self, config: Config) -> Program:
        """The program of this configuration, after applying what only adds.

        Raises `MigrationError`, which names the steps, when anything else is pending.
        """
        pending = self.pending(config)
        if not pending.only_adds:
            steps = "\n".join(f"    {line}" for line in pending.describe())
            raise MigrationError(f"these migrations are not applied yet:\n{steps}", fix="durable migrate")
        self.apply(config, pending)
        return self.program(config)

    def pending(self, config: Config) -> MigrationPlan:
        """What the state lacks; raises `MigrationError` for entries that can never be applied to it."""
        environment = config.environment
        return plan(config.migrations, self.state_db.applied_tags(environment), self.state_db.namespaces(environment))

    def apply(self, config: Config, pending: MigrationPlan) -> None:
        """Bring the state up to date. No host may have a file of a deleted class open."""
        if not pending.is_empty:
            apply_plan(
                pending,
                self.state_db,
                self.layout,
                environment=config.environment,
                clock=self.clock,
                source=self.source,
            )

    def finish_deletions(self) -> None:
        """Put aside what a deletion before a crash left behind."""
        finish_deletions(self.state_db, self.layout)

    def program(self, config: Config) -> Program:
        """The program as the state is now."""
        namespaces = [
            NamespaceInfo(row.key, row.class_name, row.sqlite) for row in self.state_db.namespaces(config.environment)
        ]
        return Program(config, namespaces, self.layout.state)
