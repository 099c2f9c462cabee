"""Running migrations against one object's `ctx`: SQL statement by statement, Python by calling `up(ctx)`.

A failure is raised from the line of the file that it came from: in the traceback stands `0002_x.sql`, with its text.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

from durable.schema.files import MigrationFile
from durable.schema.place import raise_at
from durable.schema.statements import SqlStatement

_OFFSET: Final = re.compile(r" at offset (\d+)")


def run_file(file: MigrationFile, ctx: Any) -> None:
    """Run one file. Raises what the storage or the user's `up` raised; the transaction is the caller's."""
    if file.is_python:
        file.load_up()(ctx)
        return
    sql = ctx.storage.sql
    for statement in file.statements:
        try:
            sql.exec(statement.text)
        except Exception as error:
            _raise_at(file, statement, error)


def _raise_at(file: MigrationFile, statement: SqlStatement, error: Exception) -> NoReturn:
    found = _OFFSET.search(str(error))
    line = statement.line_of(int(found.group(1))) if found else statement.line
    raise_at(file.path, line, error)
