"""`SELECT * FROM kv`: keys with their values decoded, for tools only, as long as one of them looks.

    key TEXT    type TEXT    value TEXT              bytes INTEGER
    'cart'      'dict'       '{"apples": 3}'         16 as stored

A virtual table that exists without being created, and only in the connection it was put into: the user's own SQL never
finds it, and a table of the user's that is called `kv` hides it. It reads, and follows the order of the keys.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator
from typing import Any, Final

import apsw

from durable import values
from durable.errors import CorruptValueError
from durable.limits import SQL_VALUE_BYTES_MAX
from durable.storage.database import Database
from durable.storage.schema import KV_TABLE, TABLE_EXISTS
from durable.values.json_form import to_json

NAME: Final = "kv"
UNREADABLE: Final = "unreadable"
"""The type of a value that cannot be decoded; its value says why."""
CUT_CHARACTERS: Final = 1_000
"""How much is shown of a value whose text SQLite would not take: `{"$cut": "<its beginning>"}`."""

# Without row ids: SQLite knows rows again by them, from one pass to the next, and ours would be others each time.
_SCHEMA: Final = "CREATE TABLE kv(key TEXT PRIMARY KEY NOT NULL, type TEXT, value TEXT, bytes INTEGER) WITHOUT ROWID"
_KEY, _TYPE, _VALUE = range(3)
_COMPARISONS: Final[dict[int, str]] = {
    apsw.SQLITE_INDEX_CONSTRAINT_EQ: "=",
    apsw.SQLITE_INDEX_CONSTRAINT_GT: ">",
    apsw.SQLITE_INDEX_CONSTRAINT_GE: ">=",
    apsw.SQLITE_INDEX_CONSTRAINT_LT: "<",
    apsw.SQLITE_INDEX_CONSTRAINT_LE: "<=",
}
_COST: Final[dict[bool, float]] = {True: 1.0, False: 1_000.0}
_COST_OF_ALL: Final = 1_000_000.0


@contextlib.contextmanager
def kv_view(database: Database, check: Callable[[], None]) -> Generator[None]:
    """The table is there inside of this. `check` is called for every row, and stops by raising."""
    module: Any = _Module(database, check)
    database.connection.create_module(NAME, module, use_bestindex_object=True, eponymous_only=True, read_only=True)
    try:
        yield
    finally:
        if not database.closed:
            database.connection.create_module(NAME, None)


class _Module:
    def __init__(self, database: Database, check: Callable[[], None]) -> None:
        self.database = database
        self.check = check

    def Connect(self, connection: Any, module: str, schema: str, table: str, *_: Any) -> tuple[str, _Table]:
        # Not through a view or a trigger, which would outlive the tool.
        connection.vtab_config(apsw.SQLITE_VTAB_DIRECTONLY)
        return _SCHEMA, _Table(self)


class _Table:
    def __init__(self, module: _Module) -> None:
        self._module = module

    def BestIndexObject(self, index: Any) -> bool:
        """Comparisons with the key become ours; SQLite checks every row again all the same."""
        comparisons: list[str] = []
        for which in range(index.nConstraint):
            comparison = _COMPARISONS.get(index.get_aConstraint_op(which))
            if (
                comparison is not None
                and index.get_aConstraint_iColumn(which) == _KEY
                and index.get_aConstraint_usable(which)
                and index.get_aConstraint_collation(which) == "BINARY"
            ):
                comparisons.append(f"key {comparison} ?")
                index.set_aConstraintUsage_argvIndex(which, len(comparisons))
        order = "ASC"
        if index.nOrderBy == 1 and index.get_aOrderBy_iColumn(0) == _KEY:
            order = "DESC" if index.get_aOrderBy_desc(0) else "ASC"
            index.orderByConsumed = True
        index.estimatedCost = _COST["key = ?" in comparisons] if comparisons else _COST_OF_ALL
        index.estimatedRows = int(index.estimatedCost)
        value = "value" if index.colUsed & {_TYPE, _VALUE} else "NULL"
        where = f" WHERE {' AND '.join(comparisons)}" if comparisons else ""
        index.idxStr = f"SELECT key, length(value), {value} FROM {KV_TABLE}{where} ORDER BY key {order}"
        return True

    def Open(self) -> _Cursor:
        return _Cursor(self._module)

    def Disconnect(self) -> None:
        """Nothing is held."""

    Destroy = Disconnect


class _Cursor:
    """One pass over the keys; values are decoded when their columns are asked for."""

    def __init__(self, module: _Module) -> None:
        self._module = module
        self._rows: Any = None
        self._row: tuple[str, int, bytes | None] | None = None
        self._decoded: tuple[str, str] | None = None

    def Filter(self, number: int, select: str, arguments: tuple[Any, ...]) -> None:
        self.Close()
        database = self._module.database
        if database.run(TABLE_EXISTS, (KV_TABLE,)).get is None:
            return
        self._rows = database.run(select, arguments)
        self.Next()

    def Eof(self) -> bool:
        return self._row is None

    def Next(self) -> None:
        self._module.check()
        self._decoded = None
        self._row = next(self._rows, None)

    def Column(self, number: int) -> str | int | None:
        if self._row is None:
            return None
        key, size, data = self._row
        if number in (_TYPE, _VALUE):
            if self._decoded is None:
                self._decoded = describe(data or b"")
            return self._decoded[number - _TYPE]
        return key if number == _KEY else size

    def Close(self) -> None:
        rows, self._rows, self._row = self._rows, None, None
        if rows is not None:
            rows.close(True)


def describe(data: bytes) -> tuple[str, str]:
    """(name of its Python type, JSON text) of a stored value: `("set", '{"$set": [1, 2]}')`."""
    try:
        value = values.decode(data)
        text = json.dumps(to_json(value), ensure_ascii=False, allow_nan=False)
    except (CorruptValueError, RecursionError) as error:
        return UNREADABLE, json.dumps({"$error": str(error)}, ensure_ascii=False)
    if len(text.encode(errors="replace")) > SQL_VALUE_BYTES_MAX:
        text = json.dumps({"$cut": text[:CUT_CHARACTERS]}, ensure_ascii=False)
    return "None" if value is None else type(value).__name__, text
