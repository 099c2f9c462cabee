"""What an object's image holds, as parts in the order in which another one can be built of them.

    Statement   CREATE TABLE …, then, when all rows were told, indexes, triggers and views
    Table       the columns of the rows that follow
    Row         its values
    Key         a key and its encoded value
    Migration   of the object's own schema
    AlarmAt     when it is due

Rows of virtual tables are those that they show; the tables they keep them in are left out. Reads an image and changes
nothing in it; must not know how parts are written down.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw

from durable.errors import StorageCorruptError, UserInputError
from durable.storage.schema import (
    ALARM_KEY,
    KV_TABLE,
    METADATA_TABLE,
    MIGRATIONS_TABLE,
    TABLE_EXISTS,
    is_reserved,
    quoted,
)

SqlValue = None | int | float | str | bytes
SEQUENCE_TABLE: Final = "sqlite_sequence"
NANOSECONDS: Final = 1_000_000
"""In one millisecond."""

_STATISTICS: Final = frozenset({"sqlite_stat1", "sqlite_stat4"})
_ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")
_MODULE: Final = re.compile(r"\busing\s+(\w+)", re.IGNORECASE)
_CONTENTLESS: Final = re.compile(r"""\bcontent\s*=\s*(''|"")""", re.IGNORECASE)
_WITH_ROWS: Final = frozenset({"fts5", "rtree", "rtree_i32"})


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    values: tuple[SqlValue, ...]


@dataclass(frozen=True, slots=True)
class Key:
    key: str
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Migration:
    """`Migration(1, "0001_messages.sql", "9f86d0…", 1769860800000)`"""

    version: int
    name: str
    checksum: str
    applied_ms: int


@dataclass(frozen=True, slots=True)
class AlarmAt:
    ms: int


Part = Statement | Table | Row | Key | Migration | AlarmAt


@dataclass(frozen=True, slots=True)
class TableShape:
    """`columns` are those that are written; `rowid` is the name of a row's number where no column is it."""

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    """Columns of the primary key, in its order."""
    rowid: str | None

    @property
    def all_columns(self) -> tuple[str, ...]:
        return self.columns if self.rowid is None else (self.rowid, *self.columns)


@contextmanager
def opened(image: Path) -> Generator[Any]:
    """An apsw connection that cannot write. The image is one file that nobody changes, as the door copies it."""
    connection: Any = apsw.Connection(  # apsw's own stubs are partly untyped
        f"file:{quote(str(image))}?immutable=1",
        flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOFOLLOW,
    )
    try:
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        yield connection
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StorageCorruptError(str(image), f"is damaged: {error}") from error
    finally:
        connection.close()


def parts_of(image: Path) -> Iterator[Part]:
    """Raises UserInputError for what only a copy of the file holds, StorageCorruptError."""
    with opened(image) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY rowid").fetchall()
        shadows = {name for name, kind in _kinds(connection) if kind == "shadow"}
        tables = [
            (name, sql)
            for kind, name, sql in schema
            if kind == "table" and not is_reserved(name) and not name.startswith("sqlite_") and name not in shadows
        ]
        for name, sql in tables:
            _refuse_contentless(name, sql)
            yield Statement(sql)
        for name, sql in tables:
            module = _MODULE.search(sql) if sql[:14].upper() == "CREATE VIRTUAL" else None
            if module is None or module[1].lower() in _WITH_ROWS:
                yield from _rows(connection, shape_of(connection, name, is_virtual=module is not None))
        names = {name for kind, name, _ in schema if kind == "table"}
        if SEQUENCE_TABLE in names:
            yield from _rows(connection, TableShape(SEQUENCE_TABLE, ("name", "seq"), (), None))
        for kind, name, sql in schema:
            if kind != "table" and sql is not None and not is_reserved(name):
                yield Statement(sql)
        if names & _STATISTICS:
            yield Statement("ANALYZE")
        yield from _own_parts(connection)


