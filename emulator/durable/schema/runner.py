"""The platform's half: `migrate(ctx, folder)` in a constructor applies the files that the object lacks.

There the version is a table of the object's own, because names that begin with `_cf_` are the platform's. Here the
engine has applied them before the constructor runs, so the same call finds nothing to do. Must run where there is
nothing but the user's API: standard library only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from durable.schema.files import ClassSchema, read_class
from durable.schema.steps import run_file

TABLE: Final = "durable_migrations"
_CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)"
)

_schemas: dict[str, ClassSchema] = {}
"""Read once per process: the files of a deployed program do not change."""


def migrate(ctx: Any, folder: str | Path) -> int:
    """Apply what `ctx`'s object lacks of a folder such as `Path(__file__).parent / "migrations" / "ChatRoom"`.

    Call it first thing in `__init__`. All files and the new version are one transaction. Returns the version. Raises
    MigrationError for files that are wrong or older than the data, and what the storage or an `up` raised.
    """
    # The engine of this package says so on its own `ctx`; the platform's does not know the name.
    applied_here: object = getattr(ctx, "schema_version", None)
    if isinstance(applied_here, int):
        return applied_here
    schema = _schemas.get(str(folder))
    if schema is None:
        schema = _schemas[str(folder)] = read_class(Path(folder))
    sql = ctx.storage.sql

    def apply() -> None:
        sql.exec(_CREATE)
        rows = sql.exec(f"SELECT checksum FROM {TABLE} ORDER BY version").raw()
        for file in schema.pending(tuple(str(row[0]) for row in rows)):
            run_file(file, ctx)
            sql.exec(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", file.version, file.path.name, file.checksum)

    ctx.storage.transactionSync(apply)
    return schema.version
