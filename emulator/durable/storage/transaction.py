"""The implicit transaction of one object's file: the first write opens it, the end of the turn commits it.

    idle ──first write──► open ──commit──► idle        rollback and every critical error also lead to idle
                          open ──savepoint──► open, one deeper; a commit waits until none is left

A critical error is one after which SQLite has already thrown the turn's writes away (a full disk, an I/O error, an
interrupted write). From then on every use fails with it until `rollback`, so that code which caught it cannot go on as
if its writes were there. This module opens the file when it is first needed, and knows no statement but its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from threading import current_thread, get_ident

import apsw

from durable.errors import SqlError, StorageError
from durable.storage.database import Database
from durable.storage.failure import primary_code, translate

_SAVEPOINT = "_cf_savepoint_"
_ALWAYS_CRITICAL = frozenset({apsw.SQLITE_IOERR, apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB, apsw.SQLITE_NOMEM})


class Transaction:
    """`on_first_write` is called once per transaction, right after it opened; `on_forget` when what was read from the
    file may no longer be so: with True when everything since the last commit is gone, else with False."""

    def __init__(self, path: Path, *, on_first_write: Callable[[], None], on_forget: Callable[[bool], None]) -> None:
        self.path = path
        self.on_first_write = on_first_write
        self.database: Database | None = None
        self.open = False
        self.thread = get_ident()
        """The thread that may use the object's storage; 0 after a critical error, so that one comparison finds both."""
        self._owner = self.thread
        self._on_forget = on_forget
        self._failure: StorageError | None = None
        self._savepoints: list[str] = []
        self._savepoints_made = 0

    # --- who may use it ---------------------------------------------------------------------------------------
    def check(self) -> None:
        """Raises StorageError in a thread other than the actor's, and after a critical error."""
        if get_ident() != self.thread:
            self.refuse()

    def refuse(self) -> None:
        """The slow half of `check`."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        raise StorageError(
            f"storage was used in thread {current_thread().name!r}, but an actor's storage belongs to the"
            " thread that runs the actor. Give asyncio.to_thread() only the computation, and write its result after"
            " the await: `rows = await asyncio.to_thread(compute, data); self.ctx.storage.put('rows', rows)`"
        )

    # --- the file ---------------------------------------------------------------------------------------------
    def require(self) -> Database:
        """The open file; opened now, and made if there is none."""
        if self.database is None:
            self.database = Database.open(self.path, create=True)
        return self.database

    def require_existing(self) -> Database | None:
        """The open file; None when the object has none, so that looking for a key makes no file."""
        if self.database is None and self.path.exists():
            self.database = Database.open(self.path, create=False)
        return self.database

    def close(self) -> None:
        """Give up what is open and close the file."""
        database, self.database = self.database, None
        self.open = False
        self._savepoints.clear()
        self._on_forget(True)
        if database is not None:
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
        self._failure = None
        self.thread = self._owner
        self._abandon()
        if self.database is not None and self.database.sync_error is not None:
            self.close()

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
        return failure
