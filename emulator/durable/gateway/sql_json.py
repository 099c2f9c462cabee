"""Rows and parameters of SQL as JSON, in the form of `durable.values.json_form`: blobs are `{"$bytes": "AP8="}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from durable import values
from durable.gateway.object_finder import Json, bad_request
from durable.values.json_form import from_json, to_json
from durable.wire.messages import InspectedRows

SqlValue = None | int | float | str | bytes


def json_result(found: InspectedRows) -> Json:
    """`{"columns": ["n"], "rows": [[1]], "truncated": false, "rows_written": 0, "oversized": false}`"""
    return {
        "columns": found.columns,
        "rows": [json_row(row) for row in found.rows],
        "truncated": found.truncated,
        "rows_written": found.rows_written,
        "oversized": found.oversized,
    }


def json_row(row: bytes) -> list[object]:
    """The cells of one encoded row. Raises TypeError for what is no row."""
    cells = values.decode(row)
    if not isinstance(cells, (list, tuple)):
        raise TypeError(f"a row of a result is a list, not {type(cells).__name__}")
    return [to_json(cell) for cell in cast("list[object]", cells)]


def encoded_parameters(given: Sequence[object] | Mapping[str, object]) -> bytes:
    """As `Inspect` has them. Raises AdminProblemError for what SQLite has no type for."""
    if not given:
        return b""
    if isinstance(given, Mapping):
        return values.encode({name: _value(cell) for name, cell in given.items()})
    return values.encode([_value(cell) for cell in given])


def _value(cell: object) -> SqlValue:
    try:
        value: object = from_json(cell)
    except ValueError as error:
        raise bad_request(f"a parameter cannot be read: {error}") from error
    if value is None or isinstance(value, (int, float, str, bytes)):
        return value
    raise bad_request('a parameter is a number, a text, null, true, false or {"$bytes": "<base64>"}')
