"""Changing classes while the emulator serves: plans that rename, delete or move, and deleted classes that come back.

The new code is tried first, in a process of its own: where it does not fit the plan, nothing has happened. Then all
hosts end, the change is made, and the new code takes over; clients wait meanwhile, and sockets of classes that live on
stay open. Knows neither HTTP nor the command line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from durable.config import Config
from durable.errors import DurableError, LoadFailedError, MigrationError
from durable.gateway.alarm_scheduler import AlarmScheduler
from durable.gateway.index_writer import IndexWriter
from durable.storage.class_life.restoring import choose, restore_class, snapshots
from durable.storage.migration_plan import DeleteClass, MigrationPlan
from durable.supervisor.preparation import Preparation
from durable.supervisor.program import Program
from durable.supervisor.reloader import Refused


class Sockets(Protocol):
    """What a change needs of the client sockets."""

    def end_namespaces(self, namespaces: Sequence[str]) -> None: ...


class Supervising(Protocol):
    """What a change needs of the supervisor."""

    async def try_out(self, program: Program) -> Refused | None: ...
    async def exchange(self, renew: Callable[[], Awaitable[Program]]) -> None: ...


class ClassChanges:
    """Made once the emulator serves; each method is one change, asked for by a tool."""

    def __init__(
        self,
        preparation: Preparation,
        supervisor: Supervising,
        index: IndexWriter,
        sockets: Sockets,
        alarms: AlarmScheduler,
        *,
        reread: Callable[[], Config],
        take: Callable[[Config, Program], None],
    ) -> None:
        """`reread` reads the configuration as it is now; `take` is told the one that is in force, with its program."""
        self._preparation = preparation
        self._supervisor = supervisor
        self._index = index
        self._sockets = sockets
        self._alarms = alarms
        self._reread = reread
        self._take = take

    async def migrate(self, dry_run: bool, folder: str = "") -> dict[str, object]:
        """`{"steps": [{"tag": "v2", "steps": […]}], "applied": ["v1", "v2"]}`: what was or would be done, what is.

        `folder` is that of the project that classes come from. Raises `MigrationError` for what cannot be applied,
        `LoadFailedError` for code that does not fit it, `ConfigError` for a configuration that cannot be read.
        """
        config = self._reread()
        pending = self._preparation.pending(config)
        if not dry_run and not pending.is_empty:
            await self._try_out(config, pending)
            await self._exchange(config, lambda: self._apply(config, pending, Path(folder) if folder else None))
        applied = self._preparation.state_db.applied_tags(config.environment)
        return {"steps": pending.to_json(), "applied": applied}

    async def deleted(self) -> list[dict[str, object]]:
        """What deleted classes left: `Snapshot.to_json()` of each."""
        found = snapshots(self._preparation.state_db, self._preparation.layout, self._reread().environment)
        return [each.to_json() for each in found]

    async def restore(self, word: str, into: str | None) -> dict[str, object]:
        """Bring a deleted class back; raises `NotFoundError` and `MigrationError` as `choose` does."""
        config, preparation = self._reread(), self._preparation
        arguments = preparation.state_db, preparation.layout, config.environment, word, into
        pending = preparation.pending(config)
        if not pending.is_empty:
            raise MigrationError("first apply what the configuration asks for", fix=preparation.command(config))
        choose(*arguments)

        async def change() -> None:
            # Again: an event that was running may have made an object there.
            chosen, place = choose(*arguments)
            await self._index.forget(place.key)
            restore_class(preparation.state_db, preparation.layout, chosen, place, preparation.clock)
            self._end([place.key])

        chosen, place = choose(*arguments)
        await self._exchange(config, change)
        return chosen.to_json() | {"into": place.class_name}

    async def _exchange(self, config: Config, change: Callable[[], Awaitable[None]]) -> None:
        """Have all hosts end, make the change, and have the program of the state that it leaves take over.

        Raises `MigrationError` when it fails. Whatever was recorded until then is what the program gets.
        """
        problems: list[MigrationError] = []

        async def renew() -> Program:
            try:
                await change()
            except MigrationError as error:
                problems.append(error)
            except (DurableError, OSError) as error:
                problems.append(MigrationError(str(error), fix="mend that, and do this again"))
            if problems and not self._preparation.pending(config).is_empty:
                raise problems[0]
            return self._taken(config)

        await self._supervisor.exchange(renew)
        if problems:
            raise problems[0]

    async def _try_out(self, config: Config, pending: MigrationPlan) -> None:
        if config.dev.reload == "restart":
            return  # it takes what its predecessor still has, such as a port
        refused = await self._supervisor.try_out(self._preparation.preview(config, pending))
        if refused is None:
            return
        if refused.errors:
            first = refused.errors[0]
            raise MigrationError(f"nothing was migrated: the code does not fit.\n{first}", fix=first.fix)
        report = refused.report
        raise LoadFailedError(f"nothing was migrated: the program cannot be loaded.\n{report.type}: {report.message}")

    async def _apply(self, config: Config, pending: MigrationPlan, folder: Path | None) -> None:
        """Apply whatever is pending, while no host has a file open."""
        keys = {row.class_name: row.key for row in self._preparation.state_db.namespaces(config.environment)}
        gone = [
            keys[step.class_name]
            for step in pending.steps()
            if isinstance(step, DeleteClass) and step.class_name in keys
        ]
        for key in gone:
            await self._index.forget(key)
        self._preparation.apply(config, pending, folder)
        self._end(gone)

    def _end(self, keys: Sequence[str]) -> None:
        """Nothing of these namespaces waits or is connected any more."""
        self._alarms.forget_namespaces(keys)
        self._sockets.end_namespaces(keys)

    def _taken(self, config: Config) -> Program:
        program = self._preparation.program(config)
        self._take(config, program)
        return program
