"""Point-in-time recovery of one object, as its code and the tools see it: bookmarks, moments, and the wish to go back.

A wish is a row in `_cf_METADATA`, `<bookmark> <nonce>`, written like any other data: it is committed, rolled back and
made durable with the turn that wrote it, and carried out before the next activation. Restoring is done elsewhere.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import apsw

from durable.clock import Clock
from durable.errors import StorageError
from durable.storage.database import Database
from durable.storage.history.archive import History
from durable.storage.history.bookmark import Bookmark, Position, bookmark_at, undo_bookmark
from durable.storage.history.resolution import Reach, Resolution
from durable.storage.history.restore import Restore
from durable.storage.schema import CREATE_METADATA, METADATA_TABLE, RESTORE_KEY, TABLE_EXISTS
from durable.storage.transaction import Transaction

_GET: Final = f"SELECT value FROM {METADATA_TABLE} WHERE key = {RESTORE_KEY}"
_DELETE: Final = f"DELETE FROM {METADATA_TABLE} WHERE key = {RESTORE_KEY}"
_SET: Final = (
    f"INSERT INTO {METADATA_TABLE} VALUES ({RESTORE_KEY}, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
OFF: Final = (
    "point-in-time recovery is off: pitr_days is 0 in [dev] of the configuration; set it to the number of days for"
    " which objects can be restored"
)


class Wish(NamedTuple):
    """What the next activation begins with: the state of `bookmark`, undone by the bookmark with `nonce`."""

    bookmark: str
    nonce: int


class Recovery:
    """`history` is None when none is kept: everything that needs it raises StorageError then."""

    def __init__(self, transaction: Transaction, history: History | None, clock: Clock) -> None:
        self._transaction = transaction
        self._history = history
        self._clock = clock

    # --- what was when ------------------------------------------------------------------------------------------
    def note_commit(self) -> None:
        """Call after each commit: when it was is written down later. Never raises."""
        history, database = self._history, self._transaction.database
        if history is not None and database is not None:
            if not history.begun:
                self._begin(history, database)
            history.moments[self._clock.wall_ms()] = database.frames

    def _begin(self, history: History, database: Database | None) -> None:
        try:
            if database is None:
                history.begin(0, bytes)
            else:
                history.begin(database.frames_at_open, database.first_page)
        except StorageError as error:
            history.fail(str(error))
        if history.broken and database is not None:
            # The next commit makes a base, from which on there is history again.
            database.checkpoint_frames = 0

    def look(self) -> str:
        """Why the object's history does not go on at its file as it is; empty when it does, and without a file."""
        database = self._transaction.require_existing()
        history = self._history
        if history is None or database is None:
            return ""
        if not history.begun:
            self._begin(history, database)
        return history.broken

    @property
    def _resolution(self) -> Resolution:
        history = self._history
        if history is None:
            raise StorageError(OFF)
        database = self._transaction.require_existing()
        if not history.begun:
            self._begin(history, database)
        return Resolution(history, database.frames if database is not None else 0)

    @property
    def object_id(self) -> str:
        return self._transaction.path.stem

    def bookmark(self) -> str:
        """Of the state after the last commit."""
        return str(bookmark_at(self._resolution.now, self.object_id))

    def bookmark_for_time(self, ms: int) -> str:
        """Of the state after the last commit at or before a moment."""
        return str(bookmark_at(self._resolution.position_at(ms, self._clock.wall_ms()), self.object_id))

    def reach(self) -> Reach:
        return self._resolution.reach()

    # --- the wish -------------------------------------------------------------------------------------------------
    def wish(self, text: str) -> str:
        """Have the next activation begin with the state of a bookmark; returns the one that undoes it.

        Raises StorageError when that state cannot be restored.
        """
        resolution = self._resolution
        resolution.position_of(text)
        undo = undo_bookmark(resolution.now, text, self._clock.wall_ms(), self.object_id)
        transaction = self._transaction
        transaction.check()
        transaction.begin()
        database = transaction.require()
        self._run(database, CREATE_METADATA, ())
        self._run(database, _SET, (f"{text} {undo.nonce:08x}",))
        return str(undo)

    def wished(self) -> Wish | None:
        """What was asked for, if it was not carried out yet."""
        database = self._transaction.require_existing()
        if database is None or not self._run(database, TABLE_EXISTS, (METADATA_TABLE,)).get:
            return None
        value = self._run(database, _GET, ()).get
        if value is None:
            return None
        text, _, nonce = str(value).partition(" ")
        return Wish(text, int(nonce, 16))

    def drop_wish(self) -> None:
        """Forget it, because it cannot be carried out; commits by itself, from any thread."""
        with self._transaction.for_tool():
            self._run(self._transaction.require(), _DELETE, ())

    def _run(self, database: Database, statement: str, bindings: tuple[Any, ...]) -> Any:
        try:
            return database.run(statement, bindings)
        except apsw.Error as error:
            raise self._transaction.failed(error) from None

    # --- going back -----------------------------------------------------------------------------------------------
    def find(self, at: str | int) -> Position:
        """The state that a bookmark or a moment in wall milliseconds stands for. Raises StorageError."""
        resolution = self._resolution
        return resolution.position_at(at, self._clock.wall_ms()) if isinstance(at, int) else resolution.position_of(at)

    def restore(self, target: Position, nonce: int = 0) -> Restore:
        """A restore to `target`, to be built and decided while the file is closed; `nonce` is that of a wish.

        Raises StorageError.
        """
        resolution = self._resolution
        assert self._history is not None
        undo = undo_bookmark(resolution.now, str(target), self._clock.wall_ms(), self.object_id)
        if nonce:
            undo = undo._replace(nonce=nonce)
        return Restore(self._history, resolution.now.frame, target, undo)

    def end_of(self, why: str) -> tuple[Position, Bookmark]:
        """The state that ends when another is put in its place, and the bookmark that will bring it back."""
        now = self._resolution.now
        return now, undo_bookmark(now, why, self._clock.wall_ms(), self.object_id)

    def moment_of(self, target: Position) -> int | None:
        """When a state came about, in wall milliseconds; None when that is not known."""
        return self._resolution.moment_of(target)
