"""The one alarm of an object: a row in `_cf_METADATA`, in nanoseconds, written like any other data.

Whether the alarm moved is asked at every commit, so the row is read once and then remembered. When it fires, and who
else knows of it, is not this module's business.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

from durable.clock import Clock
from durable.errors import JsTypeError
from durable.limits import ALARM_MS_MAX
from durable.storage.database import Database
from durable.storage.schema import ALARM_KEY, CREATE_METADATA, METADATA_TABLE, TABLE_EXISTS
from durable.storage.transaction import Transaction

_NANOSECONDS: Final = 1_000_000
_GET: Final = f"SELECT value FROM _cf_METADATA WHERE key = {ALARM_KEY}"
_SET: Final = f"INSERT INTO _cf_METADATA VALUES ({ALARM_KEY}, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Alarm:
    """Times are wall clock milliseconds since the Unix epoch."""

    def __init__(self, transaction: Transaction, clock: Clock) -> None:
        self._transaction = transaction
        self._clock = clock
        self._known = False
        self._now: int | None = None
        self._touched = False
        self._before: int | None = None

    @property
    def now(self) -> int | None:
        """The alarm as seen inside the open transaction."""
        if not self._known:
            self._now = self._read()
            self._known = True
            if not self._touched:
                self._before = self._now
        return self._now

    @property
    def before(self) -> int | None:
        """The alarm as last committed."""
        return self._before if self._touched else self.now

    def get(self) -> int | None:
        """When the alarm is due; None when there is none."""
        self._transaction.check()
        return self.now

    def set(self, ms: int) -> None:
        """Have the alarm fire at `ms`, in place of the one there was. A time in the past means now."""
        if type(ms) is not int:
            raise JsTypeError(f"an alarm takes milliseconds since the epoch as an int, got {type(ms).__name__}")
        if ms <= 0:
            raise JsTypeError(f"set_alarm() cannot be called with an alarm time <= 0, got {ms}")
        if ms > ALARM_MS_MAX:
            raise JsTypeError(f"set_alarm() doesn't support dates after 2189, got {ms} milliseconds since the epoch")
        self._write(max(ms, self._clock.wall_ms()))

    def delete(self) -> None:
        """Remove the alarm, if there is one."""
        self._transaction.check()
        if self.now is not None:
            self._write(None)

    def committed(self) -> None:
        """Call after each commit."""
        self._touched = False
        if self._known:
            self._before = self._now

    def forget(self, *, everything: bool) -> None:
        """A rollback may have undone a change: read the row again when asked.

        Unless it undid `everything` since the last commit, `before` still stands for what that commit said.
        """
        self._known = False
        if everything:
            self._touched = False

    def _write(self, ms: int | None) -> None:
        transaction = self._transaction
        transaction.check()
        before = self.before
        transaction.begin()
        database = transaction.require()
        self._run(database, CREATE_METADATA, ())
        self._run(database, _SET, (None if ms is None else ms * _NANOSECONDS,))
        self._before, self._touched = before, True
        self._now, self._known = ms, True

    def _read(self) -> int | None:
        database = self._transaction.require_existing()
        if database is None or not self._run(database, TABLE_EXISTS, (METADATA_TABLE,)).get:
            return None
        nanoseconds = self._run(database, _GET, ()).get
        return None if nanoseconds is None else int(nanoseconds) // _NANOSECONDS

    def _run(self, database: Database, statement: str, bindings: tuple[Any, ...]) -> Any:
        try:
            return database.run(statement, bindings)
        except apsw.Error as error:
            raise self._transaction.failed(error) from None
