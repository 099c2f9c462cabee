"""Copies of objects' files before they are migrated: entries of one tar file, which any tar puts back.

One file per process, because making two files per object takes longer than migrating it. An entry for the log is always
there, empty when there was none: put back, it ends the log that came later, which would be read over the old file.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import IO, Final

from durable.storage.file_check import missing_file
from durable.storage.layout import FILE_MODE, make_folder

COPIED: Final = ("", "-wal", "-restoring")
"""What follows an object's path in the names of the files that are its data."""
_PIECE_BYTES: Final = 1 << 20
_USTAR_BYTES: Final = 8 << 30
"""What the older form of an entry can say of its size."""
_ALWAYS: Final = ("", "-wal")


class SnapshotWriter:
    """Appends to a new file; not synced here. Nobody may have the objects open."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)

    def add(self, path: Path) -> None:
        """Raises OSError when the disk is full, StorageError for an object without a file."""
        for suffix in COPIED:
            name = f"{path.parent.name}/{path.name}{suffix}"
            if os.path.lexists(f"{path}{suffix}"):
                with open(f"{path}{suffix}", "rb") as file:
                    self._add(name, os.fstat(file.fileno()).st_size, file)
            elif not suffix:
                raise missing_file(path)
            elif suffix in _ALWAYS:
                self._add(name, 0, None)

    def _add(self, name: str, size: int, file: IO[bytes] | None) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, FILE_MODE
        self._write(entry.tobuf(tarfile.USTAR_FORMAT if size < _USTAR_BYTES else tarfile.GNU_FORMAT))
        while file is not None and (piece := file.read(_PIECE_BYTES)):
            self._write(piece)
        self._write(bytes(-size % tarfile.BLOCKSIZE))

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._descriptor, content) :]

    def close(self) -> None:
        """End the archive as tar does."""
        os.write(self._descriptor, bytes(2 * tarfile.BLOCKSIZE))
        os.close(self._descriptor)
