"""One object's file and its connection: creating, opening, checking, checkpointing and closing it.

Every commit is written to the write-ahead log and *not* synced here (`synchronous = NORMAL`): SQLite recovers every
prefix of the log, and whoever acknowledges a commit first syncs the log through `take_sync_targets`. Nothing here may
open the main file while SQLite has it open: closing that descriptor would drop SQLite's POSIX locks (sqlite.org,
howtocorrupt.html §2.2). The `-wal` file carries no locks. This module knows neither tables nor transactions.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw

from durable import limits
from durable.errors import StorageCorruptError, StorageError
from durable.storage.failure import translate
from durable.storage.file_check import HEADER_BYTES, check_header, check_mark, is_short, stores_nothing
from durable.storage.history.decision import finish_restore, is_decided
from durable.storage.layout import make_folder
from durable.storage.schema import PAGE_BYTES, empty_file
from durable.storage.sql.authorizer import Authorizer, Trust
from durable.storage.sql.soundex import soundex
from durable.storage.vfs import vfs_name

SyncFile = Callable[[int], None]

_ENGINE: Final = Trust.ENGINE
_NO_FOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_WAL_FRAME_BYTES: Final = PAGE_BYTES + 24
_ENGINE_STATEMENT: Final = apsw.SQLITE_PREPARE_PERSISTENT
"""Compile flag of our own statements. apsw caches by text and flags, so a user who types the text of one of ours never
gets the copy that was compiled without asking the authorizer."""

LIMITS: Final = (
    (apsw.SQLITE_LIMIT_LENGTH, limits.SQL_VALUE_BYTES_MAX),
    (apsw.SQLITE_LIMIT_SQL_LENGTH, limits.SQL_TEXT_BYTES_MAX),
    (apsw.SQLITE_LIMIT_COLUMN, limits.SQL_COLUMNS_MAX),
    (apsw.SQLITE_LIMIT_EXPR_DEPTH, limits.SQL_EXPRESSION_DEPTH_MAX),
    (apsw.SQLITE_LIMIT_COMPOUND_SELECT, limits.SQL_COMPOUND_SELECT_MAX),
    (apsw.SQLITE_LIMIT_VDBE_OP, limits.SQL_PROGRAM_STEPS_MAX),
    (apsw.SQLITE_LIMIT_FUNCTION_ARG, limits.SQL_FUNCTION_ARGUMENTS_MAX),
    (apsw.SQLITE_LIMIT_ATTACHED, 0),
    (apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, limits.SQL_LIKE_PATTERN_BYTES_MAX),
    (apsw.SQLITE_LIMIT_VARIABLE_NUMBER, limits.SQL_BINDINGS_MAX),
    (apsw.SQLITE_LIMIT_TRIGGER_DEPTH, limits.SQL_TRIGGER_DEPTH_MAX),
    (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
)
CONFIGURATION: Final = (
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1),
    # Closing must stay cheap and must not restart the log before its history is kept.
    (apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1),
)


def sync_file(descriptor: int) -> None:
    """Make a file's contents survive a power cut. macOS has no fdatasync, and its fsync stops at the drive's cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


