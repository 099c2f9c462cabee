"""Looks a whole state directory over: its record of classes first, then every class. Needs the state lock."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw

from durable.storage.checkup.finding import DOCTOR, Finding, Subject
from durable.storage.checkup.lost_and_found import LostAndFound
from durable.storage.checkup.namespace import NamespaceCheckup
from durable.storage.checkup.permissions import permission_findings
from durable.storage.checkup.reading import opened, quick_check
from durable.storage.layout import StateLayout, is_namespace_key
from durable.storage.schema import TABLE_EXISTS
from durable.storage.state_format import APPLICATION_ID, FORMAT_VERSION

_OURS: Final = re.compile(r"\.lock|state\.sqlite(-wal|-shm|\.format-\d+(\.unfinished)?)?")
_TRY: Final = re.compile(r"durable-try-\w+")
"""Folders that trying migrations makes beside the state, and removes unless it is killed."""


@dataclass(frozen=True, slots=True)
class _Record:
    """`state.sqlite` as far as it can be read; `damage` says why it cannot."""

    namespaces: dict[str, Subject]
    moving: frozenset[str] = frozenset()
    version: int = FORMAT_VERSION
    damage: str = ""


class Checkup:
    """`findings()` looks at everything once, and tells how far it is."""

    def __init__(self, layout: StateLayout, *, on_progress: Callable[[int, int], None] | None = None) -> None:
        """`on_progress(objects, of_how_many)`"""
        self._layout = layout
        self._lost = LostAndFound(layout)
        self._on_progress = on_progress or _nobody
        self._total = 0
        self.objects = 0
        """Files of objects that were looked at."""
        self.classes = 0

    def findings(self) -> Iterator[Finding]:
        """One at a time: what is to be mended is mended before the next one is asked for."""
        state = self._layout.state
        record = _read_record(self._layout.state_file)
        folders = sorted(path for path in state.iterdir() if is_namespace_key(path.name) and path.is_dir())
        yield from self._record_findings(record, folders)
        if record.version > FORMAT_VERSION:
            return
        yield from permission_findings(state, Subject(), is_deep=False)
        yield from self._around(folders)
        checkups: list[NamespaceCheckup] = []
        for folder in folders:
            subject = record.namespaces.get(folder.name)
            if subject is None and not record.damage:
                if folder.name not in record.moving:
                    yield _unreachable(folder)
                continue
            subject = subject or Subject(folder.name.rpartition("-")[0])
            yield from permission_findings(folder, subject, is_deep=True)
            checkups.append(NamespaceCheckup(self._layout, folder.name, subject, self._lost, on_object=self._looked))
        self.classes = len(checkups)
        self._total = sum(checkup.count() for checkup in checkups)
        for checkup in checkups:
            yield from checkup.findings()

    def _looked(self) -> None:
        self.objects += 1
        self._on_progress(self.objects, self._total)

    def _record_findings(self, record: _Record, folders: list[Path]) -> Iterator[Finding]:
        path = self._layout.state_file
        if record.version > FORMAT_VERSION:
            yield Finding(
                "newer", Subject(), str(path), f"has format {record.version}; this version knows {FORMAT_VERSION}",
                "a newer durable wrote this state; nothing else was looked at", "use that version",
            )  # fmt: skip
        elif record.damage and (folders or path.exists()):
            yield Finding(
                "state", Subject(), str(path), record.damage,
                "it says which folder belongs to which class; without it no object is found",
                f"put a copy of it back; {DOCTOR} keeps a copy of what is there in lost+found, beside it",
                keep=partial(self._lost.keep_copy, path) if path.exists() else None,
            )  # fmt: skip
        if record.moving:
            yield Finding(
                "unfinished", Subject(), str(path), "has folders of classes that are still to be moved",
                "nothing is lost; the next durable dev or durable migrate finishes it", "durable migrate",
                is_problem=False,
            )  # fmt: skip

    def _around(self, folders: list[Path]) -> Iterator[Finding]:
        """What lies beside the folders of classes, and beside the state."""
        for path in sorted(set(self._layout.state.iterdir()) - set(folders)):
            if path.name.endswith(".unfinished") and _OURS.fullmatch(path.name):
                yield _leftover(path, partial(path.unlink, missing_ok=True))
            elif not _OURS.fullmatch(path.name):
                yield Finding(
                    "stray", Subject(), str(path), "is nothing that durable made", "it is not read, and does no harm",
                    "move it away", is_problem=False,
                )  # fmt: skip
        for path in sorted(self._layout.state.parent.iterdir()):
            if _TRY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield _leftover(path, partial(shutil.rmtree, path))


def _read_record(path: Path) -> _Record:
    if not os.path.lexists(path) or not path.stat().st_size:
        return _Record({}, damage="is empty" if path.exists() else "is missing")
    try:
        with opened(path) as connection:
            if connection.pragma("application_id") != APPLICATION_ID:
                return _Record({}, damage="was not written by durable")
            version = int(connection.execute("SELECT value FROM settings WHERE name = 'format_version'").get or 0)
            if version > FORMAT_VERSION:
                return _Record({}, version=version)
            namespaces, moving = _namespaces(connection), _moving(connection)
            found = quick_check(connection)
            return _Record(namespaces, moving, version, f"is damaged: {found}" if found else "")
    except (apsw.Error, OSError) as error:
        return _Record({}, damage=f"is damaged: {error}")


def _namespaces(connection: Any) -> dict[str, Subject]:
    rows = connection.execute("SELECT key, class_name, environment FROM namespaces")
    return {str(key): Subject(str(class_name), str(environment) or None) for key, class_name, environment in rows}


def _moving(connection: Any) -> frozenset[str]:
    """Namespaces whose folders are not yet where the record says."""
    if not connection.execute(TABLE_EXISTS, ("unfinished_moves",)).get:
        return frozenset()
    with contextlib.suppress(apsw.SQLError):
        return frozenset(str(key) for (key,) in connection.execute("SELECT key FROM unfinished_moves"))
    return frozenset()


def _unreachable(folder: Path) -> Finding:
    return Finding(
        "unreachable", Subject(folder.name.rpartition("-")[0]), str(folder), "belongs to no class of this state",
        "no class leads to its objects", "move it away, or back to the state that it comes from",
    )  # fmt: skip


def _leftover(path: Path, mend: Callable[[], object]) -> Finding:
    return Finding(
        "leftover", Subject(), str(path), "is left of something that was interrupted",
        "it is read by nobody, and takes room", f"{DOCTOR} removes it", is_problem=False, mend=mend,
    )  # fmt: skip


def _nobody(objects: int, total: int) -> None:
    """Nobody waits."""
