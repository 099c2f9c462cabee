"""Objects as JSON Lines, version 1: written and read as they come, one document per line.

    {"durable": "objects", "version": 1}
    {"object": {"class": "ChatRoom", "name": "general", "id": "…"}}
    {"sql": "CREATE TABLE messages (id INTEGER PRIMARY KEY, body)"}
    {"table": "messages", "columns": ["id", "body"]}
    {"row": [1, "hello"]}
    {"migration": [1, "0001_messages.sql", "9f86d0…", 1769860800000]}
    {"key": "topic", "value": {"$tuple": ["a", 1]}}            or "encoded": base64, for a value that cannot be read
    {"alarm_ms": 1769860800000}
    {"end": {"rows": 1, "keys": 1}}

An object without its last line was cut off and is refused. Lines that begin with `{"object":` may follow for any number
of objects. Values are as in `durable.values.json_form`. Must not know where lines come from or what becomes of parts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeGuard, cast

from durable.errors import CorruptValueError, DataCloneError, UserInputError
from durable.limits import IMPORT_LINE_BYTES_MAX
from durable.values import decode, encode
from durable.values.json_form import from_json, to_json
from durable_cli.data.image_contents import AlarmAt, Key, Migration, Part, Row, SqlValue, Statement, Table

VERSION: Final = 1
_HEAD: Final = {"durable": "objects", "version": VERSION}


@dataclass(frozen=True, slots=True)
class ObjectBegins:
    """As it was called where it was written."""

    class_name: str
    name: str | None
    id: str


@dataclass(frozen=True, slots=True)
class ObjectEnds:
    """Everything of the object was told."""


Event = ObjectBegins | Part | ObjectEnds


# --- out --------------------------------------------------------------------------------------------------------------
def head() -> str:
    return _line(_HEAD)


def lines_of(begins: ObjectBegins, parts: Iterable[Part]) -> Iterator[str]:
    """The lines of one object, each with its newline."""
    yield _line({"object": {"class": begins.class_name, "name": begins.name, "id": begins.id}})
    rows = keys = 0
    for part in parts:
        rows += isinstance(part, Row)
        keys += isinstance(part, Key)
        yield _line(_document(part))
    yield _line({"end": {"rows": rows, "keys": keys}})


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"


def _document(part: Part) -> dict[str, Any]:
    match part:
        case Statement(sql):
            return {"sql": sql}
        case Table(name, columns):
            return {"table": name, "columns": list(columns)}
        case Row(values):
            return {"row": [to_json(value) for value in values]}
        case Migration(version, name, checksum, applied_ms):
            return {"migration": [version, name, checksum, applied_ms]}
        case AlarmAt(ms):
            return {"alarm_ms": ms}
        case Key(key, encoded):
            try:
                return {"key": key, "value": to_json(decode(encoded))}
            except CorruptValueError:
                return {"key": key, "encoded": base64.b64encode(encoded).decode()}


# --- in ---------------------------------------------------------------------------------------------------------------
def events_of(lines: Iterable[bytes], what: str) -> Iterator[Event]:
    """`what` names the file in errors: every one is a UserInputError with the number of its line."""
    inside = False
    rows = keys = number = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{what}:{number}"
        document = _parsed(line, place)
        if "durable" in document:
            _check_head(document, place)
        elif "object" in document:
            if inside:
                raise _cut_off(place)
            inside, rows, keys = True, 0, 0
            yield _begins(document["object"], place)
        elif not inside:
            raise UserInputError(f'{place}: expected {{"object": …}} here', fix=_FORMAT_HELP)
        elif "end" in document:
            if document["end"] != {"rows": rows, "keys": keys}:
                raise UserInputError(f"{place}: {rows} rows and {keys} keys came, and the line says {document['end']}")
            inside = False
            yield ObjectEnds()
        else:
            part = _part(document, place)
            rows += isinstance(part, Row)
            keys += isinstance(part, Key)
            yield part
    if inside:
        raise _cut_off(f"{what}:{number}")


_FORMAT_HELP: Final = "durable objects export writes such files; docs/data-tools.md describes them"


def _parsed(line: bytes, place: str) -> dict[str, Any]:
    if len(line) > IMPORT_LINE_BYTES_MAX:
        raise UserInputError(f"{place}: the line has more than {IMPORT_LINE_BYTES_MAX} bytes, which no row can have")
    try:
        document: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserInputError(f"{place}: not JSON: {error}", fix=_FORMAT_HELP) from error
    if not isinstance(document, dict):
        raise UserInputError(f"{place}: expected an object of JSON", fix=_FORMAT_HELP)
    return cast("dict[str, Any]", document)


def _check_head(document: dict[str, Any], place: str) -> None:
    version = document.get("version")
    if document["durable"] != "objects" or not isinstance(version, int):
        raise UserInputError(f"{place}: not a file of objects", fix=_FORMAT_HELP)
    if version > VERSION:
        raise UserInputError(
            f"{place}: the file has format {version}, and this durable reads up to {VERSION}",
            fix="read it with the version that wrote it, or a newer one",
        )


def _cut_off(place: str) -> UserInputError:
    return UserInputError(f'{place}: the object before was cut off: its {{"end": …}} is missing', fix="export it again")


def _begins(facts: object, place: str) -> ObjectBegins:
    match facts:
        case {"class": str(class_name), "name": str() | None as name, "id": str(identity)}:
            return ObjectBegins(class_name, name, identity)
        case _:
            raise UserInputError(f'{place}: expected {{"object": {{"class": …, "name": …, "id": …}}}}')


def _part(document: dict[str, Any], place: str) -> Part:
    try:
        match document:
            case {"row": list()}:
                return Row(tuple(_sql_value(value) for value in cast("list[Any]", document["row"])))
            case {"key": str(key), "value": value}:
                return Key(key, encode(from_json(value)))
            case {"key": str(key), "encoded": str(encoded)}:
                return Key(key, base64.b64decode(encoded, validate=True))
            case {"table": str(name), "columns": list()} if _are_texts(
                columns := cast("list[Any]", document["columns"])
            ):
                return Table(name, tuple(columns))
            case {"sql": str(sql)}:
                return Statement(sql)
            case {"migration": [int(version), str(name), str(checksum), int(applied_ms)]}:
                return Migration(version, name, checksum, applied_ms)
            case {"alarm_ms": int(ms)}:
                return AlarmAt(ms)
            case _:
                raise ValueError(f"{', '.join(document) or 'an empty line'} means nothing here")
    except (ValueError, RecursionError, DataCloneError) as error:
        raise UserInputError(f"{place}: {error}", fix=_FORMAT_HELP) from error


def _are_texts(values: list[Any]) -> TypeGuard[list[str]]:
    return all(isinstance(value, str) for value in values)


def _sql_value(plain: Any) -> SqlValue:
    value = from_json(plain)
    if value is None or type(value) in (int, float, str, bytes):
        return cast("SqlValue", value)
    raise ValueError(f"a row cannot hold a {type(value).__name__}")
