"""Copying and replacing whole files so that a power cut leaves the old contents or the new, never a piece."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import Final

from durable.errors import StorageError
from durable.storage.layout import FILE_MODE, sync_folder

_FICLONE: Final = 0x4004_9409
"""ioctl_ficlone(2): share the blocks until one side is written to; btrfs, XFS, bcachefs."""
_PIECE_BYTES: Final = 1 << 20
_WRITE: Final = os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_file(source: Path, target: Path, *, sync_name: bool = True) -> None:
    """Make `target` a copy that is on disk when this returns; its name, too, unless that is seen to. Raises OSError."""
    draft = Path(f"{target}.new")
    copy_bytes(source, draft, None)
    os.rename(draft, target)
    if sync_name:
        sync_folder(target.parent)


def copy_bytes(source: Path, target: Path, size: int | None, *, sync: bool = True) -> None:
    """Copy the first `size` bytes, or all of them; without a copy in memory where the system can. Raises OSError."""
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = os.open(target, _WRITE, FILE_MODE)
        try:
            _copy(reader, writer, size)
            if sync:
                os.fsync(writer)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy(reader: int, writer: int, size: int | None) -> None:
    if size is None and sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.ioctl(writer, _FICLONE, reader)
            return
    left = os.fstat(reader).st_size if size is None else size
    copy_range = getattr(os, "copy_file_range", None)
    if copy_range is not None:
        with contextlib.suppress(OSError):  # from one file system to another, or one that cannot
            while left and (copied := copy_range(reader, writer, left)):
                left -= copied
    with open(reader, "rb", closefd=False) as stream, open(writer, "wb", closefd=False) as out:
        while left and (piece := stream.read(min(left, _PIECE_BYTES))):
            out.write(piece)
            left -= len(piece)


def write_zeros(path: Path, size: int) -> None:
    """Make a file of zeros whose blocks are written: to write over them needs no change of the file's metadata.

    Raises OSError.
    """
    descriptor = os.open(path, _WRITE, FILE_MODE)
    try:
        zeros = bytes(1 << 20)
        while size > 0:
            size -= os.write(descriptor, zeros[:size] if size < len(zeros) else zeros)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_path(path: Path) -> None:
    """Put a file's contents on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(folder: Path) -> None:
    """Put everything that was written to a folder's file system on the disk. Raises StorageError when it refuses."""
    if sys.platform != "linux":
        os.sync()
        return
    import ctypes  # loaded here: only whole folders need it

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # syncfs(2) and not os.sync(): other disks are none of our business, and only this one says that it failed.
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise StorageError(f"the disk refused to make {folder} durable: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes, *, sync: bool = True, sync_name: bool = True) -> None:
    """Give `path` this content, durably unless whoever calls sees to that, or to its name. Raises OSError."""
    draft = Path(f"{path}.new")
    descriptor = os.open(draft, _WRITE, FILE_MODE)
    try:
        os.write(descriptor, content)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(draft, path)
    if sync and sync_name:
        sync_folder(path.parent)
