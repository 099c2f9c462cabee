"""One fleet run over a state directory whose lock is held: look, copy, migrate, sync; taken up again where it stopped.

    look ──► every object is known: pending, current, refused ──► migrate ──► sync ──► the journal goes
      └ what is pending is copied on the way, synced before any original is touched

Whatever is refused ends the run before anything is written: an object newer than the files, a file edited since.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from durable.errors import MigrationError, NotFoundError
from durable.failpoints import failpoint
from durable.limits import FLEET_BATCH_OBJECTS
from durable.schema.files import ClassSchema
from durable.storage.file_copy import sync_file_system
from durable.storage.index import NamespaceIndex
from durable.storage.layout import StateLayout, make_folder
from durable.supervisor.fleet.early_sync import EarlySync
from durable.supervisor.fleet.journal import Journal, JournalRow, boot_id, open_journal
from durable.supervisor.fleet.workers import FAILED, Batch, WorkerPool

CURRENT: Final = "current"
PENDING: Final = "pending"
MIGRATED: Final = "migrated"
REFUSED: Final = "refused"
_PAGE_ROWS: Final = 1000
_NAMED_MAX: Final = 5
"""Objects that one sentence names."""


@dataclass(frozen=True)
class Target:
    """One namespace and the files that its objects should have; a class may have none."""

    namespace: str
    schema: ClassSchema

    @property
    def class_name(self) -> str:
        return self.schema.class_name


@dataclass(frozen=True, slots=True)
class Progress:
    """`phase` is look, try, migrate or sync."""

    phase: str
    done: int
    total: int
    failed: int


@dataclass(frozen=True)
class Report:
    """What a run found and did; `objects` are those that were not current, if they were asked for, else the failed."""

    counts: dict[str, int]
    versions: dict[str, dict[int, int]]
    objects: list[JournalRow]
    seconds: float
    resumed: int = 0
    snapshot: Path | None = None

    @property
    def failed(self) -> int:
        return self.counts.get(FAILED, 0)


class FleetRun:
    """`journal` is a file of its own per kind of run; what is there already is taken up if it is about the same."""

    def __init__(
        self,
        layout: StateLayout,
        targets: Sequence[Target],
        pool: WorkerPool,
        journal: Path,
        *,
        on_progress: Callable[[Progress], None],
        only: str | None = None,
    ) -> None:
        self._layout = layout
        self._targets = {target.namespace: target for target in targets}
        self._pool = pool
        self._path = journal
        self._on_progress = on_progress
        self._only = only
        self._resumed = 0

    # --- the three things to do -----------------------------------------------------------------------------------
    def status(self) -> Report:
        """Look at every object and change nothing."""
        return self._once(lambda journal: None, keep_rows=False)

    def dry_run(self) -> Report:
        """Migrate copies of what is pending; the report has each object that fails, and why."""
        return self._once(lambda journal: self._work(journal, "try", stop_at_failure=False), keep_rows=True)

    def apply(self, *, snapshot: Path | None, continue_on_error: bool, keep_rows: bool = False) -> Report:
        """Migrate what is pending. `snapshot` is a new folder for copies of it; None makes none.

        Raises MigrationError, with nothing written, when any object is refused, or cannot be read or copied.
        """
        began = time.monotonic()
        journal = self._take_up(snapshot)
        try:
            if not journal.get("ready"):
                self._prepare(journal, continue_on_error=continue_on_error)
            failpoint("fleet.ready")
            with EarlySync(self._layout.state):
                self._work(journal, "migrate", stop_at_failure=not continue_on_error)
            self._tell(journal, "sync")
            sync_file_system(self._layout.state)
            report = self._report(journal, began, keep_rows=keep_rows)
        except BaseException:
            journal.close()
            raise
        if report.failed or report.counts.get(PENDING):
            journal.close()
        else:
            journal.remove()
        return report

    def _once(self, work: Callable[[Journal], None], *, keep_rows: bool) -> Report:
        began = time.monotonic()
        journal = Journal(self._path)
        try:
            self._look(journal, "")
            work(journal)
            return self._report(journal, began, keep_rows=keep_rows)
        finally:
            journal.remove()

    # --- beginning, or going on -----------------------------------------------------------------------------------
    @property
    def _digest(self) -> str:
        parts = [f"{key} {target.schema.digest}" for key, target in sorted(self._targets.items())]
        return hashlib.sha256("\n".join([*parts, self._only or ""]).encode()).hexdigest()

    @property
    def _indexes(self) -> str:
        """What tells whether objects came or went since: an emulator may have served them in between."""
        facts: list[str] = []
        for namespace in self._targets:
            for suffix in ("", "-wal"):
                with suppress(FileNotFoundError):
                    found = os.stat(f"{self._layout.index_file(namespace)}{suffix}")
                    facts.append(f"{namespace}{suffix} {found.st_mtime_ns} {found.st_size}")
        return "\n".join(facts)

    def _take_up(self, snapshot: Path | None) -> Journal:
        """The journal of an interrupted run about the same files and objects, or a new one."""
        journal = open_journal(self._path)
        if journal.get("ready") and journal.get("digest") == self._digest and journal.get("index") == self._indexes:
            if not journal.is_of_this_boot:
                journal.doubt()
                journal.set(boot=boot_id())
            journal.retry_failed()
            self._resumed = journal.counts().get(MIGRATED, 0)
            return journal
        left = journal.get("snapshot")
        if left and not journal.get("ready"):
            # Copies that were never finished: the originals were not touched either.
            shutil.rmtree(left, ignore_errors=True)
        journal.remove()
        journal = Journal(self._path)
        journal.set(digest=self._digest, boot=boot_id(), snapshot=str(snapshot or ""))
        return journal

    def _prepare(self, journal: Journal, *, continue_on_error: bool) -> None:
        folder = journal.get("snapshot")
        if folder:
            make_folder(Path(folder))
        try:
            self._look(journal, folder)
            counts = journal.counts()
            if counts.get(REFUSED):
                raise self._refusal(journal, REFUSED, counts[REFUSED])
            if counts.get(FAILED) and not continue_on_error:
                raise self._refusal(journal, FAILED, counts[FAILED])
        except BaseException:
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if folder and not counts.get(PENDING):
            shutil.rmtree(folder, ignore_errors=True)
            journal.set(snapshot="")
        elif folder:
            self._tell(journal, "sync")
            sync_file_system(Path(folder))
        journal.set(ready="1", index=self._indexes)

    def _refusal(self, journal: Journal, state: str, count: int) -> MigrationError:
        shown = "\n".join(f"    {self._named(row)}: {row.error}" for row in islice(journal.rows(state), _NAMED_MAX))
        more = f"\n    and {count - _NAMED_MAX} more" if count > _NAMED_MAX else ""
        what = "do not go together with the files" if state == REFUSED else "cannot be read or copied"
        fix = "run the code that made them, or put the files back as they were"
        if state == FAILED:
            fix = "put that right, or leave them out: --continue-on-error"
        return MigrationError(f"{count} objects {what}; nothing was written:\n{shown}{more}", fix=fix)

    def _named(self, row: JournalRow) -> str:
        return f"{self._targets[row.namespace].class_name} " + (f'"{row.name}"' if row.name is not None else row.id)

    # --- doing it -------------------------------------------------------------------------------------------------
    def _look(self, journal: Journal, snapshot: str) -> None:
        total = len(self._targets) if self._only is not None else sum(map(self._count, self._targets))
        done = failed = 0
        for rows in self._pool.run(self._batches(self._known(), "look", snapshot), stop_at_failure=False):
            journal.add(rows)
            done += len(rows)
            failed += sum(row.state == FAILED for row in rows)
            self._on_progress(Progress("look", done, max(total, done), failed))
        if self._only is not None and not done:
            raise NotFoundError(f'no class with migrations has an object named "{self._only}"', fix="durable sql CLASS")

    def _work(self, journal: Journal, todo: str, *, stop_at_failure: bool) -> None:
        counts = journal.counts()
        done = sum(counts.values()) - counts.get(PENDING, 0) - counts.get(CURRENT, 0) - counts.get(REFUSED, 0)
        failed = counts.get(FAILED, 0)
        total = done + counts.get(PENDING, 0)
        for rows in self._pool.run(self._batches(journal.rows(PENDING), todo, ""), stop_at_failure=stop_at_failure):
            # Seen as pending, and current now: an earlier part of this run did it, and died before it could say so.
            rows = [row._replace(state=MIGRATED) if row.state == CURRENT else row for row in rows]
            journal.settle(rows)
            done += len(rows)
            failed += sum(row.state == FAILED for row in rows)
            self._on_progress(Progress(todo, done, total, failed))
            failpoint("fleet.noted")

    def _tell(self, journal: Journal, phase: str) -> None:
        total = sum(journal.counts().values())
        self._on_progress(Progress(phase, total, total, journal.counts().get(FAILED, 0)))

    def _batches(self, rows: Iterator[JournalRow], todo: str, snapshot: str) -> Iterator[Batch]:
        for namespace, mine in groupby(rows, key=lambda row: row.namespace):
            target = self._targets[namespace]
            folder = str(Path(snapshot) / namespace) if snapshot else ""
            while batch := list(islice(mine, FLEET_BATCH_OBJECTS)):
                yield Batch(todo, namespace, target.class_name, target.schema.digest, folder, batch)

    def _known(self) -> Iterator[JournalRow]:
        position = 0
        for namespace in self._targets:
            if not self._layout.index_file(namespace).exists():
                continue
            after: str | None = None
            while True:
                with closing(NamespaceIndex(self._layout.index_file(namespace))) as index:
                    if self._only is not None:
                        page = tuple(filter(None, [index.find_by_name(self._only)]))
                    else:
                        page = index.list(after, _PAGE_ROWS)
                for row in page:
                    position += 1
                    yield JournalRow(position, namespace, row.id, row.name, PENDING, 0, 0, 0.0, "")
                if len(page) < _PAGE_ROWS:
                    break
                after = page[-1].id

    def _count(self, namespace: str) -> int:
        if not self._layout.index_file(namespace).exists():
            return 0
        with closing(NamespaceIndex(self._layout.index_file(namespace))) as index:
            return index.count()

    def _report(self, journal: Journal, began: float, *, keep_rows: bool) -> Report:
        kept = journal.rows() if keep_rows else journal.rows(FAILED, REFUSED)
        snapshot = journal.get("snapshot")
        return Report(
            counts=journal.counts(),
            versions={namespace: journal.versions(namespace) for namespace in self._targets},
            objects=[row for row in kept if row.state != CURRENT],
            seconds=time.monotonic() - began,
            resumed=self._resumed,
            snapshot=Path(snapshot) if snapshot else None,
        )
