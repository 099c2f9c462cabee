"""The objects' half of `durable migrate`: status, dry run and apply over all objects of the classes with migrations.

On the files when nobody serves them, else through the emulator; both give the same report.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from durable.errors import UserCodeError, UserInputError
from durable_cli import console

if TYPE_CHECKING:
    from durable.schema import ClassSchema
    from durable.storage.layout import StateLayout
    from durable.supervisor.fleet.run import Report
    from durable_cli.project import Project

JOURNAL: Final = "schema-run.sqlite"
_FAILURES_SHOWN: Final = 10
_SLOWEST_SHOWN: Final = 3


@dataclass(frozen=True)
class FleetOptions:
    """What was typed. `word` is status, try or migrate."""

    word: str
    only: str | None = None
    continue_on_error: bool = False
    snapshot: bool = True
    keep_rows: bool = False


@dataclass(frozen=True)
class ClassVersions:
    """One class: the newest version that its files make, and how many objects are of which."""

    class_name: str
    newest: int
    objects: dict[int, int]


@dataclass(frozen=True)
class FleetOutcome:
    """What a run found or did, for people and for programs; `objects` are JSON of one object each."""

    word: str
    classes: list[ClassVersions]
    counts: dict[str, int]
    objects: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    seconds: float = 0.0
    resumed: int = 0
    snapshot: Path | None = None

    @property
    def failed(self) -> int:
        return self.counts.get("failed", 0) + self.counts.get("refused", 0)

    def to_json(self) -> dict[str, object]:
        """`{"classes": [{"class": "Room", "newest": 2, "objects": {"2": 9}}], "counts": {"migrated": 9}, …}`"""
        return {
            "classes": [
                {"class": each.class_name, "newest": each.newest, "objects": each.objects} for each in self.classes
            ],
            "counts": self.counts,
            "seconds": round(self.seconds, 3),
            "resumed": self.resumed,
            "snapshot": str(self.snapshot) if self.snapshot is not None else None,
            "objects": self.objects,
        }


def run_fleet(project: Project, schemas: dict[str, ClassSchema], options: FleetOptions) -> FleetOutcome | None:
    """None for a project without migrations of objects. Raises MigrationError for objects that are refused."""
    from durable_cli.migrating.live_fleet import run_live
    from durable_cli.progress_bar import ProgressBar
    from durable_cli.project import with_state

    if not schemas:
        if options.only is not None:
            raise UserInputError("no class has migrations", fix='durable migrate new ChatRoom "first tables"')
        return None
    if options.word == "status" and not project.state.is_dir():  # taking the lock would make it
        return FleetOutcome("status", [ClassVersions(name, each.version, {}) for name, each in schemas.items()], {})
    bar = ProgressBar()
    lock_fds: list[int] = []
    try:
        return with_state(
            project,
            "durable migrate",
            on_files=lambda layout: _on_files(project, layout, schemas, options, bar.show, lock_fds[-1]),
            on_emulator=lambda client: run_live(client, schemas, options, bar.show, _snapshots(project)),
            on_lock=lock_fds.append,
        )
    finally:
        bar.end()


def read_files(project: Project) -> dict[str, ClassSchema]:
    """The checked files of every class. Raises MigrationError, before anything is applied."""
    from durable.config.classes import live_class_names
    from durable.schema import read_schemas

    return read_schemas(project.config.root, live_class_names(project.config))


def _snapshots(project: Project) -> Path:
    return project.folder / "snapshots" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _on_files(
    project: Project,
    layout: StateLayout,
    schemas: dict[str, ClassSchema],
    options: FleetOptions,
    show: Callable[[str, int, int, int], None],
    lock_fd: int,
) -> FleetOutcome:
    from durable.schema.files import without_sql
    from durable.storage.state_db import StateDatabase
    from durable.supervisor.fleet.run import FleetRun, Target
    from durable.supervisor.fleet.workers import WorkerPool
    from durable_cli.interpreter import choose_interpreter

    if not layout.state_file.exists():
        return FleetOutcome(options.word, [ClassVersions(name, s.version, {}) for name, s in schemas.items()], {})
    with StateDatabase(layout.state_file) as state:
        rows = [row for row in state.namespaces(project.config.environment) if row.class_name in schemas]
    for row in rows:
        if not row.sqlite:
            raise without_sql(row.class_name)
    targets = [Target(row.key, schemas[row.class_name]) for row in rows]
    python = choose_interpreter(None, project.config.root).path
    with (
        tempfile.TemporaryDirectory(prefix="durable-run-") as scratch,
        WorkerPool(
            python, project.config.root, layout.state, lock_fd=lock_fd,
            count=_worker_count(),
        ) as pool,
    ):  # fmt: skip
        # A run over everything can be taken up again; the others are over soon, or change nothing.
        lasting = options.word == "migrate" and options.only is None
        journal = layout.state / JOURNAL if lasting else Path(scratch) / JOURNAL
        run = FleetRun(
            layout, targets, pool, journal, only=options.only,
            on_progress=lambda at: show(at.phase, at.done, at.total, at.failed),
        )  # fmt: skip
        if options.word == "status":
            report = run.status()
        elif options.word == "try":
            report = run.dry_run()
        else:
            report = run.apply(
                snapshot=_snapshots(project) if options.snapshot else None,
                continue_on_error=options.continue_on_error,
                keep_rows=options.keep_rows,
            )
    return _outcome(options.word, targets, report)


def _worker_count() -> int:
    from durable.limits import FLEET_WORKERS_MAX

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, FLEET_WORKERS_MAX)


def _outcome(word: str, targets: Any, report: Report) -> FleetOutcome:
    names = {target.namespace: target.class_name for target in targets}
    return FleetOutcome(
        word,
        [ClassVersions(each.class_name, each.schema.version, report.versions[each.namespace]) for each in targets],
        report.counts,
        [
            {
                "class": names[row.namespace], "id": row.id, "name": row.name, "state": row.state,
                "before": row.before, "after": row.after, "ms": row.ms, "error": row.error,
                "rows": json.loads(row.rows) if row.rows else None,
            }
            for row in report.objects
        ],
        report.seconds,
        report.resumed,
        report.snapshot,
    )  # fmt: skip


# --- for people -------------------------------------------------------------------------------------------------------
def describe(outcome: FleetOutcome) -> list[str]:
    """What goes to standard output: versions, and every object that failed."""
    lines: list[str] = []
    for each in outcome.classes:
        lines.append(f"{each.class_name}: newest version {each.newest}")
        for version, count in sorted(each.objects.items(), reverse=True):
            lines.append(f"    version {version}: {count} object{'s' * (count != 1)}")
        if not each.objects:
            lines.append("    no objects yet")
    failed = [each for each in outcome.objects if each["state"] in ("failed", "refused")]
    for one in failed[:_FAILURES_SHOWN]:
        lines.append(f"{_named(one)} {one['state']}: {console.printable(str(one['error']))}")
    if len(failed) > _FAILURES_SHOWN:
        lines.append(f"and {len(failed) - _FAILURES_SHOWN} more; --json lists them all")
    if outcome.word == "try":
        lines += _describe_try(outcome)
    return lines


def _describe_try(outcome: FleetOutcome) -> list[str]:
    changed = [each for each in outcome.objects if each["state"] == "migrated"]
    if not changed:
        return []
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for each in changed:
        for total, moment in ((before, "before"), (after, "after")):
            counted = cast("dict[str, dict[str, int]]", each["rows"] or {}).get(moment, {})
            for table, count in counted.items():
                total[table] = total.get(table, 0) + count
    lines = [f"{len(changed)} object{'s' * (len(changed) != 1)} would change, {_total_ms(changed):.0f} ms in all"]
    for table in sorted(before | after):
        lines.append(
            f"    rows of {console.printable(table)}: {before.get(table, 'no table')} → {after.get(table, 'no table')}"
        )
    slowest = sorted(changed, key=lambda each: -float(each["ms"]))[:_SLOWEST_SHOWN]
    lines.append("    slowest: " + ", ".join(f"{_named(each)} {each['ms']:.1f} ms" for each in slowest))
    return lines


def _total_ms(objects: list[dict[str, Any]]) -> float:
    return sum(float(each["ms"]) for each in objects)


def _named(each: dict[str, Any]) -> str:
    name = console.printable(str(each["name"]), length_max=80) if each["name"] is not None else str(each["id"])[:12]
    return f'{each["class"]} "{name}"'


def summary(outcome: FleetOutcome) -> str:
    """`Migrated 9 objects in 0.4 s.`"""
    counts = outcome.counts
    migrated, pending = counts.get("migrated", 0), counts.get("pending", 0)
    if outcome.word == "status":
        return f"{pending} objects to migrate: durable migrate" if pending else "Every object is up to date."
    if outcome.word == "try":
        if outcome.failed:
            return f"{outcome.failed} objects would fail; nothing was changed."
        return f"{migrated} objects would be migrated; nothing was changed."
    done = f"Migrated {migrated} object{'s' * (migrated != 1)} in {outcome.seconds:.1f} s"
    if outcome.resumed:
        done += f", {outcome.resumed} of them before this run was taken up again"
    if pending:
        done += f"; {pending} are still to do"
    if outcome.snapshot is not None:
        done += f". Copies of before: {outcome.snapshot}"
    return done + "."


def raise_failures(outcome: FleetOutcome) -> None:
    """Exit code 5 for objects that failed, after everything was printed."""
    if outcome.word != "status" and outcome.failed:
        raise UserCodeError(f"{outcome.failed} object{'s' * (outcome.failed != 1)} could not be migrated")
