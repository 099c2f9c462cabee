"""Images: one object's whole state as one file without a log, to be kept anywhere; and telling whether a file is one.

An image has our mark and everything of the object: tables, keys, the alarm, the migrations that were applied. It names
no object, so it can become the state of any.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

import apsw

from durable.errors import StorageCorruptError, StorageError, UserInputError
from durable.limits import ALARM_MS_MAX, SQL_DATABASE_BYTES_MAX
from durable.storage.actor_store import ActorStore
from durable.storage.failure import translate
from durable.storage.file_check import HEADER_BYTES, check_header, is_short
from durable.storage.file_copy import copy_bytes, sync_path
from durable.storage.history.archive import log_bytes
from durable.storage.history.restore import HARDENING, empty_log, frames_of, opened_draft, settle_metadata
from durable.storage.layout import FILE_MODE, sync_folder
from durable.storage.schema import (
    ALARM_KEY,
    CREATE_KV,
    CREATE_METADATA,
    CREATE_MIGRATIONS,
    KV_TABLE,
    METADATA_TABLE,
    MIGRATIONS_TABLE,
    is_reserved,
)
from durable.storage.sql.authorizer import MODULES

_OURS: Final = {
    name: statement.replace(" IF NOT EXISTS", "")
    for name, statement in (
        (KV_TABLE, CREATE_KV), (METADATA_TABLE, CREATE_METADATA), (MIGRATIONS_TABLE, CREATE_MIGRATIONS)
    )
}  # fmt: skip
_ALARM: Final = f"SELECT value FROM {METADATA_TABLE} WHERE key = {ALARM_KEY}"
_NANOSECONDS: Final = 1_000_000
_MODULE: Final = re.compile(r'CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+["`\[]?(\w+)', re.IGNORECASE | re.DOTALL)
_TEXT_ENCODING: Final = slice(56, 60)
_JOURNAL: Final = slice(18, 20)
_WAL: Final = b"\2\2"
"""Read and write version of a database with a write-ahead log (SQLite file format, 1.3)."""
_UTF_8: Final = (0, 1)
"""0: nothing was ever stored."""
_PIECE_BYTES: Final = 1 << 20
STEP_BYTES: Final = 4 << 20
"""What is copied of a file between two turns of its object."""
_SETTLED_NS: Final = 1_000_000_000
_Facts = tuple[int, int, int]
_FIX: Final = "durable objects export writes files that can be used"


# --- out --------------------------------------------------------------------------------------------------------------
class ImageCopy:
    """One copy of an object's last commit: `begin`, `more` until all is taken, `finish`.

    The first two between turns, from any thread; turns may come between them, and after the last of them: what they
    commit goes to the log, and what the log had is copied first. Should the file itself change meanwhile, `more` takes
    all of it at once. All raise UserInputError when the copy cannot be made, StorageError for an object that cannot be
    read.
    """

    def __init__(self, target: Path) -> None:
        self.is_taken = False
        self._target = target
        self._draft = Path(f"{target}.new")
        self._log = Path(f"{self._draft}-wal")
        self._source = target
        self._facts: _Facts = (0, 0, 0)
        self._frames = 0

    def begin(self, store: ActorStore) -> None:
        """Copy the log, and what a moment is enough for."""
        database = store.database
        self._source = database.path
        with self._told():
            self._facts = _, size, changed_ns = _facts(database.path)
            self._open(os.O_CREAT | os.O_TRUNC).close()
            os.chmod(self._draft, FILE_MODE)
            self._log.unlink(missing_ok=True)
            self._frames = database.frames
            if self._frames:
                # The log carries no locks: opening it costs SQLite none.
                copy_bytes(Path(f"{database.path}-wal"), self._log, log_bytes(self._frames), sync=False)
        self.is_taken = not size
        # The time of a change that comes right behind another one is the same.
        is_settled = time.time_ns() - changed_ns > _SETTLED_NS
        self._copy(store, STEP_BYTES if is_settled else size)

    def more(self, store: ActorStore) -> None:
        with self._told():
            if not store.has_file:
                raise StorageError(f"{self._source} is gone: the object was deleted while it was copied")
            is_unchanged = _facts(self._source) == self._facts
        if is_unchanged:
            self._copy(store, STEP_BYTES)
        else:
            self.take(store)

    def take(self, store: ActorStore) -> None:
        """All of it at once."""
        self.begin(store)
        self._copy(store, self._facts[1])

    def _copy(self, store: ActorStore, size: int) -> None:
        # Through SQLite's own descriptor: closing another one would drop its locks.
        read, end = store.database.connection.read, self._facts[1]
        with self._told(), self._open(os.O_APPEND) as stream:
            place = os.fstat(stream.fileno()).st_size
            until = min(end, place + size)
            while place < until:
                piece = read("main", 0, place, min(_PIECE_BYTES, until - place))[1]
                place += stream.write(piece)
        self.is_taken = place >= end

    def _open(self, how: int) -> IO[bytes]:
        return open(
            os.open(self._draft, how | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE), "wb", buffering=0
        )

    def finish(self, *, sync: bool = True) -> int:
        """Put the log into the copy and give that its name, replacing what has it; returns its bytes."""
        with self._told():
            with opened_draft(self._draft) as connection:
                if frames_of(connection) != self._frames:
                    raise StorageCorruptError(f"{self._source}-wal", "is damaged: a commit of the object is lost")
                # A wish of the object's is none of the copy's.
                settle_metadata(connection)
                empty_log(connection, self._draft)
            self._log.unlink(missing_ok=True)
            if sync:
                sync_path(self._draft)
            size = self._draft.stat().st_size
            os.rename(self._draft, self._target)
            if sync:
                sync_folder(self._target.parent)
        return size

    def discard(self) -> None:
        for path in (self._draft, self._log):
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except BaseException as error:
            self.discard()
            if isinstance(error, apsw.FullError):
                raise UserInputError(f"{self._target} cannot be written: the disk is full") from error
            if isinstance(error, apsw.Error):
                raise translate(error, self._source) from error
            if isinstance(error, OSError):
                raise UserInputError(
                    f"{self._target} cannot be written: {error.strerror}", fix="name another file"
                ) from error
            raise


def _facts(path: Path) -> _Facts:
    """What is another after every change of the file."""
    facts = os.stat(path)
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def copy_image(store: ActorStore, target: Path, *, sync: bool = True) -> int:
    """Write an object's last commit to `target`, which has its name when it is complete; returns its bytes.

    Between turns, from any thread. Raises as `ImageCopy`.
    """
    copy = ImageCopy(target)
    copy.take(store)
    return copy.finish(sync=sync)


# --- in ---------------------------------------------------------------------------------------------------------------
def check_image(path: Path) -> None:
    """Raises UserInputError for a file that cannot become an object's state. Writes nothing, not even beside it."""
    check_file(path)
    uri = f"file:{quote(os.path.abspath(path))}?immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOFOLLOW
    try:
        connection: Any = apsw.Connection(uri, flags=flags)
        with closing(connection):
            for option, value in HARDENING:
                connection.config(option, value)
            check_content(connection, path)
    except apsw.Error as error:
        raise _refusal(path, f"is damaged: {error}") from error


