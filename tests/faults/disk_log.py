"""One ordered log of everything a process does to the files under a folder: writes, sizes, names and syncs.

Two sources feed it: an SQLite VFS for what SQLite does, and replaced functions of `os` and `open` for what Python code
does. Contents are logged after they were written, and a sync counts for what was logged before it *began*: in doubt the
log claims less than the disk would do. Syncs are only logged, not done, so a long log is made quickly.
"""

from __future__ import annotations

import builtins
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

VFS_NAME = "durable-disk-log"
_SYNCED_WITH_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


@dataclass(frozen=True, slots=True)
class Written:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """What names stand for from here on: a file, a folder (`FOLDER`) or nothing. One entry happens whole or not."""

    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class FileSynced:
    """Covers what stands before `began`. A sync that `failed` leaves pages that pass for clean: no later one writes
    them, and whether they reached the disk stays open for ever."""

    file: int
    began: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class FolderSynced:
    folder: str
    began: int


Entry = Written | Resized | Renamed | FileSynced | FolderSynced

FOLDER = 0
"""The number that names of folders stand for; files count from 1."""


class DiskLog:
    """`root` must be empty at the beginning; it survives every power cut itself."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.entries: list[Entry] = []
        self._files: dict[str, int] = {}
        self._numbers: dict[int, int] = {}
        """Inode → file. The system uses inodes again, so a new name always gets a new number."""
        self._made = 0

    def covers(self, path: Any) -> str | None:
        """The path as the log knows it; None for what lies elsewhere."""
        if isinstance(path, int):
            return None
        text = os.path.abspath(os.fsdecode(os.fspath(path)))
        folder = os.path.realpath(os.path.dirname(text))
        text = os.path.join(folder, os.path.basename(text))
        return text if text.startswith(self.root + os.sep) else None

    def file(self, path: str) -> int:
        return self._files[path]

    def file_of(self, descriptor: int) -> int | None:
        """The file that an open descriptor stands for; None when it is none of ours."""
        found = os.fstat(descriptor)
        return self._numbers.get(found.st_ino) if stat.S_ISREG(found.st_mode) else None

    # --- what happens -------------------------------------------------------------------------------------------------
    def made(self, path: str, inode: int) -> int:
        self._made += 1
        self._files[path] = self._numbers[inode] = self._made
        self.entries.append(Renamed(((path, self._made),)))
        return self._made

    def folder_made(self, path: str) -> None:
        self.entries.append(Renamed(((path, FOLDER),)))

    def moved(self, source: str, target: str) -> None:
        assert source in self._files, f"{source} is a folder, or was made behind the log's back"
        self._files[target] = self._files.pop(source)
        self.entries.append(Renamed(((source, None), (target, self._files[target]))))

    def linked(self, source: str, target: str) -> None:
        self._files[target] = self._files[source]
        self.entries.append(Renamed(((target, self._files[source]),)))

    def removed(self, path: str) -> None:
        self._files.pop(path, None)
        self.entries.append(Renamed(((path, None),)))

    def written(self, file: int, offset: int, data: bytes) -> None:
        self.entries.append(Written(file, offset, data))

    def resized(self, file: int, size: int) -> None:
        self.entries.append(Resized(file, size))

    def synced(self, file: int, *, failed: bool = False) -> None:
        self.entries.append(FileSynced(file, len(self.entries), failed))

    def folder_synced(self, path: str) -> None:
        self.entries.append(FolderSynced(path, len(self.entries)))


# --- SQLite -----------------------------------------------------------------------------------------------------------
class LoggedVfs(apsw.VFS):
    """`is_synced(path)` False swallows that file's syncs: for the twins that must be found out."""

    def __init__(self, log: DiskLog, is_synced: Callable[[str], bool]) -> None:
        self.log = log
        self.is_synced = is_synced
        super().__init__(VFS_NAME, "", maxpathname=0)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name if isinstance(name, str) or name is None else name.filename()
        return LoggedFile(self, name, path, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        if (path := self.log.covers(filename)) is not None:
            self.log.removed(path)
            if syncdir and self.is_synced(path):
                self.log.folder_synced(os.path.dirname(path))


class LoggedFile(apsw.VFSFile):
    """Syncs are not done: what they are worth stands in the log."""

    def __init__(self, vfs: LoggedVfs, name: Any, path: str | None, flags: list[int]) -> None:
        covered = vfs.log.covers(path) if path is not None else None
        was_there = covered is not None and os.path.lexists(covered)
        super().__init__("", name, flags)
        self._log = vfs.log
        self._vfs = vfs
        self._path = covered or ""
        self._file = 0
        # os_unix.c, unixOpen: the first sync of a new journal or log syncs its folder too.
        self._folder_is_due = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & _SYNCED_WITH_FOLDER)
        if covered is not None:
            self._file = vfs.log.file(covered) if was_there else vfs.log.made(covered, os.stat(covered).st_ino)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        if self._file:
            self._log.written(self._file, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        if self._file:
            self._log.resized(self._file, newsize)

    def xSync(self, flags: int) -> None:
        if not self._file or not self._vfs.is_synced(self._path):
            return
        self._log.synced(self._file)
        if self._folder_is_due:
            self._folder_is_due = False
            self._log.folder_synced(os.path.dirname(self._path))


# --- Python -----------------------------------------------------------------------------------------------------------
class LoggedFileIO(io.FileIO):
    """What `open(…, "w")` writes to."""

    def __init__(self, log: DiskLog, path: Any, mode: str) -> None:
        super().__init__(path, mode, opener=lambda name, flags: os.open(name, flags, 0o666))
        self._log = log

    def write(self, data: Any, /) -> int:
        offset = os.fstat(self.fileno()).st_size if "a" in self.mode else self.tell()
        written = super().write(data)
        if written and (file := self._log.file_of(self.fileno())) is not None:
            self._log.written(file, offset, bytes(data)[:written])
        return written

    def truncate(self, size: int | None = None, /) -> int:
        new = super().truncate(size)
        if (file := self._log.file_of(self.fileno())) is not None:
            self._log.resized(file, new)
        return new


class LoggedCalls:
    """Functions of `os` and `open`, replaced by ones that log what they did."""

    def __init__(self, log: DiskLog) -> None:
        self._log = log
        self._real = {name: getattr(os, name) for name in _REPLACED}
        self._real_open = builtins.open

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in _REPLACED:
            monkeypatch.setattr(os, name, getattr(self, name))
        monkeypatch.setattr(builtins, "open", self.builtin_open)
        monkeypatch.setattr(io, "open", self.builtin_open)

    def builtin_open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **more: Any) -> Any:
        if not set(mode) & set("wax+") or self._log.covers(file) is None:
            return self._real_open(file, mode, buffering, *args, **more)
        raw = LoggedFileIO(self._log, file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *args, **more)

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        covered = self._log.covers(path)
        is_new = covered is not None and bool(flags & os.O_CREAT) and not os.path.lexists(covered)
        descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if covered is not None:
            if is_new:
                self._log.made(covered, os.fstat(descriptor).st_ino)
            elif flags & os.O_TRUNC:
                self._log.resized(self._log.file(covered), 0)
        return descriptor

    def write(self, descriptor: int, data: Any, /) -> int:
        file = self._log.file_of(descriptor)
        offset = 0 if file is None else os.lseek(descriptor, 0, os.SEEK_CUR)
        written: int = self._real["write"](descriptor, data)
        if file is not None:
            # With O_APPEND the position is only known afterwards.
            offset = max(offset, os.lseek(descriptor, 0, os.SEEK_CUR) - written)
            self._log.written(file, offset, bytes(data)[:written])
        return written

    def pwrite(self, descriptor: int, data: Any, offset: int, /) -> int:
        written: int = self._real["pwrite"](descriptor, data, offset)
        if (file := self._log.file_of(descriptor)) is not None:
            self._log.written(file, offset, bytes(data)[:written])
        return written

    def ftruncate(self, descriptor: int, length: int, /) -> None:
        self._real["ftruncate"](descriptor, length)
        if (file := self._log.file_of(descriptor)) is not None:
            self._log.resized(file, length)

    def truncate(self, path: Any, length: int) -> None:
        self._real["truncate"](path, length)
        if (covered := self._log.covers(path)) is not None:
            self._log.resized(self._log.file(covered), length)

    def sendfile(self, target: int, *args: Any, **more: Any) -> int:
        return self._copied("sendfile", target, target, *args, **more)

    def copy_file_range(self, source: int, target: int, *args: Any, **more: Any) -> int:
        return self._copied("copy_file_range", target, source, target, *args, **more)

    def _copied(self, name: str, target: int, *args: Any, **more: Any) -> int:
        copied: int = self._real[name](*args, **more)
        if copied and (file := self._log.file_of(target)) is not None:
            reader = self._real["open"](f"/proc/self/fd/{target}", os.O_RDONLY)
            offset = os.lseek(target, 0, os.SEEK_CUR) - copied
            self._log.written(file, offset, os.pread(reader, copied, offset))
            os.close(reader)
        return copied

    def fsync(self, descriptor: int) -> None:
        if (file := self._log.file_of(descriptor)) is not None:
            self._log.synced(file)
            return
        path = self._log.covers(os.readlink(f"/proc/self/fd/{descriptor}") + os.sep + "x")
        if path is not None:
            self._log.folder_synced(os.path.dirname(path))
        else:
            self._real["fsync"](descriptor)

    def fdatasync(self, descriptor: int) -> None:
        self.fsync(descriptor)

    def rename(self, src: Any, dst: Any, **more: Any) -> None:
        self._real["rename"](src, dst, **more)
        source, target = self._log.covers(src), self._log.covers(dst)
        if source is not None and target is not None:
            self._log.moved(source, target)

    replace = rename

    def link(self, src: Any, dst: Any, **more: Any) -> None:
        self._real["link"](src, dst, **more)
        source, target = self._log.covers(src), self._log.covers(dst)
        if source is not None and target is not None:
            self._log.linked(source, target)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._real["unlink"](path, dir_fd=dir_fd)
        if (covered := self._log.covers(path)) is not None:
            self._log.removed(covered)

    remove = unlink

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._real["rmdir"](path, dir_fd=dir_fd)
        if (covered := self._log.covers(path)) is not None:
            self._log.removed(covered)

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._real["mkdir"](path, mode, dir_fd=dir_fd)
        if (covered := self._log.covers(path)) is not None:
            self._log.folder_made(covered)


_REPLACED = (
    "open write pwrite ftruncate truncate sendfile copy_file_range fsync fdatasync rename replace link unlink remove"
    " rmdir mkdir"
).split()
