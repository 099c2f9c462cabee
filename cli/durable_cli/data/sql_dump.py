"""An object as an SQL script, which any SQLite reads, and scripts of others as parts and statements.

Names that begin with _cf_ are ours, and no SQL from outside may reach them. The lines that we write for keys, the alarm
and migrations have one form each; exactly those are taken as the data they hold, never run. What SQLite's own `.dump`
puts around its statements (BEGIN, COMMIT, PRAGMA foreign_keys) is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import apsw

from durable.errors import UserInputError
from durable.limits import IMPORT_STATEMENT_BYTES_MAX
from durable.storage.schema import (
    ALARM_KEY,
    CREATE_KV,
    CREATE_METADATA,
    CREATE_MIGRATIONS,
    KV_TABLE,
    METADATA_TABLE,
    MIGRATIONS_TABLE,
    quoted,
)
from durable.storage.sql.statement import EMPTY
from durable_cli.data.image_contents import NANOSECONDS, AlarmAt, Key, Migration, Part, Row, SqlValue, Statement, Table

HEAD: Final = "-- an object of durable, as SQL: durable objects import reads it\n"

_TEXT: Final = r"(?:'(?:[^']|'')*'|CAST\(x'(?:[0-9a-f]{2})*' AS TEXT\))"
_KEY: Final = re.compile(rf"INSERT INTO {KV_TABLE} VALUES\(({_TEXT}),[xX]'((?:[0-9a-fA-F]{{2}})*)'\);", re.DOTALL)
_ALARM: Final = re.compile(rf"INSERT INTO {METADATA_TABLE} VALUES\({ALARM_KEY},(\d{{1,19}})\);")
_MIGRATION: Final = re.compile(
    rf"INSERT INTO {MIGRATIONS_TABLE} VALUES\((\d{{1,9}}),({_TEXT}),({_TEXT}),(\d{{1,19}})\);", re.DOTALL
)
_OURS: Final = frozenset(
    f"{form};"
    for sql in (CREATE_KV, CREATE_METADATA, CREATE_MIGRATIONS)
    for form in (sql, sql.replace(" IF NOT EXISTS", ""))
)
_AROUND: Final = re.compile(
    r"(BEGIN(\s+TRANSACTION)?|COMMIT(\s+TRANSACTION)?|END|PRAGMA\s+(foreign_keys|defer_foreign_keys)\s*=\s*\w+)\s*;",
    re.IGNORECASE,
)


# --- out --------------------------------------------------------------------------------------------------------------
def script_of(parts: Iterable[Part]) -> Iterator[str]:
    """The script in pieces, each one or more lines."""
    yield HEAD
    yield "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
    insert = ""
    made: set[str] = set()
    for part in parts:
        match part:
            case Statement(sql):
                # A comment at its end would swallow the semicolon.
                yield f"{sql}\n;\n" if "--" in sql else f"{sql};\n"
            case Table(name, columns):
                insert = f"INSERT INTO {quoted(name)}({','.join(quoted(column) for column in columns)}) VALUES("
                if name == "sqlite_sequence":
                    yield "DELETE FROM sqlite_sequence;\n"
            case Row(values):
                yield f"{insert}{','.join(literal(value) for value in values)});\n"
            case Key(key, encoded):
                yield from _once(made, CREATE_KV)
                yield f"INSERT INTO {KV_TABLE} VALUES({literal(key)},{literal(encoded)});\n"
            case Migration(version, name, checksum, applied_ms):
                yield from _once(made, CREATE_MIGRATIONS)
                facts = f"{version},{literal(name)},{literal(checksum)},{applied_ms}"
                yield f"INSERT INTO {MIGRATIONS_TABLE} VALUES({facts});\n"
            case AlarmAt(ms):
                yield from _once(made, CREATE_METADATA)
                yield f"INSERT INTO {METADATA_TABLE} VALUES({ALARM_KEY},{ms * NANOSECONDS});\n"
    yield "COMMIT;\n"


def _once(made: set[str], statement: str) -> Iterator[str]:
    if statement not in made:
        made.add(statement)
        yield f"{statement};\n"


def literal(value: SqlValue) -> str:
    """A value of SQLite's in SQL: `NULL`, `1`, `1.5`, `9.0e+999`, `'it''s'`, `x'00ff'`."""
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"x'{value.hex()}'"
        case str():
            if "\0" in value:  # SQL ends there
                return f"CAST(x'{value.encode().hex()}' AS TEXT)"
            return "'" + value.replace("'", "''") + "'"
        case float() if value in (float("inf"), float("-inf")):
            return "9.0e+999" if value > 0 else "-9.0e+999"
        case _:
            return repr(value)


# --- in ---------------------------------------------------------------------------------------------------------------
def parts_of_script(lines: Iterable[bytes], what: str) -> Iterator[tuple[int, Part]]:
    """The number of the line that each part begins in, and the part.

    `what` names the file in errors. Raises UserInputError for what is no SQL script.
    """
    text, begin = "", 1
    for number, line in enumerate(lines, start=1):
        try:
            piece = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UserInputError(f"{what}:{number}: not UTF-8: byte {error.start} of the line") from error
        if not text:
            begin = number
        text += piece
        if len(text) > IMPORT_STATEMENT_BYTES_MAX:
            raise UserInputError(f"{what}:{begin}: a statement of more than {IMPORT_STATEMENT_BYTES_MAX} bytes")
        # SQLite's own rule for where a statement ends, which knows strings, comments and triggers.
        if piece.rstrip().endswith(";") and _complete(text):
            yield from _part(text, begin)
            text = ""
    if EMPTY.fullmatch(text) is None:
        if not _complete(f"{text};"):
            raise UserInputError(f"{what}:{begin}: the last statement is cut off", fix="is the file complete?")
        yield from _part(f"{text};", begin)


def _complete(text: str) -> bool:
    check: Any = apsw.complete  # apsw's own stubs are partly untyped
    return bool(check(text)) and "\0" not in text


def _part(text: str, begin: int) -> Iterator[tuple[int, Part]]:
    blank = EMPTY.match(text)
    start = blank.end() if blank is not None else 0
    line, statement = begin + text.count("\n", 0, start), text[start:].rstrip()
    if not statement or statement in _OURS or _AROUND.fullmatch(statement):
        return
    try:
        # Without its end, as SQLite keeps it, too.
        yield line, _own_part(statement) or Statement(statement.removesuffix(";").rstrip())
    except UnicodeDecodeError as error:
        raise UserInputError(f"a name or key in line {line} is not UTF-8: {error}") from error


def _own_part(statement: str) -> Part | None:
    if (key := _KEY.fullmatch(statement)) is not None:
        return Key(_text(key[1]), bytes.fromhex(key[2]))
    if (alarm := _ALARM.fullmatch(statement)) is not None:
        return AlarmAt(int(alarm[1]) // NANOSECONDS)
    if (migration := _MIGRATION.fullmatch(statement)) is not None:
        return Migration(int(migration[1]), _text(migration[2]), _text(migration[3]), int(migration[4]))
    return None


def _text(quoted_text: str) -> str:
    if quoted_text.startswith("'"):
        return quoted_text[1:-1].replace("''", "'")
    return bytes.fromhex(quoted_text.removeprefix("CAST(x'").removesuffix("' AS TEXT)")).decode()
