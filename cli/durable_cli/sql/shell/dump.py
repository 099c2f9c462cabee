"""The copy that `.dump` of the SQL shell reads: an object's file without the platform's own tables, hardened.

The copy is the shell's alone, so what is taken out of it is taken out of nothing else.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

_HARDENING: Final = (
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
)
_DENIED: Final = frozenset({apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH})
DROPPED_LINES: Final = ("-- Database:", "-- User:", "-- Date:", "-- Tables like:")
"""Of apsw's heading: where the copy was, who ran it and when say nothing about the object."""


@contextmanager
def dumpable(path: Path) -> Generator[tuple[Any, int]]:  # apsw's own stubs are partly untyped
    """A connection to the copy, and how many keys of `ctx.storage.kv` are left out of it."""
    connection: Any
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        for option, value in _HARDENING:
            connection.config(option, value)
        connection.authorizer = _authorize
        connection.execute("PRAGMA synchronous = OFF")
        keys = 0
        hidden = "SELECT name FROM sqlite_schema WHERE type = 'table' AND lower(substr(name, 1, 4)) = '_cf_'"
        for (name,) in connection.execute(hidden).fetchall():
            table = '"' + str(name).replace('"', '""') + '"'
            if name == "_cf_KV":
                keys = int(connection.execute(f"SELECT count(*) FROM {table}").get)
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA application_id = 0")
        yield connection, keys


def _authorize(action: int, *_: object) -> int:
    return apsw.SQLITE_DENY if action in _DENIED else apsw.SQLITE_OK
