"""The rows of one statement, one row ahead of their reader. Knows SQL only as something that yields tuples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from durable.errors import SqlError
from durable.sdk import habits
from durable.sdk.buffers import JsBuffer
from durable.sdk.storage import SqlCursor
from durable.values import Row

Values = tuple[Any, ...]


class Cursor(SqlCursor):
    """Iterates over rows like `{"page": "home", "n": 3}`; of columns with the same name the last wins, `raw()` has all.

    `rows_read` counts the rows that SQLite has produced, which is one ahead of those taken; rows it only passed over
    are not counted, because SQLite does not report them. `rows_written` counts rows changed, triggers and foreign key
    actions included, index entries not.
    """

    entry: list[Any] | None = None
    """What the timeline says of the statement. Its last item counts rows, and those read are known at their end."""

    def __init__(
        self,
        check: Callable[[], None],
        fail: Callable[[Exception], NoReturn],
        rows: Iterator[Values],
        columns: tuple[str, ...],
        pending: Values | None,
        written: int,
    ) -> None:
        self._check = check
        self._fail = fail
        self._rows = rows
        self._columns = columns
        self._pending = pending
        self._canceled = ""
        self.rows_read = 0 if pending is None else 1
        self.rows_written = written

    @property
    def column_names(self) -> list[str]:  # type: ignore[override]  # computed, because few readers ask
        return list(self._columns)

    @property
    def is_unfinished(self) -> bool:
        """Whether a row waits for its reader."""
        return self._pending is not None

    def _take(self) -> Values | None:
        """The row that waits, after reading the next one; None at the end."""
        row = self._pending
        if row is None:
            if self._canceled:
                raise SqlError(self._canceled)
            return None
        self._check()
        try:
            self._pending = pending = next(self._rows, None)
        except Exception as error:
            self._pending = None
            self._fail(error)
        if pending is not None:
            self.rows_read += 1
        elif self.entry is not None:
            self.entry[-1] = self.rows_read
        return row

    def cancel(self, message: str) -> None:
        """Give the statement up; a reader that comes later gets `message`. A cursor that is finished stays so."""
        if self._pending is not None:
            self._pending = None
            self._canceled = message
            self._release()

    def _release(self) -> None:
        close = getattr(self._rows, "close", None)
        if close is not None:
            close(True)

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = self._take()
        if row is None:
            raise StopIteration
        return Row(zip(self._columns, row))  # noqa: B905

    def next(self) -> Row:
        """`{"done": False, "value": row}`, and `{"done": True}` for ever after."""
        row = self._take()
        return Row(done=True) if row is None else Row(done=False, value=Row(zip(self._columns, row)))  # noqa: B905

    def one(self) -> Row:
        row = self._take()
        if row is None:
            raise SqlError("Expected exactly one result from SQL query, but got no results.")
        if self._pending is not None:
            self._pending = None
            self._release()
            raise SqlError("Expected exactly one result from SQL query, but got multiple results.")
        return Row(zip(self._columns, row))  # noqa: B905 - SQLite gives as many values as names; strict costs time

    def to_array(self) -> list[Row]:
        return list(self)

    def raw(self) -> RawRows:
        return RawRows(self._take)


class PlatformCursor(Cursor):
    """For programs that are written for the platform: blobs are JsBuffer, which are bytes."""

    def _take(self) -> Values | None:
        row = super()._take()
        if row is None or bytes not in map(type, row):
            return row
        return tuple([JsBuffer(cell) if type(cell) is bytes else cell for cell in row])


def cursor_type() -> type[Cursor]:
    """What the program that runs reads its rows with."""
    return PlatformCursor if habits.platform else Cursor


class RawRows:
    """The remaining rows of a cursor as lists of values; shares its position."""

    def __init__(self, take: Callable[[], Values | None]) -> None:
        self._take = take

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        row = self._take()
        if row is None:
            raise StopIteration
        return list(row)

    def next(self) -> Row:
        """As on the cursor, with the list as the value."""
        row = self._take()
        return Row(done=True) if row is None else Row(done=False, value=list(row))

    def to_array(self) -> list[list[Any]]:
        return list(self)

    toArray = to_array
