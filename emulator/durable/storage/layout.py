"""Where everything of a state directory lies, and making its folders; opens no database and takes no lock.

    <state>/<namespace>/<first two hex digits>/<64 hex>.sqlite      one object
                                               ….sqlite-wal         its write-ahead log
                                               ….sqlite-times       when its commits were, for point-in-time recovery
                                               ….history/           logs and copies put aside for it (history_folder)
                                               ….sqlite-next        zeros that the next log is written over
                                               ….sqlite-draft, ….sqlite-restoring    while it is restored or replaced
    <state>/<namespace>/index.sqlite                                known objects
    <state>/state.sqlite                                            namespaces, applied migrations, settings
    <state>/state.sqlite.format-<n>                                 the same before it was brought up to date
    <state>/.lock                                                   held by every process of the running emulator
    <state>/../deleted/<namespace>-<time>/                          what a migration deleted

Folders are 0700 and files 0600: objects hold other people's data.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from durable.errors import UserInputError

__all__ = ["FILE_MODE", "FOLDER_MODE", "StateLayout", "is_namespace_key", "sync_folder"]

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_NAMESPACE_SUFFIX = re.compile(r"[0-9a-f]{8,12}")
_OBJECT_ID = re.compile(r"[0-9a-f]{64}")


class StateLayout:
    """Paths under one state directory.

    Its own path is resolved, because SQLite is told to refuse symbolic links inside it. What was deleted goes beside
    the path as it was given: next to the link, not next to what it points to.
    """

    def __init__(self, state: Path) -> None:
        self.state = Path(os.path.realpath(state))
        self.state_file = self.state / "state.sqlite"
        self.lock_file = self.state / ".lock"
        self.deleted_folder = Path(os.path.abspath(state)).parent / "deleted"
        self._folders: dict[str, str] = {}

    def namespace_folder(self, namespace: str) -> Path:
        if not is_namespace_key(namespace):
            raise ValueError(f"not the key of a namespace: {namespace!r}")
        return self.state / namespace

    def index_file(self, namespace: str) -> Path:
        return self.namespace_folder(namespace) / "index.sqlite"

    def object_file(self, namespace: str, object_id: str) -> Path:
        if not _OBJECT_ID.fullmatch(object_id):
            raise ValueError(f"not the id of an object: {object_id!r}")
        folder = self._folders.get(namespace)
        if folder is None:
            folder = self._folders[namespace] = str(self.namespace_folder(namespace))
        # In one piece: to put a Path together from parts takes longer than to look whether the file is there.
        return Path(f"{folder}/{object_id[:2]}/{object_id}.sqlite")

    def ensure(self) -> tuple[str, ...]:
        """Make the state directory; returns sentences about what is unsafe in one that was there.

        Raises `UserInputError` when it cannot be made or written to.
        """
        try:
            make_folder(self.state)
            mode = self.state.stat().st_mode
        except OSError as error:
            raise unusable(self.state, error) from error
        if not os.access(self.state, os.W_OK | os.X_OK):
            raise unusable(self.state, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            return (f"{self.state} can be written by other users of this machine; run: chmod 700 {self.state}",)
        return ()

    def ensure_namespace(self, namespace: str) -> Path:
        """Make the namespace's folder, durably."""
        folder = self.namespace_folder(namespace)
        make_folder(folder)
        return folder

    def ensure_object_folder(self, namespace: str, object_id: str) -> Path:
        """Make the folder that the object's file goes into, durably."""
        folder = self.object_file(namespace, object_id).parent
        make_folder(folder)
        return folder


def is_namespace_key(text: str) -> bool:
    """`ChatRoom-9f3a0c21b7de`: nothing that could leave the state directory."""
    class_name, _, suffix = text.rpartition("-")
    return class_name.isidentifier() and _NAMESPACE_SUFFIX.fullmatch(suffix) is not None


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents; when it returns they survive a power cut.

    A file's own fsync does not save the entry that names it: that entry is data of the folder above.
    """
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(FOLDER_MODE, exist_ok=True)
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unusable(path: Path, error: OSError) -> UserInputError:
    """A state directory that cannot be used, with what to do about it."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        reason = "it, or a folder above it, is a file"
    elif error.errno == errno.EROFS:
        reason = "it is on a read-only file system"
    elif error.errno == errno.ENOLCK:
        reason = "its file system has no locks"
    else:
        reason = os.strerror(error.errno) if error.errno else str(error)
    return UserInputError(
        f"the state directory {path} cannot be used: {reason}", fix="--persist-to DIR keeps it somewhere else"
    )
