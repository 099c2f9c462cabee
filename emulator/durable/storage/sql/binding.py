"""Which Python values SQLite has a type for. Knows no statement and no connection."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from durable.errors import SqlBindingError

BINDABLE: Final[frozenset[type]] = frozenset({str, int, float, type(None), bytes, bool, bytearray, memoryview})
"""Exact types that need no second look. int and bool become INTEGER, float REAL (NaN becomes NULL), bytes BLOB."""
_BASES = (str, int, float, bytes, bytearray, memoryview)
INTEGER_EXACT_MAX: Final = 2**53 - 1
"""The largest int that every program reads back exactly: JavaScript's numbers are floats (ECMA-262, 21.1.2.6)."""
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1


def bindable(bindings: tuple[Any, ...]) -> tuple[Any, ...]:
    """The bindings, if SQLite can take every one; raises SqlBindingError for the first it cannot."""
    for position, value in enumerate(bindings, 1):
        if type(value) not in BINDABLE and not isinstance(value, _BASES):
            raise SqlBindingError(f"binding {position} is of type {type(value).__name__}; {_advice(value)}")
    return bindings


def explain_binding(bindings: tuple[Any, ...]) -> SqlBindingError | None:
    """Why SQLite could not take a value of a type that it has; None when the bindings are not to blame."""
    for position, value in enumerate(bindings, 1):
        if isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
            return SqlBindingError(
                f"binding {position} is an int beyond SQLite's INTEGER, which reaches from {INTEGER_MIN} to"
                f" {INTEGER_MAX}; bind str(value) to keep every digit, or float(value) to keep its size"
            )
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                return SqlBindingError(
                    f"binding {position} is text with a lone surrogate at index {error.start}, which is not valid"
                    " Unicode; bind value.encode('utf-8', 'surrogatepass') to keep it as a BLOB"
                )
        if isinstance(value, memoryview) and not value.contiguous:
            return SqlBindingError(f"binding {position} is a memoryview with gaps; bind bytes(value)")
    return None


def _advice(value: Any) -> str:
    if isinstance(value, Enum):
        return "bind its .value"
    if isinstance(value, datetime):
        return "bind value.isoformat() to store it as text, or value.timestamp() as a number"
    if isinstance(value, date | time):
        return "bind value.isoformat()"
    if isinstance(value, Decimal | UUID):
        return "bind str(value)"
    if isinstance(value, list | tuple):
        return "bind its items one by one, `exec(query, *values)`, or json.dumps(value) to store it as one"
    if isinstance(value, dict):
        return "bind json.dumps(value); bindings have no names, `:name` counts by position like `?`"
    if isinstance(value, set | frozenset):
        return "bind json.dumps(sorted(value))"
    return "bind a str, int, float, bool, bytes or None"
