"""Looks over the folder of one class: its index, its objects' files, and whether the two agree.

Goes from one of the 256 folders to the next, so that what is in memory at a time is a small part of a large class.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from durable.sdk.ids import checked_id
from durable.storage.checkup.finding import DOCTOR, Finding, Subject
from durable.storage.checkup.index_file import IndexCheckup, Row
from durable.storage.checkup.lost_and_found import LostAndFound
from durable.storage.checkup.object_file import ObjectLook, look_at
from durable.storage.history.decision import finish_restore
from durable.storage.history.folder import HistoryFolder
from durable.storage.history.head import read_head
from durable.storage.layout import StateLayout

_NAME: Final = re.compile(r"([0-9a-f]{64})\.(sqlite.*|history)")
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_PARTS: Final = frozenset({"", "-wal", "-shm", "-times", "-next", "-restoring"})
_PLAIN_NAME: Final = re.compile(r"\w[\w.:-]*", re.ASCII)
_INDEX_PARTS: Final = frozenset({"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"})


@dataclass(slots=True)
class _Files:
    """What lies in one folder of objects, by id."""

    databases: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    histories: set[str] = field(default_factory=set[str])
    others: list[Path] = field(default_factory=list[Path])


class NamespaceCheckup:
    """`findings` looks at everything; rows of the index that are mended meanwhile are written folder by folder."""

    def __init__(
        self, layout: StateLayout, key: str, subject: Subject, lost: LostAndFound, *, on_object: Callable[[], None]
    ) -> None:
        self._layout = layout
        self._key = key
        self._subject = subject
        self._lost = lost
        self._on_object = on_object
        self._folder = layout.namespace_folder(key)
        self._index = IndexCheckup(layout, key, subject, lost)

    def count(self) -> int:
        """How many objects' files there are, for whoever waits."""
        return sum(
            entry.name.endswith(".sqlite")
            for shard in self._shards()
            for entry in os.scandir(shard)
        )  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        yield from self._index.findings(has_objects=bool(self._shards()))
        for path in sorted(self._folder.iterdir()):
            if path.name not in _INDEX_PARTS and not (_SHARD.fullmatch(path.name) and _is_folder(path)):
                yield self._stray(path)
        for shard in self._shard_names():
            yield from self._shard_findings(shard)

    # --- the objects --------------------------------------------------------------------------------------------------
    def _shards(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if _SHARD.fullmatch(path.name) and _is_folder(path)]

    def _shard_names(self) -> list[str]:
        """Those with a folder, and those that only the index has."""
        names = {path.name for path in self._shards()} | self._index.shards()
        return sorted(name for name in names if _SHARD.fullmatch(name))

    def _shard_findings(self, shard: str) -> Iterator[Finding]:
        rows = self._index.rows(shard)
        files = _files_in(self._folder / shard)
        for path in files.others:
            yield self._stray(path)
        for identity in sorted(files.databases.keys() | files.histories | rows.keys()):
            yield from self._object_findings(shard, identity, files, rows.get(identity))
        self._index.settle()

    def _object_findings(self, shard: str, identity: str, files: _Files, row: Row | None) -> Iterator[Finding]:
        subject = Subject(
            self._subject.class_name, self._subject.environment, identity, row.name if row is not None else None
        )
        path = self._folder / shard / f"{identity}.sqlite"
        parts = files.databases.get(identity, set())
        yield from _leftovers(path, parts, subject)
        if identity in files.histories:
            yield from _history_findings(path, subject)
        if "-restoring" in parts:
            yield Finding(
                "unfinished", subject, str(path), "is being put back to an earlier state, which was interrupted",
                "nothing is lost; the next use of the object finishes it", f"use the object, or {DOCTOR}",
                is_problem=False, mend=partial(finish_restore, path),
            )  # fmt: skip
        elif "" in parts:
            self._on_object()
            yield from self._file_findings(path, subject, row)
        elif "-wal" in parts and _size(f"{path}-wal"):
            yield self._missing(path, subject, "is missing, although its write-ahead log is there")
        elif row is not None:
            yield self._missing(path, subject, "is missing, although its object was stored in it")

    def _file_findings(self, path: Path, subject: Subject, row: Row | None) -> Iterator[Finding]:
        look = _looked_at(path)
        if look.damage:
            yield Finding(
                "damaged", subject, str(path), look.damage,
                "the object cannot be used until that is mended; nothing was done to the file",
                f"{_remedy(path, subject)}; {DOCTOR} keeps a copy of it as it is in lost+found, beside the state",
                keep=partial(self._lost.keep_copy, path),
            )  # fmt: skip
            return
        if not _belongs(self._key, path):
            yield Finding(
                "misplaced", subject, str(path), "has an id of another class, or is in the wrong folder",
                "no name and no id leads to it", "put it back where it came from",
            )  # fmt: skip
        elif row is None and not look.is_empty:
            yield from self._index.lacking(path, subject, look)
        elif row is not None:
            yield from self._index.disagreeing(path, subject, row, look)

    def _missing(self, path: Path, subject: Subject, what: str) -> Finding:
        return Finding(
            "missing", subject, str(path), what, "the object cannot be used; an empty one is never made in its place",
            _remedy(path, subject),
        )  # fmt: skip

    def _stray(self, path: Path) -> Finding:
        return Finding(
            "stray", self._subject, str(path), "is nothing that durable made", "it is not read, and does no harm",
            "move it away", is_problem=False,
        )  # fmt: skip


