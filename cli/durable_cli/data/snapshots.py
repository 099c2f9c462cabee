"""Snapshots: folders of objects under .durable/snapshots, by namespace and label; taking, listing and finding them.

    .durable/snapshots/<namespace>/<label>/        as `object_folder` has it, with SQLite files

Migrations keep their copies beside them, by time; those are none of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from durable.config.nearest import did_you_mean
from durable.errors import NotFoundError, UserInputError
from durable.limits import SNAPSHOT_LABEL_CHARACTERS_MAX
from durable.storage.layout import is_namespace_key
from durable_cli.console import printable
from durable_cli.data.door import Answer, DataDoor
from durable_cli.data.exporting import SQLITE, copy_into
from durable_cli.data.object_folder import FolderEntry, FolderHead, FolderWriter, read_entries, read_head
from durable_cli.data.progress import Progress
from durable_cli.data.whole_class import raise_failures
from durable_cli.objects.finding import Target
from durable_cli.project import Project

FOLDER: Final = "snapshots"
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One or all objects of a class as they were; `name` is that of the object when it is one."""

    folder: Path
    class_name: str
    environment: str | None
    created_ms: int
    objects: int
    bytes: int
    name: str | None

    @property
    def label(self) -> str:
        return self.folder.name

    def to_json(self) -> dict[str, Any]:
        """`{"class": "ChatRoom", "label": "before-the-demo", "created_ms": …, "objects": 2, "bytes": 16384, …}`"""
        return {
            "class": self.class_name, "label": self.label, "created_ms": self.created_ms, "objects": self.objects,
            "bytes": self.bytes, "name": self.name, "folder": str(self.folder),
        }  # fmt: skip


def take(
    door: DataDoor,
    project: Project,
    class_word: str,
    target: Target | None,
    label: str | None,
    now_ms: int,
    work: Path,
    told: Progress,
) -> Snapshot:
    """Of one object, or of every one when `target` is None; without a label the time is it.

    Raises NotFoundError for an object that is not there, UserInputError for a label that is taken or is none.
    """
    found = door.find(target or Target(class_word, name=""))
    folder = _folder(project, found.namespace) / (checked_label(label) if label is not None else _free_label(now_ms))
    head = FolderHead(found.class_name, project.config.environment, now_ms)
    failures: list[str] = []
    try:
        with FolderWriter(folder, head) as writer:
            if target is not None:
                path = writer.path_of(found.id, SQLITE)
                door.copy(target, path, sync=False)
                writer.add(path, found.name, found.id)
            else:
                copy_into(writer, door, class_word, SQLITE, work, told, failures)
                # A snapshot that lacks some is worse than none: nobody would know when it is needed.
                raise_failures(failures, "copied, and no snapshot was made")
    except UserInputError as error:
        if not folder.is_dir():
            raise
        raise UserInputError(f"there is a snapshot {folder.name} already", fix="--label with another word") from error
    name = found.name if target is not None else None
    return Snapshot(folder, found.class_name, project.config.environment, now_ms, writer.count, writer.bytes, name)


def kept(project: Project, class_name: str | None = None) -> list[Snapshot]:
    """Of this environment, the latest first; one that cannot be read is left out."""
    found: list[Snapshot] = []
    for folder in (project.folder / FOLDER).glob("*/[!.]*"):
        if not is_namespace_key(folder.parent.name):
            continue  # copies that a migration made
        try:
            snapshot = _read(folder)
        except UserInputError:
            continue
        if snapshot.environment == project.config.environment and class_name in (None, snapshot.class_name):
            found.append(snapshot)
    return sorted(found, key=lambda each: (each.created_ms, each.label), reverse=True)


def find(door: DataDoor, project: Project, class_word: str, label: str) -> Path:
    """The folder of a snapshot. Raises NotFoundError that names those that are there."""
    found = door.find(Target(class_word, name=""))
    folder = _folder(project, found.namespace)
    if _LABEL.fullmatch(label) and (folder / label).is_dir():
        return folder / label
    labels = sorted(each.name for each in folder.glob("[!.]*"))
    known = f"{did_you_mean(label, labels)} There are {', '.join(labels[-10:])}." if labels else ""
    raise NotFoundError(
        f'{found.class_name} has no snapshot "{printable(label, length_max=80)}"',
        fix=known.strip() or f"durable objects snapshot {found.class_name} makes one",
    )


def entry_of(folder: Path, door: DataDoor, target: Target) -> FolderEntry:
    """The object's place in a snapshot. Raises NotFoundError."""
    identity = door.find(target).id
    for entry in read_entries(folder):
        if entry.id == identity:
            return entry
    raise NotFoundError(f"{target} is not in the snapshot {folder.name}", fix="durable objects snapshot --list")


def restore_object(door: DataDoor, project: Project, target: Target, label: str) -> Answer:
    """As `DataDoor.replace`; an object that is not there is made. Raises NotFoundError."""
    folder = find(door, project, target.class_word, label)
    return door.replace(target, entry_of(folder, door, target).path, create=True)


def checked_label(label: str) -> str:
    if not _LABEL.fullmatch(label) or len(label) > SNAPSHOT_LABEL_CHARACTERS_MAX:
        raise UserInputError(
            f'--label "{printable(label, length_max=80)}" cannot be the name of a folder',
            fix=f"letters, digits, dots, - and _, at most {SNAPSHOT_LABEL_CHARACTERS_MAX}: --label before-the-demo",
        )
    return label


def _free_label(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


def _folder(project: Project, namespace: str) -> Path:
    return project.folder / FOLDER / namespace


def _read(folder: Path) -> Snapshot:
    head = read_head(folder)
    objects = size = 0
    name: str | None = None
    for entry in read_entries(folder):
        objects += 1
        size += entry.bytes
        name = entry.name
    return Snapshot(
        folder, head.class_name, head.environment, head.created_ms, objects, size, name if objects == 1 else None
    )
