"""Which SQLite VFS object files and indexes are opened through: SQLite's own, unless a test put another in between.

A test registers an `apsw.VFS` that records what is written, or fails, and names it in `DURABLE_SQLITE_VFS`.
"""

from __future__ import annotations

import os
from typing import Final

VFS_VARIABLE: Final = "DURABLE_SQLITE_VFS"


def vfs_name() -> str | None:
    """For `apsw.Connection(vfs=…)`; None means SQLite's default. Read at each opening, so that a test may change it."""
    return os.environ.get(VFS_VARIABLE) or None
