"""Applying a plan: the record in one transaction, then the folders. Every step can be done again by whoever comes next.

Between any two of them a crash leaves the state as it was before the plan or as it is after it, once it is opened.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from durable.clock import Clock
from durable.errors import MigrationError
from durable.failpoints import failpoint
from durable.storage.class_life.moves import finish_moves
from durable.storage.class_life.transfer import Donor, Handover, finish_runs, new_run, record_run, run_document
from durable.storage.layout import StateLayout
from durable.storage.migration_plan import CreateClass, MigrationPlan, TransferClass
from durable.storage.state_db import Arrival, StateDatabase

__all__ = ["FindDonor", "apply_plan", "finish", "new_key", "open_state"]

KEY_SUFFIX_BITS: Final = 48
"""12 hex digits behind the class name: with 1000 namespaces ever made, a collision has odds of 1 in 500 million."""

FindDonor = Callable[[TransferClass], Donor]
"""Where a transfer takes its class from; raises `UserInputError` when nobody knows."""


def no_donor(step: TransferClass) -> Donor:
    raise MigrationError(
        f"it is not known where the worker {step.source_script} keeps its objects", fix="durable migrate --from FOLDER"
    )


def new_key(class_name: str, source: random.Random) -> str:
    """`Room-9f3a0c21b7de`"""
    return f"{class_name}-{source.getrandbits(KEY_SUFFIX_BITS):0{KEY_SUFFIX_BITS // 4}x}"


def open_state(layout: StateLayout, *, create: bool = True) -> StateDatabase:
    """The state's record, with everything finished that a crash has left half done. The caller holds the lock."""
    state_db = StateDatabase(layout.state_file, create=create)
    try:
        finish(state_db, layout)
    except BaseException:
        state_db.close()
        raise
    return state_db


def finish(state_db: StateDatabase, layout: StateLayout) -> list[Path]:
    """Bring runs and moves to an end that a crash interrupted; returns where folders went."""
    finish_runs(state_db)
    return finish_moves(state_db, layout)


def apply_plan(
    plan: MigrationPlan,
    state_db: StateDatabase,
    layout: StateLayout,
    *,
    environment: str | None,
    clock: Clock,
    source: random.Random,
    find_donor: FindDonor = no_donor,
) -> None:
    """Bring the state up to date. No host may have files of a class open that is deleted or that comes from elsewhere.

    Raises `MigrationError` or `StateInUseError` before anything is changed.
    """

    def make_key(class_name: str) -> str:
        return new_key(class_name, source)

    with ExitStack() as ending:
        handover = Handover(layout, state_db, ending)
        for step in plan.transfers():
            handover.take(step, find_donor(step))
        now_ms = clock.wall_ms()
        if handover.is_between_states:
            _record_with_others(handover, plan, state_db, environment, now_ms, make_key)
        else:
            state_db.apply(environment, plan, now_ms=now_ms, make_key=make_key, arrivals=handover.arrivals)
        failpoint("class_life.recorded")
        finish_moves(state_db, layout)


def _record_with_others(
    handover: Handover,
    plan: MigrationPlan,
    state_db: StateDatabase,
    environment: str | None,
    now_ms: int,
    make_key: Callable[[str], str],
) -> None:
    run = new_run()
    arrivals: dict[str, Arrival] = handover.arrivals
    # Chosen now: whoever finishes the run after a crash has to come to the same end.
    keys = {step.class_name: make_key(step.class_name) for step in plan.steps() if isinstance(step, CreateClass)}
    document = run_document(environment, plan, arrivals, keys, now_ms)
    state_db.begin_run(run, document)
    failpoint("class_life.planned")
    handover.release(run, now_ms)
    record_run(state_db, run, document, arrivals)
