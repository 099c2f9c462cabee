"""What a user's statements leave on a connection and not in the file: switches, and the last row id.

A file may be closed while its actor lives, when too many are open. The actor must not notice, so this is taken along.
The counts of `changes()` and `total_changes()` begin anew: SQLite lets nobody set them.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from durable.storage.database import Database

_READABLE: Final = (
    "foreign_keys",
    "ignore_check_constraints",
    "legacy_alter_table",
    "recursive_triggers",
    "reverse_unordered_selects",
)


class ConnectionState(Struct, frozen=True):
    """`switches` is None when no statement of the user's ever set one."""

    last_row_id: int
    switches: dict[str, int] | None

    @classmethod
    def of(cls, database: Database, *, always: bool = False) -> ConnectionState:
        """Read it off an open file that no transaction is open on; `always` the switches, too, if never set."""
        switches: dict[str, int] | None = None
        if always or database.authorizer.switched:
            switches = {name: int(database.run(f"PRAGMA {name}").get) for name in _READABLE}
            # This one cannot be asked for; what it does can be seen.
            switches["case_sensitive_like"] = int(not database.run("SELECT 'a' LIKE 'A'").get)
        return cls(database.connection.last_insert_rowid(), switches)

    def restore(self, database: Database) -> None:
        """Put it on a connection that was just opened."""
        if self.last_row_id:
            database.connection.set_last_insert_rowid(self.last_row_id)
        if self.switches is not None:
            for name, value in self.switches.items():
                database.run(f"PRAGMA {name} = {value}").fetchall()
            database.authorizer.switched = True