class Database:
    """An open object file. Made by `Database.open`; used by one thread at a time."""

    def __init__(self, path: Path, connection: Any, *, created: bool, log_is_empty: bool) -> None:
        self.path = path
        self.connection = connection
        self.authorizer = Authorizer()
        self._commands = connection.cursor()
        self.undurable_epoch = 0
        """The last epoch that holds a commit of this file and is not durable yet; 0 when there is none."""
        self.sync_error: StorageError | None = None
        """Set when a sync failed: what the disk holds is unknown, so nothing written since may be acknowledged."""
        self.log_frames = 0
        """Frames of the log after the last commit of this opening; 0 while there was none."""
        self.frames_at_open = 0
        """Frames that SQLite found in the log."""
        self.checkpoint_frames = limits.CHECKPOINT_LOG_FRAMES
        """Frames of the log from which on it is worth trying a checkpoint."""
        self.is_new = False
        """Whether nothing was ever committed to the file."""
        self.closed = False
        self._created = created
        self._log_is_empty = log_is_empty
        self._log_written = False
        self._folder_is_synced = False
        self._log_descriptor = -1

    @classmethod
    def open(cls, path: Path, *, create: bool, sync: SyncFile = sync_file) -> Database:
        """Open `path`, making it when `create` is set.

        Raises StorageCorruptError for a file that no object wrote, StorageError when it cannot be opened.
        """
        if not path.is_absolute():
            path = Path(os.path.abspath(path))
        if is_decided(path):
            path = _resolved(path)
            finish_restore(path)
        log = inspect_files(path)
        created = False
        if log is None:
            if not create:
                raise StorageError(f"{path} does not exist")
            _create(path, sync)
            created = True
        path, connection = _connect(path)
        database = cls(path, connection, created=created, log_is_empty=not log)
        try:
            database._set_up()
        except apsw.Error as error:
            connection.close(True)
            raise translate(error, path) from error
        except BaseException:
            connection.close(True)
            raise
        return database

    def _set_up(self) -> None:
        connection = self.connection
        # Through SQLite's own descriptor: closing another one would drop its locks.
        header = connection.read("main", 0, 0, HEADER_BYTES)[1]
        check_header(self.path, header)
        for option, value in CONFIGURATION:
            connection.config(option, value)
        for limit, value in LIMITS:
            connection.limit(limit, value)
        # temp_store: the rows of RETURNING would otherwise go through a temporary file, at 8 µs a statement.
        # synchronous: an empty log holds no old frames that an unsynced header could bring back, and a new file's first
        # epoch syncs it: SQLite's own two syncs at the first commit can be left out. `after_commit` switches them on.
        connection.execute(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY;"
            f" PRAGMA synchronous = {'OFF' if self._log_is_empty else 'NORMAL'};"
            f" PRAGMA max_page_count = {limits.SQL_DATABASE_BYTES_MAX // PAGE_BYTES}"
        ).fetchall()
        if is_short(header, os.stat(self.path).st_size):
            self._check_pages()
        # Also when something was committed: a crash may have left a file whose object was emptied and is no longer in
        # the index.
        self.is_new = stores_nothing(connection.execute)
        if not self._log_is_empty:
            # The log has pages of its own, and may have the first.
            check_mark(self.path, connection.execute("PRAGMA application_id").get)
            self.frames_at_open = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0]
        connection.create_scalar_function("soundex", soundex, 1, deterministic=True, flags=apsw.SQLITE_INNOCUOUS)
        connection.set_wal_hook(self._committed)
        connection.authorizer = self.authorizer
        self.authorizer.trust = Trust.USER

    def _check_pages(self) -> None:
        # A crash in the middle of a checkpoint leaves a short file too; then the log has the rest.
        found = self.connection.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise StorageCorruptError(str(self.path), f"is damaged: a part of it is missing ({found})")

    # --- running our own statements ---------------------------------------------------------------------------
    def run(self, statement: str, bindings: tuple[Any, ...] | None = None) -> Any:
        """The apsw cursor of one of our own statements, unseen by the authorizer. Raises apsw's errors."""
        authorizer = self.authorizer
        trust = authorizer.trust
        authorizer.trust = _ENGINE
        try:
            return self.connection.execute(statement, bindings, prepare_flags=_ENGINE_STATEMENT)
        finally:
            authorizer.trust = trust

    def command(self, statement: str) -> None:
        """Run one of our own statements that has neither bindings nor rows, on a cursor kept for that."""
        authorizer = self.authorizer
        trust = authorizer.trust
        authorizer.trust = _ENGINE
        try:
            self._commands.execute(statement, None, prepare_flags=_ENGINE_STATEMENT)
        finally:
            authorizer.trust = trust

    # --- commits and durability -------------------------------------------------------------------------------
    def _committed(self, connection: Any, name: str, frames: int) -> int:
        # SQLite calls this after each commit that wrote something; a hook of ours also turns automatic checkpoints off.
        self.log_frames = frames
        self._log_written = True
        return apsw.SQLITE_OK

    def after_commit(self) -> bool:
        """Call after COMMIT; says whether it wrote anything."""
        if not self._log_written:
            return False
        self._log_written = False
        if self._log_is_empty:
            self._log_is_empty = False
            self.command("PRAGMA synchronous = NORMAL")
        self.is_new = False
        return True

    @property
    def frames(self) -> int:
        """Frames of the log up to the end of the last commit."""
        return self.log_frames or self.frames_at_open

    @property
    def log_bytes(self) -> int:
        """Size that the write-ahead log has grown to since its last restart."""
        return self.log_frames * _WAL_FRAME_BYTES

    def take_sync_targets(self) -> tuple[int, str | None]:
        """(descriptor of the log, folder to sync as well or None): what makes every commit so far durable.

        The folder comes once per opening: a process that died may have left names in it that no power cut survives.
        """
        if self._log_descriptor < 0:
            try:
                self._log_descriptor = os.open(f"{self.path}-wal", os.O_RDWR | _NO_FOLLOW)
            except OSError as error:
                raise StorageError(f"{self.path}-wal cannot be opened: {error.strerror}") from error
        folder = None if self._folder_is_synced else str(self.path.parent)
        self._folder_is_synced = True
        return self._log_descriptor, folder

    def became_durable(self, epoch: int) -> None:
        """Every commit up to `epoch` is on disk, or will never be acknowledged."""
        if self.undurable_epoch <= epoch:
            self.undurable_epoch = 0
            if self.closed:
                self._close_log()

    def first_page(self) -> bytes:
        """Of the file itself, not of the log; through SQLite's descriptor, because closing another drops its locks."""
        try:
            return bytes(self.connection.read("main", 0, 0, PAGE_BYTES)[1])
        except apsw.Error as error:
            raise translate(error, self.path) from error

    def checkpoint(self) -> bool:
        """Copy the log into the main file; False when an open cursor or transaction forbids it now.

        SQLite syncs the log before and the file after, in that order, by itself. May run in any thread while no other
        uses the connection.
        """
        try:
            frames, copied = self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.LockedError, apsw.BusyError):
            return False
        except apsw.Error as error:
            raise translate(error, self.path) from error
        return bool(frames == copied)

    @property
    def is_draft(self) -> bool:
        """Whether the file goes when it is closed: it was made by this opening, and nothing was committed to it."""
        return self._created and self.is_new

    def keep(self) -> None:
        """The index is told of the object: a file that is missing means damage from now on, an empty one does not."""
        self._created = False

    def close(self) -> None:
        """Close the file. A log that an epoch in flight still syncs stays open until that is over."""
        if self.closed:
            return
        self.closed = True
        with contextlib.suppress(apsw.Error):
            self.connection.close(True)
        if not self.undurable_epoch:
            self._close_log()
        if self.is_draft:
            # Reading made it; an object that never wrote anything does not exist.
            for name in (self.path, f"{self.path}-wal"):
                with contextlib.suppress(OSError):
                    os.unlink(name)

    def _close_log(self) -> None:
        if self._log_descriptor >= 0:
            os.close(self._log_descriptor)
            self._log_descriptor = -1


