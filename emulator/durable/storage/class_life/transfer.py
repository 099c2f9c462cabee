"""Taking classes out of other projects' states: both locks held, one moment at which they change hands.

    note the run here ─► let go of the namespaces there ─► record them here ─► move their folders
                              the moment: before it nothing happened, after it the rest is done

The moment is one transaction in the state that gives. A crash before it leaves a note that the next opening throws
away; a crash after it leaves a note that the next opening finishes, without the other state's lock: what that has let
go of is not its own any more.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from durable.errors import MigrationError, StateInUseError, StorageError
from durable.failpoints import failpoint
from durable.storage.layout import StateLayout
from durable.storage.lock import StateLock
from durable.storage.migration_plan import MigrationPlan, PlannedMigration, TransferClass, step_from_json
from durable.storage.state_db import Arrival, NamespaceRow, StateDatabase

__all__ = ["Donor", "Handover", "finish_runs"]


class Donor(Struct, frozen=True):
    """Where another worker's objects are: its state, and the environment that goes by the worker's name."""

    state: Path
    environment: str | None


class Handover:
    """The other states that one plan takes classes from: locked, open, and looked through."""

    def __init__(self, layout: StateLayout, state_db: StateDatabase, ending: ExitStack) -> None:
        """`ending` closes and unlocks what is opened here."""
        self._layout = layout
        self._state_db = state_db
        self._ending = ending
        self._opened: dict[Path, StateDatabase] = {}
        self._keys: dict[Path, list[str]] = {}
        self.arrivals: dict[str, Arrival] = {}
        """By the name that the class gets here."""

    def take(self, step: TransferClass, donor: Donor) -> None:
        """Look for the class there. Raises `MigrationError` when it cannot come, `StateInUseError` when it is held."""
        state = StateLayout(donor.state).state
        own = state == self._layout.state
        database = self._state_db if own else self._open(state, step)
        rows = {row.class_name: row for row in database.namespaces(donor.environment)}
        row = rows.get(step.source)
        if row is None:
            raise MigrationError(
                f"the worker {step.source_script} has no class {step.source} in {donor.state}",
                fix=f"its classes: {', '.join(sorted(rows)) or 'none'}",
            )
        self._refuse_unfit(step, row, own=own)
        arrival = Arrival(
            row.key, row.sqlite, row.created_ms, donor.environment or "", step.source, "" if own else str(state)
        )
        self.arrivals[step.target] = arrival
        if not own:
            self._keys.setdefault(state, []).append(row.key)

    def release(self, run: str, now_ms: int) -> None:
        """Have every other state let go of what this run takes."""
        for state, keys in self._keys.items():
            self._opened[state].release(keys, run, now_ms)
            failpoint("class_life.released")

    @property
    def is_between_states(self) -> bool:
        return bool(self._keys)

    def _open(self, state: Path, step: TransferClass) -> StateDatabase:
        database = self._opened.get(state)
        if database is None:
            if not StateLayout(state).state_file.exists():
                raise MigrationError(
                    f"the worker {step.source_script} has no state in {state}", fix="durable migrate --from FOLDER"
                )
            lock = StateLock.acquire(state, what="durable migrate of another project")
            self._ending.callback(lock.release)
            database = self._ending.enter_context(StateDatabase(StateLayout(state).state_file))
            if database.unfinished_moves() or database.unfinished_runs():
                raise MigrationError(
                    f"an earlier migration of the worker {step.source_script} was interrupted",
                    fix="durable migrate, in that project, finishes it",
                )
            self._opened[state] = database
        return database

    def _refuse_unfit(self, step: TransferClass, row: NamespaceRow, *, own: bool) -> None:
        if step.sqlite is not None and step.sqlite != row.sqlite:
            has, wanted = ("sqlite" if kind else "legacy-kv" for kind in (row.sqlite, step.sqlite))
            raise MigrationError(
                f'{step.source} of the worker {step.source_script} is stored as "{has}", exports expects "{wanted}"',
                fix=f'storage = "{has}"',
            )
        if not own and self._state_db.knows_key(row.key):
            raise MigrationError(
                f"the objects of {step.source} ({row.key}) were here before: one of the two states is a copy",
                fix="take the class out of transferred_classes, and delete it in one of the projects",
            )


def new_run() -> str:
    return uuid.uuid4().hex


def run_document(
    environment: str | None, plan: MigrationPlan, arrivals: Mapping[str, Arrival], keys: Mapping[str, str], now_ms: int
) -> dict[str, object]:
    """All that it takes to record the plan later; `keys` are those of the classes that it creates."""
    entries = [
        {
            "tag": migration.tag,
            "steps": [step.to_json() for step in migration.steps],
            "declared": migration.declared,
        }
        for migration in plan.migrations
    ]
    return {
        "environment": environment,
        "applied": list(plan.applied),
        "entries": entries,
        "arrivals": {target: asdict(arrival) for target, arrival in arrivals.items()},
        "keys": dict(keys),
        "now_ms": now_ms,
    }


def finish_runs(state_db: StateDatabase) -> None:
    """Record what another state has let go of before a crash, and forget runs that had not come that far."""
    for run, document in state_db.unfinished_runs():
        arrivals = {target: Arrival(**arrival) for target, arrival in document["arrivals"].items()}
        released = _released(run, arrivals)
        if not released:
            state_db.drop_run(run)
            continue
        _release_rest(run, arrivals, released, document["now_ms"])
        record_run(state_db, run, document, arrivals)


def record_run(state_db: StateDatabase, run: str, document: Mapping[str, Any], arrivals: Mapping[str, Arrival]) -> None:
    entries = tuple(
        PlannedMigration(
            entry["tag"], tuple(step_from_json(step) for step in entry["steps"]), declared=entry["declared"]
        )
        for entry in document["entries"]
    )
    keys: dict[str, str] = document["keys"]
    state_db.apply(
        document["environment"],
        MigrationPlan(tuple(document["applied"]), entries),
        now_ms=document["now_ms"],
        make_key=keys.__getitem__,
        arrivals=arrivals,
        run=run,
    )


def _released(run: str, arrivals: Mapping[str, Arrival]) -> set[str]:
    """The states that have let go."""
    found: set[str] = set()
    for arrival in arrivals.values():
        if not arrival.state:
            continue
        file = StateLayout(Path(arrival.state)).state_file
        if not file.exists():
            raise StorageError(
                f"an interrupted transfer took classes from {arrival.state}, which is not there any more; put it back"
            )
        with StateDatabase(file) as database:
            if database.was_released(arrival.key, run):
                found.add(arrival.state)
    return found


def _release_rest(run: str, arrivals: Mapping[str, Arrival], released: set[str], now_ms: int) -> None:
    """Of several other states one has let go: the others follow."""
    for state in sorted({arrival.state for arrival in arrivals.values() if arrival.state} - released):
        try:
            lock = StateLock.acquire(Path(state), what="durable migrate of another project")
        except StateInUseError as error:
            raise MigrationError(
                f"an interrupted transfer has to take more from {state}, which is in use by {error.holder}",
                fix="stop that process, and do this again",
            ) from error
        with lock, StateDatabase(StateLayout(Path(state)).state_file) as database:
            database.release([each.key for each in arrivals.values() if each.state == state], run, now_ms)