# --- one folder -------------------------------------------------------------------------------------------------------
def _files_in(folder: Path) -> _Files:
    files = _Files()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return files
    for entry in entries:
        found = _NAME.fullmatch(entry.name)
        if found is None or (found[2] == "history") != entry.is_dir(follow_symlinks=False):
            files.others.append(Path(entry.path))
        elif found[2] == "history":
            files.histories.add(found[1])
        else:
            files.databases.setdefault(found[1], set()).add(found[2].removeprefix("sqlite"))
    return files


def _leftovers(path: Path, parts: set[str], subject: Subject) -> Iterator[Finding]:
    """Drafts of what was never decided: whoever made them is gone, because we hold the lock."""
    is_deciding = "-restoring" in parts
    for part in sorted(parts - _PARTS):
        draft = Path(f"{path}{part}")
        if part.endswith(".new") or (part.startswith("-draft") and not is_deciding):
            yield _leftover(draft, subject)
        elif not part.startswith("-draft"):
            yield Finding(
                "stray", subject, str(draft), "is nothing that durable made", "it is not read, and does no harm",
                "move it away", is_problem=False,
            )  # fmt: skip
    if "-next" in parts and "" not in parts and not is_deciding:
        yield _leftover(Path(f"{path}-next"), subject)


def _history_findings(path: Path, subject: Subject) -> Iterator[Finding]:
    archive = HistoryFolder(path.with_suffix(".history"))
    for entry in sorted(os.scandir(archive.path), key=lambda each: each.name):
        if entry.name.endswith(".new"):
            yield _leftover(Path(entry.path), subject)
    if _size(archive.head) and read_head(archive) is None:
        yield Finding(
            "history", subject, str(archive.head), "is damaged",
            "the object is well; point-in-time recovery of it begins anew at its next use",
            "use the object: durable objects restore then reaches back to that moment",
        )  # fmt: skip


def _remedy(path: Path, subject: Subject) -> str:
    """A restore needs none of the files that are lost, but takes no damaged one for an object's."""
    copy = "put back a copy of the file, with that of its -wal"
    if HistoryFolder(path.with_suffix(".history")).last_segment() < 0:
        return copy
    is_plain = subject.name is not None and _PLAIN_NAME.fullmatch(subject.name)
    which = subject.name if is_plain else f"--id {path.stem}"
    return (
        f"{copy}; or move both away, and put back an earlier state from its history: "
        f"durable objects restore {subject.class_name} {which} --at TIME"
    )


def _leftover(path: Path, subject: Subject) -> Finding:
    return Finding(
        "leftover", subject, str(path), "is left of something that was interrupted",
        "it is read by nobody, and takes room", f"{DOCTOR} removes it", is_problem=False,
        mend=partial(path.unlink, missing_ok=True),
    )  # fmt: skip


def _looked_at(path: Path) -> ObjectLook:
    try:
        return look_at(path)
    except OSError as error:
        return ObjectLook(f"cannot be read: {error.strerror}")


def _belongs(key: str, path: Path) -> bool:
    try:
        checked_id(key, path.stem)
    except TypeError:
        return False
    return path.parent.name == path.stem[:2]


def _size(path: Path | str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
