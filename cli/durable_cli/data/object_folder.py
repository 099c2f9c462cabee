"""A folder of objects: a file for each, and `objects.jsonl`, which says whose they are. Snapshots and exports are such.

    {"durable": "folder", "version": 1, "class": "ChatRoom", "environment": null, "created_ms": 1769860800000}
    {"file": "6b1e….sqlite", "name": "general", "id": "6b1e…", "bytes": 8192}
    {"end": {"objects": 1}}

The folder has its name when it is complete. Must not know what is in the files.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from durable.errors import UserInputError
from durable.storage.file_copy import sync_file_system
from durable.storage.layout import FILE_MODE, FOLDER_MODE, make_folder, sync_folder

MANIFEST: Final = "objects.jsonl"
VERSION: Final = 1
_FILE_NAME: Final = re.compile(r"[0-9a-f]{64}\.(?:sqlite|sql)")
"""Nothing that could lead out of the folder."""


@dataclass(frozen=True, slots=True)
class FolderHead:
    """Where the objects were when the folder was made."""

    class_name: str
    environment: str | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One object: `FolderEntry(Path("…/6b1e….sqlite"), "general", "6b1e…", 8192)`."""

    path: Path
    name: str | None
    id: str
    bytes: int


class FolderWriter:
    """Used as a context: the folder is there when it ended well, and nothing is when it did not."""

    def __init__(self, folder: Path, head: FolderHead) -> None:
        """Raises UserInputError when something has the folder's name."""
        self.folder = folder
        self.count = 0
        self.bytes = 0
        # A name of its own: another command may be writing there, too.
        self._draft = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.new"
        if os.path.lexists(folder):
            raise UserInputError(f"{folder} exists already, and nothing was changed", fix="name a folder that does not")
        make_folder(folder.parent)
        self._draft.mkdir(FOLDER_MODE)
        self._manifest = open(self._draft / MANIFEST, "w", encoding="utf-8", opener=own_file)  # noqa: SIM115
        self._write(
            {
                "durable": "folder", "version": VERSION, "class": head.class_name, "environment": head.environment,
                "created_ms": head.created_ms,
            }
        )  # fmt: skip

    def path_of(self, identity: str, suffix: str) -> Path:
        """Where the file of an object goes, before `add` is told of it."""
        return self._draft / f"{identity}.{suffix}"

    def add(self, path: Path, name: str | None, identity: str) -> None:
        size = path.stat().st_size
        self._write({"file": path.name, "name": name, "id": identity, "bytes": size})
        self.count += 1
        self.bytes += size

    def _write(self, document: dict[str, Any]) -> None:
        self._manifest.write(json.dumps(document, ensure_ascii=False) + "\n")

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        if kind is None:
            self._write({"end": {"objects": self.count}})
        self._manifest.close()
        if kind is not None:
            shutil.rmtree(self._draft, ignore_errors=True)
            return
        # Once for all that was written: to sync each file takes longer than to make it.
        sync_file_system(self._draft)
        os.rename(self._draft, self.folder)
        sync_folder(self.folder.parent)


def own_file(path: str, flags: int) -> int:
    """For `open(opener=…)`: a file that only its owner may read."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)


def read_head(folder: Path) -> FolderHead:
    """Raises UserInputError for a folder that is none of ours."""
    for document in _documents(folder):
        match document:
            case {
                "durable": "folder", "version": int(version), "class": str(class_name),
                "environment": str() | None as environment, "created_ms": int(created_ms),
            }:  # fmt: skip
                if version > VERSION:
                    raise UserInputError(
                        f"{folder / MANIFEST} has format {version}, and this durable reads up to {VERSION}",
                        fix="read it with the version that wrote it, or a newer one",
                    )
                return FolderHead(class_name, environment, created_ms)
            case _:
                break
    raise UserInputError(
        f"{folder / MANIFEST} does not begin like one", fix="durable objects export writes such folders"
    )


def read_entries(folder: Path) -> Iterator[FolderEntry]:
    """Raises UserInputError where the list is damaged or cut off."""
    count = 0
    for number, document in enumerate(_documents(folder), start=1):
        match document:
            case {"file": str(file), "name": str() | None as name, "id": str(identity), "bytes": int(size)}:
                if not _FILE_NAME.fullmatch(file):
                    raise UserInputError(f"{folder / MANIFEST}:{number}: {file[:80]!r} is not a file of such a folder")
                count += 1
                yield FolderEntry(folder / file, name, identity, size)
            case {"end": {"objects": int(objects)}} if objects == count:
                return
            case {"durable": _}:
                pass
            case _:
                raise UserInputError(f"{folder / MANIFEST}:{number}: this line means nothing here")
    raise UserInputError(f"{folder / MANIFEST} is cut off", fix="is the folder complete?")


def _documents(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / MANIFEST
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                document: object = json.loads(line)
                if not isinstance(document, dict):
                    raise UserInputError(f"{path}:{number}: expected an object of JSON")
                yield cast("dict[str, Any]", document)
    except (FileNotFoundError, NotADirectoryError):
        raise UserInputError(
            f"{folder} has no {MANIFEST}", fix="durable objects export CLASS -o DIR writes such folders"
        ) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserInputError):
            raise
        raise UserInputError(f"{path} cannot be read: {error}") from error
