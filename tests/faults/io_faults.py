"""The n-th input or output on some files fails, once or from then on: in SQLite's VFS, and in Python's calls.

Both count together, so that a loop over n meets every access of a scenario, whoever makes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import apsw
import pytest

VFS_NAME = "durable-io-faults"
_PATH_CALLS = ("open", "rename", "replace", "link", "mkdir", "unlink", "remove", "truncate")
_DESCRIPTOR_CALLS = ("write", "pwrite", "pread", "fsync", "fdatasync", "ftruncate")


class Faults:
    """Counts every access to files for which `concerns(path)` holds; fails those that were asked for."""

    def __init__(self) -> None:
        self.concerns: Callable[[str], bool] = lambda path: False
        self.full = False
        """Writes fail because the disk is full; other accesses do not fail."""
        self.forever = False
        self.count = 0
        self.failed: list[str] = []
        """What was made to fail."""
        self._fail_at = 0

    def arm(self, concerns: Callable[[str], bool], fail_at: int, *, forever: bool = False, full: bool = False) -> None:
        self.concerns, self._fail_at, self.forever, self.full = concerns, fail_at, forever, full
        self.count = 0
        self.failed = []

    def disarm(self) -> None:
        self.concerns = lambda path: False

    def meets(self, path: Any, what: str) -> bool:
        """Count this access; says whether it is to fail."""
        if path is None or not self.concerns(str(path)):
            return False
        if self.full and what not in ("xWrite", "write", "pwrite"):
            return False
        self.count += 1
        due = self.count >= self._fail_at if self.forever else self.count == self._fail_at
        if due:
            self.failed.append(what)
        return due


class FaultyVfs(apsw.VFS):
    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        super().__init__(VFS_NAME, "", maxpathname=0)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name if isinstance(name, str) or name is None else name.filename()
        if self.faults.meets(path, "xOpen"):
            raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
        return FaultyFile(self.faults, name, path, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.faults.meets(filename, "xDelete"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE)
        super().xDelete(filename, syncdir)

    def xAccess(self, pathname: str, flags: int) -> bool:
        if self.faults.meets(pathname, "xAccess"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_ACCESS)
        return super().xAccess(pathname, flags)


class FaultyFile(apsw.VFSFile):
    def __init__(self, faults: Faults, name: Any, path: str | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._faults = faults
        self._path = path

    def _meet(self, what: str, code: int) -> None:
        if self._faults.meets(self._path, what):
            raise apsw.exception_for(apsw.SQLITE_FULL if self._faults.full else code)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._meet("xRead", apsw.SQLITE_IOERR_READ)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._meet("xWrite", apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._meet("xTruncate", apsw.SQLITE_IOERR_TRUNCATE)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._meet("xSync", apsw.SQLITE_IOERR_FSYNC)

    def xFileSize(self) -> int:
        self._meet("xFileSize", apsw.SQLITE_IOERR_FSTAT)
        return super().xFileSize()


def install_faulty_calls(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of `os`, as storage code calls them, fail too; syncs are not done, so that a loop is quick."""

    def replaced(name: str, path_of: Callable[[Any], str]) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(first: Any, *args: Any, **more: Any) -> Any:
            if faults.meets(path_of(first), name):
                number = errno.ENOSPC if faults.full else errno.EIO
                raise OSError(number, os.strerror(number))
            return None if name in ("fsync", "fdatasync") else real(first, *args, **more)

        return call

    for name in _PATH_CALLS:
        monkeypatch.setattr(os, name, replaced(name, os.fsdecode))
    for name in _DESCRIPTOR_CALLS:
        monkeypatch.setattr(os, name, replaced(name, lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}")))