def _connect(path: Path) -> tuple[Path, Any]:
    """The path as SQLite takes it, which is told to refuse a link in any part of it, and a connection. Raises SqlError.

    There is hardly ever one above the file: to resolve the path first, every time, asks for each folder what SQLite
    then asks again.
    """
    try:
        try:
            return path, _connection(path)
        except apsw.CantOpenError as error:
            if getattr(error, "extendedresult", 0) != apsw.SQLITE_CANTOPEN_SYMLINK:
                raise
            path = _resolved(path)
            return path, _connection(path)
    except apsw.Error as error:
        raise translate(error, path) from error


def _connection(path: Path) -> Any:  # apsw's own stubs are partly untyped
    return apsw.Connection(
        str(path),
        flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW,
        vfs=vfs_name(),
        statementcachesize=limits.SQL_STATEMENTS_CACHED_MAX,
    )


def _resolved(path: Path) -> Path:
    """Without links in the folders; what the file itself is, is looked at elsewhere."""
    return Path(os.path.realpath(path.parent), path.name)


def inspect_files(path: Path) -> int | None:
    """Size of the write-ahead log beside `path`, 0 without one; None when there is no file at all.

    Refuses what SQLite would open as a healthy empty database, or what is not a file of its own.
    """
    facts = _facts(path)
    log = _facts(f"{path}-wal")
    if facts is None:
        if log is not None and log.st_size:
            raise StorageCorruptError(str(path), "is missing, although its write-ahead log is there")
        return None
    if facts.st_size == 0:
        raise StorageCorruptError(str(path), "is empty, although an object was stored in it")
    return log.st_size if log is not None else 0


def _facts(path: Path | str) -> os.stat_result | None:
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise StorageCorruptError(str(path), "is not a regular file")
    if facts.st_nlink > 1:
        raise StorageCorruptError(
            str(path), "has a second name (a hard link), and writing to it would change that file too"
        )
    return facts


def _create(path: Path, sync: SyncFile) -> None:
    """Make an empty object file that survives a power cut from the moment it has its name.

    SQLite deletes the log of a zero-length file (pager.c, pagerOpenWalIfPresent), so contents come before the name.
    """
    draft = f"{path}.new"
    try:
        make_folder(path.parent)
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_RDWR | _NO_FOLLOW, 0o600)
        try:
            os.write(descriptor, empty_file())
            sync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(draft, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error.strerror or error}") from error
