"""Making durable what a log held before this process opened it: nothing read from it may be shown to anyone before.

A host that was killed leaves commits that only the kernel knows. A sync that failed leaves pages that pass for clean
and that no later sync writes (PostgreSQL's "fsyncgate"): commits behind them would be acknowledged, and a power cut
would end the log in front of them. So such a log is written once more, byte for byte, before it grows.
"""

from __future__ import annotations

import os
from pathlib import Path

from durable.errors import StorageError
from durable.storage.database import sync_file

_PIECE_BYTES = 1024 * 1024


def sync_log(file: Path, *, rewrite: bool) -> None:
    """Sync the log of the open database `file`; costs microseconds when it is clean. Raises StorageError.

    `rewrite` after a sync of it failed. Blocks for as long as the disk takes.
    """
    try:
        descriptor = os.open(f"{file}-wal", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if rewrite:
                _rewrite(descriptor)
            sync_file(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"the disk refused to make {file} durable: {error.strerror or error}; the object is not read before the"
            " disk takes what its log holds. See the kernel's messages (dmesg) and the free space; if it stays so, stop"
            " and copy the state directory to another disk"
        ) from error


def _rewrite(descriptor: int) -> None:
    offset = 0
    while piece := os.pread(descriptor, _PIECE_BYTES, offset):
        offset += os.pwrite(descriptor, piece, offset)