def alarm_of(connection: Any, schema: str = "main") -> int | None:
    if not connection.execute(TABLE_EXISTS.replace("sqlite_schema", f"{schema}.sqlite_schema"), (METADATA_TABLE,)).get:
        return None
    found = connection.execute(f"SELECT value FROM {schema}.{METADATA_TABLE} WHERE key = {ALARM_KEY}").get
    return None if found is None else int(found) // NANOSECONDS


def shape_of(connection: Any, name: str, *, is_virtual: bool = False, schema: str = "main") -> TableShape:
    """What the rows of a table are told and told apart by."""
    info = connection.execute(f"PRAGMA {schema}.table_xinfo({quoted(name)})").fetchall()
    columns = tuple(row[1] for row in info if row[6] == 0)
    keys = [(row[5], row[1], row[2]) for row in info if row[5]]
    names = tuple(key for _, key, _ in sorted(keys))
    if not is_virtual:
        without_rowid = any(
            row[1] == name and row[4] for row in connection.execute(f"PRAGMA {schema}.table_list({quoted(name)})")
        )
        indexes = connection.execute(f"PRAGMA {schema}.index_list({quoted(name)})").fetchall()
        is_alias = len(keys) == 1 and keys[0][2].upper() == "INTEGER" and not any(row[3] == "pk" for row in indexes)
        if without_rowid or is_alias:
            return TableShape(name, columns, names, None)
    elif not _has_rowid_of_its_own(connection, name, schema):
        # The first column of an R-tree is its row's number.
        return TableShape(name, columns, columns[:1], None)
    taken = {row[1].lower() for row in info}
    rowid = next((each for each in _ROWID_NAMES if each not in taken), None)
    return TableShape(name, columns, names, rowid)


def _has_rowid_of_its_own(connection: Any, name: str, schema: str) -> bool:
    sql = connection.execute(f"SELECT sql FROM {schema}.sqlite_schema WHERE name = ?", (name,)).get
    module = _MODULE.search(sql)
    return module is not None and module[1].lower() == "fts5"


def _kinds(connection: Any) -> Iterator[tuple[str, str]]:
    for schema, name, kind, *_ in connection.execute("PRAGMA table_list"):
        if schema == "main":
            yield name, kind


def _refuse_contentless(name: str, sql: str) -> None:
    if sql[:14].upper() == "CREATE VIRTUAL" and _CONTENTLESS.search(sql):
        raise UserInputError(
            f'the table "{name}" is an index without its text (contentless), which cannot be written as rows',
            fix="--format sqlite keeps it as it is",
        )


def _rows(connection: Any, shape: TableShape) -> Iterator[Part]:
    names = ", ".join(quoted(column) for column in shape.all_columns)
    order = f" ORDER BY {quoted(shape.rowid)}" if shape.rowid is not None else ""
    yield Table(shape.name, shape.all_columns)
    try:
        for values in connection.execute(f"SELECT {names} FROM {quoted(shape.name)}{order}"):
            yield Row(values)
    except UnicodeDecodeError:
        raise UserInputError(
            f'the table "{shape.name}" holds text that is not UTF-8, which cannot be written as text',
            fix="--format sqlite keeps it as it is",
        ) from None


def _own_parts(connection: Any) -> Iterator[Part]:
    if connection.execute(TABLE_EXISTS, (MIGRATIONS_TABLE,)).get:
        for row in connection.execute(f"SELECT version, name, checksum, applied_ms FROM {MIGRATIONS_TABLE}"):
            yield Migration(*row)
    if connection.execute(TABLE_EXISTS, (KV_TABLE,)).get:
        for key, encoded in connection.execute(f"SELECT key, value FROM {KV_TABLE} ORDER BY key"):
            yield Key(key, encoded)
    alarm = alarm_of(connection)
    if alarm is not None:
        yield AlarmAt(alarm)
