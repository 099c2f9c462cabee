"""Opens a database of ours to be read only: no byte of it changes, no file appears beside it. Needs the state lock."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import apsw

from durable.storage.sql.soundex import soundex

_INTERRUPT_STEPS: Final = 1_000_000
"""SQLite instructions between two moments in which Ctrl+C is heard."""


@contextlib.contextmanager
def opened(path: Path) -> Generator[Any]:  # apsw's own stubs are partly untyped
    """A connection to `path` and its log. Raises apsw's errors."""
    if has_log(path):
        # Alone with the file, SQLite keeps the index of its log in memory instead of in a file of its own.
        connection: Any = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
    else:
        flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW
        connection = apsw.Connection(f"{path.as_uri()}?immutable=1", flags=flags)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # An index of the object's may call it, and it is evaluated by the check.
        connection.create_scalar_function("soundex", soundex, 1, deterministic=True, flags=apsw.SQLITE_INNOCUOUS)
        connection.set_progress_handler(_go_on, _INTERRUPT_STEPS)
        yield connection
    finally:
        connection.close()


def has_log(path: Path) -> bool:
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def quick_check(connection: Any) -> str:
    """What SQLite finds first, empty when all is well."""
    found = str(connection.execute("PRAGMA quick_check(1)").get)
    return "" if found == "ok" else found.removeprefix("*** in database main ***\n").replace("\n", "; ")


def _go_on() -> bool:
    return False
