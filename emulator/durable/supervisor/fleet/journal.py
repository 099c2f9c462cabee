"""A fleet run on disk: which objects it is about and what became of each; one small SQLite file, gone when all is well.

The truth about an object is in the object's own file; this only says where to go on and what to report. Nothing is
synced: after a crash of the machine the journal cannot be trusted, which the machine's boot id tells, and whatever it
calls done is looked at again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

_SCHEMA: Final = """
CREATE TABLE run(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects(
    position INTEGER PRIMARY KEY, namespace TEXT NOT NULL, id TEXT NOT NULL, name TEXT, state TEXT NOT NULL,
    before INTEGER NOT NULL, after INTEGER NOT NULL, ms REAL NOT NULL, error TEXT NOT NULL, rows TEXT NOT NULL
);
CREATE INDEX by_state ON objects(state, position);
"""
_PAGE_ROWS: Final = 512
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class JournalRow(NamedTuple):
    """One object, as it stands in the table; `rows` is JSON of the rows before and after, for a try."""

    position: int
    namespace: str
    id: str
    name: str | None
    state: str
    before: int
    after: int
    ms: float
    error: str
    rows: str = ""


class Journal:
    """An open journal; made when it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: Any = apsw.Connection(str(path))  # apsw's own stubs are partly untyped
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        if not self._database.execute("SELECT count(*) FROM sqlite_schema").get:
            with self._database:
                self._database.execute(_SCHEMA)

    # --- the run --------------------------------------------------------------------------------------------------
    def get(self, name: str) -> str:
        return str(self._database.execute("SELECT value FROM run WHERE name = ?", (name,)).get or "")

    def set(self, **values: str) -> None:
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO run VALUES (?, ?)", list(values.items()))

    @property
    def is_of_this_boot(self) -> bool:
        boot = boot_id()
        return bool(boot) and self.get("boot") == boot

    def doubt(self) -> None:
        """Have everything that is called done looked at again."""
        with self._database:
            self._database.execute("UPDATE objects SET state = 'pending' WHERE state = 'migrated'")

    def retry_failed(self) -> None:
        with self._database:
            self._database.execute("UPDATE objects SET state = 'pending' WHERE state = 'failed'")

    # --- its objects ----------------------------------------------------------------------------------------------
    def add(self, rows: Iterable[JournalRow]) -> None:
        with self._database:
            self._database.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def settle(self, rows: Iterable[JournalRow]) -> None:
        with self._database:
            self._database.executemany(
                "UPDATE objects SET state = ?, before = ?, after = ?, ms = ?, error = ?, rows = ? WHERE position = ?",
                [(row.state, row.before, row.after, row.ms, row.error, row.rows, row.position) for row in rows],
            )

    def rows(self, *states: str) -> Iterator[JournalRow]:
        """Rows in these states (all without any), a page at a time: they may be changed meanwhile."""
        wanted = f"state IN ({', '.join('?' * len(states))}) AND " if states else ""
        after = -1
        while True:
            page = self._database.execute(
                f"SELECT * FROM objects WHERE {wanted}position > ? ORDER BY position LIMIT {_PAGE_ROWS}",
                (*states, after),
            ).fetchall()
            yield from map(JournalRow._make, page)
            if len(page) < _PAGE_ROWS:
                return
            after = page[-1][0]

    def counts(self) -> dict[str, int]:
        """Objects by state."""
        return dict(self._database.execute("SELECT state, count(*) FROM objects GROUP BY state").fetchall())

    def versions(self, namespace: str) -> dict[int, int]:
        """Objects by the version they have now."""
        found = self._database.execute(
            'SELECT "after", count(*) FROM objects WHERE namespace = ? GROUP BY "after" ORDER BY "after"', (namespace,)
        )
        return dict(found.fetchall())

    # --- its end --------------------------------------------------------------------------------------------------
    def close(self) -> None:
        self._database.close()

    def remove(self) -> None:
        self.close()
        _remove(self.path)


def open_journal(path: Path) -> Journal:
    """The journal as it is, or a new one in place of what cannot be read: it was never synced."""
    journal: Journal | None = None
    try:
        journal = Journal(path)
        journal.get("digest")
        journal.counts()
    except apsw.Error:
        if journal is not None:
            journal.close()
        _remove(path)
        return Journal(path)
    return journal


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


def boot_id() -> str:
    """Of the machine since it was started; empty where that is not known."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
