"""The implicit transaction of one object's file: the first write opens it, the end of the turn commits it.

    idle ──first write──► open ──commit──► idle        rollback and every critical error also lead to idle
                          open ──savepoint──► open, one deeper; a commit waits until none is left

A critical error is one after which SQLite has already thrown the turn's writes away (a full disk, an I/O error, an
interrupted write). From then on every use fails with it until `rollback`, so that code which caught it cannot go on as
if its writes were there. This module opens the file when it is first needed, and knows no statement but its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from threading import current_thread, get_ident

import apsw

from durable.errors import SqlError, StorageError
from durable.storage.database import Database
from durable.storage.failure import primary_code, translate
from durable.storage.log_sync import sync_log
from durable.storage.sql.connection_state import ConnectionState

_SAVEPOINT = "_cf_savepoint_"
EVERY_FRAME = -1
"""As `synced_frames`: whoever opens the file sees to what is on the disk before anybody hears of it."""
_ALWAYS_CRITICAL = frozenset({apsw.SQLITE_IOERR, apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB})


class Transaction:
    """`on_first_write` is called once per transaction, right after it opened; `on_forget` when what was read from the
    file may no longer be so: with True when everything since the last commit is gone, else with False."""

    def __init__(self, path: Path, *, on_first_write: Callable[[], None], on_forget: Callable[[bool], None]) -> None:
        self.path = path
        self.on_first_write = on_first_write
        self.database: Database | None = None
        self.before_open: Callable[[], None] = _nobody
        """Called before the file is opened; what it raises goes to whoever needs the file."""
        self.on_critical: Callable[[], None] = _nobody
        """Called when a critical error met the actor, so that its turn ends with a reset whoever catches the error."""
        self.lost: StorageError | None = None
        """Why the object may not begin empty although it has no file; raised where the file would be opened."""
        self.open = False
        self.thread = get_ident()
        """The thread that may use the object's storage; 0 after a critical error, so that one comparison finds both."""
        self._owner = self.thread
        self._on_forget = on_forget
        self._failure: StorageError | None = None
        self._savepoints: list[str] = []
        self._savepoints_made = 0
        self._sync_failed = False
        """Whether the log on the disk may lack what the kernel's copy of it has."""
        self.synced_frames = 0
        """Frames of the log that were on the disk when this process last closed the file."""
        self._suspended: ConnectionState | None = None

    # --- who may use it ---------------------------------------------------------------------------------------
    def check(self) -> None:
        """Raises StorageError in a thread other than the actor's, and after a critical error."""
        if get_ident() != self.thread:
            self.refuse()

    def refuse(self) -> None:
        """The slow half of `check`."""
        if self._failure is not None:
            if get_ident() == self._owner:
                # It may have met a tool, or nobody: then this is how the actor hears of it.
                self.on_critical()
            raise self._failure.with_traceback(None)
        raise StorageError(
            f"storage was used in thread {current_thread().name!r}, but an actor's storage belongs to the"
            " thread that runs the actor. Give asyncio.to_thread() only the computation, and write its result after"
            " the await: `rows = await asyncio.to_thread(compute, data); self.ctx.storage.put('rows', rows)`"
        )

    def disown(self) -> None:
        """As after a critical error, and for good. SQLite must not be used behind a fork (howtocorrupt.html §2.6)."""
        self._failure = StorageError(
            "storage was used in a forked process, but it belongs to the process that runs the actor. Give the child"
            " what it needs and send its result back: `rows = await asyncio.to_thread(pool.apply, compute, [data])`"
        )
        self.thread = self._owner = 0

    def end(self) -> None:
        """Close the file for good, and let go of all who were to be told of something."""
        self.on_first_write = self.on_critical = _nobody
        self._on_forget = _nothing
        self.before_open = _refuse
        self.close()

    # --- the file ---------------------------------------------------------------------------------------------
    def require(self) -> Database:
        """The open file; opened now, and made if there is none."""
        if self.database is None:
            return self._open_file(create=True)
        return self.database

    def require_existing(self) -> Database | None:
        """The open file; None when the object has none, so that looking for a key makes no file."""
        if self.database is None and (self.lost is not None or has_file(self.path)):
            return self._open_file(create=False)
        return self.database

    def _open_file(self, *, create: bool) -> Database:
        if self.lost is not None:
            raise self.lost.with_traceback(None)
        self.before_open()
        database = self.database = Database.open(self.path, create=create)
        # A log that this process left behind on the disk need not go there again: a sync that has nothing to do still
        # makes the disk empty its cache, which takes longer than all the rest of waking a hibernated object.
        is_synced = self.synced_frames in (database.frames_at_open, EVERY_FRAME)
        if database.frames_at_open and (self._sync_failed or not is_synced):
            try:
                sync_log(database.path, rewrite=self._sync_failed)
            except StorageError:
                self.close()
                self.synced_frames = 0
                raise
        self._sync_failed = False
        suspended, self._suspended = self._suspended, None
        if suspended is not None:
            suspended.restore(database)
        return database

    def suspend(self) -> None:
        """Close the file until it is used again; what the user's statements set on the connection comes back then.

        Only for a file that is not `busy`.
        """
        if self.database is not None:
            self._suspended = ConnectionState.of(self.database)
            self.close()

    def close(self) -> None:
        """Give up what is open and close the file."""
        database, self.database = self.database, None
        self.open = False
        self._savepoints.clear()
        self._on_forget(True)
        if database is not None:
            is_durable = not database.undurable_epoch and database.sync_error is None
            self.synced_frames = database.frames if is_durable else 0
            database.close()

    # --- the transaction --------------------------------------------------------------------------------------
    def begin(self, *, quietly: bool = False) -> None:
        """Open the implicit transaction if it is not; call before every write. `quietly` tells nobody."""
        if self.open:
            return
        database = self.require()
        if database.sync_error is not None:
            raise self._fail(database.sync_error)
        try:
            database.command("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise self.failed(error) from error
        self.open = True
        if not quietly:
            self.on_first_write()

    def commit(self) -> bool:
        """Commit what the turn wrote; False when nothing was written or an explicit transaction is still open.

        Raises StorageError, after rolling back, when SQLite refuses: a deferred constraint, a full disk.
        """
        if get_ident() != self.thread:
            self.refuse()
        return self._commit()

    def _commit(self) -> bool:
        database = self.database
        if not self.open or self._savepoints or database is None:
            return False
        try:
            database.command("COMMIT")
        except apsw.Error as error:
            failure = self._commit_failure(error)
            self._abandon()
            raise self._fail(failure) from error
        self.open = False
        return database.after_commit()

    @contextlib.contextmanager
    def for_tool(self) -> Generator[None]:
        """One transaction of a tool's, in any thread, while the actor is kept out: all of it commits, or nothing."""
        self.begin(quietly=True)
        try:
            yield
        except BaseException:
            # Only the tool's own writes are lost, so a critical error of its is none of the actor's.
            self.rollback()
            raise
        self._commit()
        self._on_forget(True)

    def rollback(self) -> None:
        """Back to the last commit, also after a critical error; a file whose sync failed is read from disk again."""
        if not self._owner:
            return
        self._failure = None
        self.thread = self._owner
        self._abandon()
        if self.database is not None and self.database.sync_error is not None:
            self._sync_failed = True
            self.close()

    @property
    def busy(self) -> bool:
        """Whether closing the file now would lose something: a transaction, a cursor, what is not durable."""
        database = self.database
        return database is not None and (
            self.open
            or self._failure is not None
            or database.undurable_epoch != 0
            or database.sync_error is not None
            or database.connection.txn_state() != apsw.SQLITE_TXN_NONE
        )

    def _abandon(self) -> None:
        self.open = False
        self._savepoints.clear()
        if self.database is not None and self.database.connection.in_transaction:
            try:
                self.database.command("ROLLBACK")
            except apsw.Error:
                # Only closing the connection is left to make SQLite forget.
                self.close()
        self._on_forget(True)

    def _commit_failure(self, error: apsw.Error) -> StorageError:
        failure = translate(error, self.path)
        if isinstance(error, apsw.ConstraintError):
            return SqlError(
                f"the turn's writes were rolled back, because they left constraints violated: {failure}",
                code=getattr(failure, "code", ""),
            )
        return failure

    # --- explicit transactions --------------------------------------------------------------------------------
    @property
    def depth(self) -> int:
        """How many explicit transactions are open inside each other."""
        return len(self._savepoints)

    def savepoint(self) -> str:
        """Open an explicit transaction, inside the implicit one and any that are open; returns its name."""
        self.check()
        self.begin()
        self._savepoints_made += 1
        name = f"{_SAVEPOINT}{self._savepoints_made}"
        self._run(f"SAVEPOINT {name}")
        self._savepoints.append(name)
        return name

    def is_innermost(self, name: str) -> bool:
        """Whether `name` is the explicit transaction that was opened last, of those that are still open."""
        return bool(self._savepoints) and self._savepoints[-1] == name

    def release(self, name: str) -> None:
        """Keep what was written since `savepoint` returned `name`; it is durable only with the commit around it."""
        self.check()
        self._check_innermost(name)
        self._run(f"RELEASE {name}")
        self._savepoints.pop()

    def rollback_to(self, name: str) -> None:
        """Undo what was written since `savepoint` returned `name`, and end that transaction."""
        self.check()
        self._check_innermost(name)
        self._run(f"ROLLBACK TO {name}")
        self._run(f"RELEASE {name}")
        self._savepoints.pop()
        self._on_forget(False)

    def _check_innermost(self, name: str) -> None:
        if not self._savepoints or self._savepoints[-1] != name:
            if name in self._savepoints:
                raise StorageError("an outer transaction cannot end while a transaction inside it is still running")
            raise StorageError("this transaction has already ended")

    def _run(self, statement: str) -> None:
        try:
            self.require().command(statement)
        except apsw.Error as error:
            raise self.failed(error) from error

    # --- failures ---------------------------------------------------------------------------------------------
    def failed(self, error: apsw.Error, *, reason: str = "", offset: int = 0) -> StorageError:
        """The error to raise for one of apsw's, after looking whether it ended the transaction."""
        failure = translate(error, self.path, reason=reason, offset=offset)
        code = primary_code(error)
        if code is None:
            return failure
        database = self.database
        # SQLite rolls a transaction back by itself on some errors (lang_transaction.html §3.2); asking is the only way
        # to know, and a user's ON CONFLICT ROLLBACK has the same effect.
        lost = self.open and database is not None and not database.connection.in_transaction
        if lost or code in _ALWAYS_CRITICAL:
            self._abandon()
            return self._fail(failure)
        return failure

    def _fail(self, failure: StorageError) -> StorageError:
        failure.critical = True
        self._failure = failure
        self.thread = 0
        if get_ident() == self._owner:  # in any other thread it met a tool
            self.on_critical()
        return failure


def has_file(path: Path) -> bool:
    """Whether anything lies where the object's file or its log would: a dangling link is damage, not absence.

    A restore that was decided and not finished counts as well: opening the file finishes it.
    """
    lexists = os.path.lexists
    return lexists(path) or lexists(f"{path}-wal") or lexists(f"{path}-restoring")


def _nobody() -> None:
    """Nobody has to know."""


def _nothing(everything: bool) -> None:
    """Nothing that was read is kept."""


def _refuse() -> None:
    raise StorageError("the object's storage was closed")
