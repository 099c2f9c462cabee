"""`kv.list()`: entries read one by one, as somebody asks for them. One per object at a time, as on the platform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import apsw

from durable.errors import StorageError
from durable.storage.transaction import Transaction
from durable.values import Row

ANOTHER_BEGAN: Final = (
    "kv.list() iterator was invalidated because a new call to kv.list() was started. Only one kv.list() iterator can"
    " exist at a time. Use dict(kv.list()) to keep all of one."
)


class KeyIterator:
    """Yields (key, value). Writes that happen meanwhile show, if they are ahead of it."""

    def __init__(self, transaction: Transaction, rows: Any, decode: Callable[[bytes], Any]) -> None:
        """`rows` yields (key, encoded value) and may raise apsw's errors; None for no rows."""
        self._transaction = transaction
        self._rows = rows
        self._decode = decode
        self._canceled = ""

    def __iter__(self) -> KeyIterator:
        return self

    def __next__(self) -> tuple[str, Any]:
        if self._canceled:
            raise StorageError(self._canceled)
        self._transaction.check()
        if self._rows is None:
            raise StopIteration
        try:
            key, value = next(self._rows)
        except StopIteration:
            self._rows = None
            raise
        except apsw.Error as error:
            self._rows = None
            raise self._transaction.failed(error) from None
        return key, self._decode(value)

    def next(self) -> Row:
        """`{"done": False, "value": [key, value]}`, and `{"done": True}` for ever after the last."""
        entry = next(self, None)
        return Row(done=True) if entry is None else Row(done=False, value=list(entry))

    def cancel(self, message: str) -> None:
        """Give up what is not read yet; a reader that comes later gets `message`. A finished one stays so."""
        rows, self._rows = self._rows, None
        if rows is not None:
            self._canceled = message
            rows.close(True)