def check_file(path: Path) -> None:
    """What can be told without SQLite: that it is one whole database of ours. Raises UserInputError."""
    try:
        if not path.is_file():
            raise _refusal(path, "does not exist" if not path.exists() else "is not a regular file")
        size = path.stat().st_size
        for left_over in ("wal", "journal"):
            beside = Path(f"{path}-{left_over}")
            if beside.exists() and beside.stat().st_size:
                raise UserInputError(
                    f"{path} is not complete: another program has it open, or was killed, and left {beside.name}",
                    fix=f'sqlite3 FILE "PRAGMA wal_checkpoint(TRUNCATE)" puts {beside.name} into it'
                    if left_over == "wal" else f"sqlite3 FILE .tables puts {beside.name} into it",
                )  # fmt: skip
        with open(path, "rb") as stream:
            header = stream.read(HEADER_BYTES)
    except OSError as error:
        raise UserInputError(f"{path} cannot be read: {error.strerror}") from error
    try:
        check_header(path, with_log(header))
    except StorageCorruptError as error:
        raise UserInputError(str(error), fix=_FIX) from error
    if is_short(header, size):
        raise _refusal(path, "is damaged: a part of it is missing")
    if size > SQL_DATABASE_BYTES_MAX:
        raise _refusal(path, f"has {size} bytes, more than the {SQL_DATABASE_BYTES_MAX} that an object may have")
    if int.from_bytes(header[_TEXT_ENCODING], "big") not in _UTF_8:
        raise _refusal(path, "does not hold its text as UTF-8")


def with_log(header: bytes) -> bytes:
    """The same for a database that is written through a log, as objects are; another journal is as good in an image."""
    if len(header) < HEADER_BYTES or not set(header[_JOURNAL]) <= {1, 2}:
        return header
    return header[: _JOURNAL.start] + _WAL + header[_JOURNAL.stop :]


def check_content(connection: Any, path: Path) -> None:
    """That the tables of ours are as we make them, and no page is damaged. Raises UserInputError, apsw's errors."""
    connection.execute("PRAGMA cell_size_check = ON")
    schema: Iterable[tuple[str, str, str, str | None]]
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
    for kind, name, table, statement in schema:
        if is_reserved(name) or is_reserved(table):
            _check_ours(path, kind, name, table, statement)
        module = _MODULE.match(statement or "")
        if module is not None and module[1].lower() not in MODULES:
            raise _refusal(path, f"has a table of the module {module[1]}, which objects cannot use")
    found = connection.execute("PRAGMA quick_check(1)").get
    if found != "ok":
        raise _refusal(path, f"is damaged: {found}")
    if any(name == METADATA_TABLE for _, name, _, _ in schema):
        alarm = connection.execute(_ALARM).get
        if alarm is not None and not (isinstance(alarm, int) and 0 <= alarm <= ALARM_MS_MAX * _NANOSECONDS):
            raise _refusal(path, "has an alarm that is no moment")


def _check_ours(path: Path, kind: str, name: str, table: str, statement: str | None) -> None:
    if kind == "index" and statement is None and table in _OURS:
        return  # made by SQLite for a key
    expected = _OURS.get(name)
    if expected is None:
        raise _refusal(path, f"has a {kind} {name[:80]}, which this version of durable does not know: is it newer?")
    if kind != "table" or statement is None or " ".join(statement.split()) != expected:
        raise _refusal(path, f"has a {kind} {name[:80]} that durable did not make")


def _refusal(path: Path, what: str) -> UserInputError:
    return UserInputError(f"{path} {what}", fix=_FIX)
