"""What differs between two images: schema, rows by their keys, stored keys, migrations and the alarm.

SQLite compares, with both images attached to a connection that can write to neither, so no table has to fit into
memory. Rows of tables without a primary key are told apart by their rowid. Must not know how a difference is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw

from durable.errors import CorruptValueError, StorageCorruptError, UserInputError
from durable.storage.schema import KV_TABLE, MIGRATIONS_TABLE, is_reserved, quoted
from durable.values import decode
from durable.values.json_form import to_json
from durable_cli.data.image_contents import SqlValue, TableShape, alarm_of, shape_of

ADDED: Final = "added"
REMOVED: Final = "removed"
CHANGED: Final = "changed"


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that is on one side only, or differs; the side that lacks it has None.

    `Changed("changed", "table messages", "CREATE TABLE …", "CREATE TABLE …")`, or a key and both its values as JSON
    (`{"key": …, "before": …, "after": …}`), or a row by `{"id": 1}` with its other columns.
    """

    kind: str
    what: Any
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        return {"change": self.kind, "what": self.what, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Changes:
    """How many of each kind, and the first of them."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    first: tuple[Changed, ...] = ()

    @property
    def count(self) -> int:
        return self.added + self.removed + self.changed

    def to_json(self) -> dict[str, Any]:
        """`{"added": 1, "removed": 0, "changed": 0, "first": [{"change": "added", …}]}`"""
        counts = {"added": self.added, "removed": self.removed, "changed": self.changed}
        return {**counts, "first": [each.to_json() for each in self.first]}


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """`alarm_ms` and `schema_version` are the same twice where they do not differ."""

    schema: Changes
    rows: dict[str, Changes] = field(default_factory=dict[str, Changes])
    """By table, where there is any; not of tables that are new, gone or have other columns now."""
    keys: Changes = field(default_factory=Changes)
    alarm_ms: tuple[int | None, int | None] = (None, None)
    schema_version: tuple[int, int] = (0, 0)

    @property
    def is_same(self) -> bool:
        pairs_are_same = self.alarm_ms[0] == self.alarm_ms[1] and self.schema_version[0] == self.schema_version[1]
        return pairs_are_same and not (self.schema.count or self.rows or self.keys.count)

    def to_json(self) -> dict[str, Any]:
        return {
            "same": self.is_same,
            "schema": self.schema.to_json(),
            "rows": {table: changes.to_json() for table, changes in self.rows.items()},
            "keys": self.keys.to_json(),
            "alarm_ms": list(self.alarm_ms),
            "schema_version": list(self.schema_version),
        }


def diff_images(before: Path, after: Path, *, shown_max: int) -> ImageDiff:
    """At most `shown_max` of the differences of each table are told, all are counted. Raises StorageCorruptError."""
    with _attached(before, after) as connection:
        schema, common = _schema(connection, shown_max)
        rows = {name: changes for name in common if (changes := _rows(connection, name, shown_max)).count}
        return ImageDiff(
            schema,
            rows,
            _keys(connection, shown_max),
            (alarm_of(connection, "a"), alarm_of(connection, "b")),
            (_version(connection, "a"), _version(connection, "b")),
        )


@contextmanager
def _attached(before: Path, after: Path) -> Generator[Any]:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_CREATE
    connection: Any = apsw.Connection(":memory:", flags=flags)  # apsw's own stubs are partly untyped
    try:
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        for name, image in (("a", before), ("b", after)):
            connection.execute(f"ATTACH ? AS {name}", (f"file:{quote(str(image))}?mode=ro&immutable=1",))
        yield connection
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StorageCorruptError(f"{before} or {after}", f"is damaged: {error}") from error
    except UnicodeDecodeError:
        raise UserInputError(
            "a row holds text that is not UTF-8, which cannot be shown", fix='durable sql … "SELECT CAST(… AS BLOB)"'
        ) from None
    finally:
        connection.close()


# --- schema -----------------------------------------------------------------------------------------------------------
def _schema(connection: Any, shown_max: int) -> tuple[Changes, list[str]]:
    """What differs, and the tables whose rows can be compared."""
    before, after = (_definitions(connection, schema) for schema in ("a", "b"))
    found = [
        Changed(_kind(before.get(name), after.get(name)), name, before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    tables = [name.removeprefix("table ") for name in before if name in after and name.startswith("table ")]
    shadows = {row[1] for row in connection.execute("PRAGMA table_list") if row[2] == "shadow"}
    return _counted(iter(found), shown_max, lambda each: each), [
        name
        for name in tables
        if name not in shadows and _shape(connection, name, "a") == _shape(connection, name, "b")
    ]


def _definitions(connection: Any, schema: str) -> dict[str, str]:
    """`{"table messages": "CREATE TABLE …"}`"""
    query = f"SELECT type, name, sql FROM {schema}.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    shadows = {row[1] for row in connection.execute(f"PRAGMA {schema}.table_list") if row[2] == "shadow"}
    return {
        f"{kind} {name}": sql
        for kind, name, sql in connection.execute(query)
        if not is_reserved(name) and not name.startswith("sqlite_") and name not in shadows
    }


def _shape(connection: Any, name: str, schema: str) -> TableShape:
    found = connection.execute(f"SELECT sql FROM {schema}.sqlite_schema WHERE name = ?", (name,)).get
    return shape_of(connection, name, is_virtual=found[:14].upper() == "CREATE VIRTUAL", schema=schema)


# --- rows -------------------------------------------------------------------------------------------------------------
def _rows(connection: Any, name: str, shown_max: int) -> Changes:
    shape = _shape(connection, name, "a")
    keys = shape.keys or ((shape.rowid,) if shape.rowid is not None else shape.columns)
    others = [column for column in shape.all_columns if column not in keys]
    if shape.keys:  # the number of a row that has a key means nothing
        others = [column for column in others if column != shape.rowid]
    table = quoted(name)
    selected = (*keys, *others)

    def columns(side: str) -> str:
        return ", ".join(f"{side}.{quoted(column)}" for column in selected)

    same_key = " AND ".join(f"y.{quoted(key)} IS x.{quoted(key)}" for key in keys)
    # 1 and 1.0 are equal to SQLite, and so are A and a where a column says so; a row that has one is not the other.
    differs = " OR ".join(
        f"x.{column} IS NOT y.{column} COLLATE BINARY OR typeof(x.{column}) <> typeof(y.{column})"
        for column in map(quoted, selected)
    )
    only = "SELECT {columns} FROM {here}.{table} AS x WHERE NOT EXISTS (SELECT 1 FROM {there}.{table} AS y WHERE {key})"
    queries = {
        REMOVED: only.format(columns=columns("x"), here="a", there="b", table=table, key=same_key),
        ADDED: only.format(columns=columns("x"), here="b", there="a", table=table, key=same_key),
        CHANGED: f"SELECT {columns('x')}, {columns('y')} FROM a.{table} AS x JOIN b.{table} AS y"
        f" ON {same_key} WHERE {differs}",
    }
    width = len(selected)

    def row(values: tuple[SqlValue, ...]) -> dict[str, Any]:
        return {column: to_json(value) for column, value in zip(selected, values, strict=True)}

    def changes() -> Iterator[tuple[str, tuple[SqlValue, ...]]]:
        for kind, query in queries.items():
            for values in connection.execute(query):
                yield kind, values

    def shown(found: tuple[str, tuple[SqlValue, ...]]) -> Changed:
        kind, values = found
        what = row(values[:width])
        key = {column: what[column] for column in keys}
        match kind:
            case "removed":
                return Changed(kind, key, what, None)
            case "added":
                return Changed(kind, key, None, what)
            case _:
                return Changed(kind, key, what, row(values[width:]))

    return _counted(changes(), shown_max, shown)


# --- keys, migrations -------------------------------------------------------------------------------------------------
def _keys(connection: Any, shown_max: int) -> Changes:
    pairs: list[tuple[str, str]] = []
    for side in ("a", "b"):
        exists = connection.execute(f"SELECT 1 FROM {side}.sqlite_schema WHERE name = ?", (KV_TABLE,)).get
        empty = "(SELECT NULL AS key, NULL AS value WHERE 0)"
        pairs.append((side, f"{side}.{KV_TABLE}" if exists else empty))
    (_, before), (_, after) = pairs
    query = (
        f"SELECT key, x.value, y.value FROM {before} AS x FULL JOIN {after} AS y USING (key)"
        " WHERE x.value IS NOT y.value ORDER BY key"
    )

    def changes() -> Iterator[tuple[str, tuple[Any, ...]]]:
        for found in connection.execute(query):
            yield _kind(found[1], found[2]), found

    def shown(found: tuple[str, tuple[Any, ...]]) -> Changed:
        kind, (key, old, new) = found
        return Changed(kind, key, _decoded(old), _decoded(new))

    return _counted(changes(), shown_max, shown)


def _decoded(encoded: bytes | None) -> Any:
    """As JSON, with a stored None as `{"value": null}` around it told apart from a missing key."""
    if encoded is None:
        return None
    try:
        return {"value": to_json(decode(encoded))}
    except CorruptValueError as error:
        return {"damaged": str(error)}


def _version(connection: Any, schema: str) -> int:
    exists = connection.execute(f"SELECT 1 FROM {schema}.sqlite_schema WHERE name = ?", (MIGRATIONS_TABLE,)).get
    return int(connection.execute(f"SELECT count(*) FROM {schema}.{MIGRATIONS_TABLE}").get) if exists else 0


def _kind(before: object, after: object) -> str:
    return ADDED if before is None else REMOVED if after is None else CHANGED


def _counted(found: Iterator[Any], shown_max: int, show: Callable[[Any], Changed]) -> Changes:
    counts = {ADDED: 0, REMOVED: 0, CHANGED: 0}
    first: list[Changed] = []
    for each in found:
        kind = each.kind if isinstance(each, Changed) else each[0]
        counts[kind] += 1
        if len(first) < shown_max:
            first.append(show(each))
    return Changes(counts[ADDED], counts[REMOVED], counts[CHANGED], tuple(first))
