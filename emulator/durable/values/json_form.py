"""Values that objects store ↔ JSON that keeps their Python types. Knows neither files nor keys.

None, bool, float, str, list, dict with text as keys and int of 64 bits are JSON's own. The rest is an object with one
key, and a dict that looks like one of those is written as `$dict`:

    {"$bytes": "AP8="}  {"$bytearray": "AP8="}      base64
    {"$int": "-0x10000000000000000"}                beyond 64 bits
    {"$float": "nan"}                               and inf, -inf
    {"$tuple": [1]}  {"$set": [1]}  {"$frozenset": [1]}
    {"$dict": [[1, "a"], [null, "b"]]}              other keys than text
    {"$datetime": "2026-01-31T12:00:00+01:00"}      beside it {"zone": "Europe/Berlin"} and {"fold": 1} where needed
    {"$date": "2026-01-31"}  {"$time": "12:00:00"}  {"$timedelta": [1, 0, 0]}      days, seconds, microseconds
    {"$uuid": "12345678-1234-5678-1234-567812345678"}  {"$decimal": "1.50"}

Values of SQL use the first four only.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1
_BESIDE: Final = frozenset({"zone", "fold"})


def to_json(value: Any) -> Any:
    """What `json.dumps` takes; `value` is one that `durable.values` decoded, or one of SQLite's."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if _INT_MIN <= value <= _INT_MAX else {"$int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    return _WRITERS[kind](value)


def from_json(plain: Any) -> Any:
    """The opposite of `to_json`. Raises ValueError, with a sentence, for what it never wrote."""
    if isinstance(plain, list):
        return _list(plain)
    if not isinstance(plain, dict):
        return plain
    document = cast("dict[str, Any]", plain)
    tag = next((key for key in document if key.startswith("$")), None)
    if tag is None:
        return {key: from_json(item) for key, item in document.items()}
    reader = _READERS.get(tag)
    if reader is None or not document.keys() - {tag} <= (_BESIDE if tag in _MOMENTS else frozenset()):
        raise ValueError(
            f'{{"{tag[:40]}": …}} is not a value; a dict with such a key is written as {{"$dict": [[key, value]]}}'
        )
    try:
        return reader(document[tag]) if tag not in _MOMENTS else _moment(tag, document)
    except (ValueError, TypeError, ArithmeticError, LookupError, OSError) as error:
        raise ValueError(f'{{"{tag}": …}} holds no such value: {error}') from error


# --- out --------------------------------------------------------------------------------------------------------------
def _plain_dict(value: Mapping[Any, Any]) -> Any:
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: to_json(item) for key, item in value.items()}
    return {"$dict": [[to_json(key), to_json(item)] for key, item in value.items()]}


def _base64(tag: str) -> Callable[[bytes], Any]:
    return lambda value: {tag: base64.b64encode(value).decode()}


def _items(tag: str) -> Callable[[Any], Any]:
    return lambda value: {tag: [to_json(item) for item in value]}


def _dated(tag: str) -> Callable[[Any], Any]:
    def write(value: datetime | time) -> Any:
        document: dict[str, Any] = {tag: value.isoformat()}
        if isinstance(value.tzinfo, ZoneInfo):
            document = {tag: value.replace(tzinfo=None).isoformat(), "zone": value.tzinfo.key}
        return document | ({"fold": 1} if value.fold else {})

    return write


_WRITERS: Final[dict[type, Callable[[Any], Any]]] = {
    list: lambda value: [to_json(item) for item in value],
    dict: _plain_dict,
    bytes: _base64("$bytes"),
    bytearray: _base64("$bytearray"),
    tuple: _items("$tuple"),
    set: _items("$set"),
    frozenset: _items("$frozenset"),
    datetime: _dated("$datetime"),
    time: _dated("$time"),
    date: lambda value: {"$date": value.isoformat()},
    timedelta: lambda value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    UUID: lambda value: {"$uuid": str(value)},
    Decimal: lambda value: {"$decimal": str(value)},
}


def register(kind: type, like: type) -> None:
    """An object of `kind` is written as what it is like."""
    _WRITERS[kind] = _WRITERS.get(like) or (lambda value: to_json(like(value)))


# --- in ---------------------------------------------------------------------------------------------------------------
def _uuid(plain: Any) -> UUID:
    return UUID(str(plain))  # of what is no text it would ask for `replace`


def _bytes(plain: Any) -> bytes:
    return base64.b64decode(plain, validate=True)


def _hexadecimal(plain: Any) -> int:
    if not isinstance(plain, str) or "0x" not in plain[:3]:
        raise ValueError("expected hexadecimal digits after 0x")
    return int(plain, 16)


def _endless(plain: Any) -> float:
    if plain not in ("nan", "inf", "-inf"):
        raise ValueError("expected nan, inf or -inf")
    return float(plain)


def _list(plain: Any) -> list[Any]:
    if not isinstance(plain, list):
        raise TypeError("expected an array")
    items: list[Any] = plain  # pyright: ignore[reportUnknownVariableType]
    return [from_json(item) for item in items]


def _pairs(plain: Any) -> dict[Any, Any]:
    return {key: value for key, value in _list(plain)}  # noqa: C416 - a pair of another length must not pass


def _duration(plain: Any) -> timedelta:
    days, seconds, microseconds = _list(plain)
    return timedelta(days, seconds, microseconds)


def _moment(tag: str, document: Mapping[str, Any]) -> Any:
    value = _MOMENTS[tag].fromisoformat(document[tag])
    if "zone" in document:
        value = value.replace(tzinfo=ZoneInfo(document["zone"]))
    return value.replace(fold=1) if document.get("fold") else value


_MOMENTS: Final[dict[str, Any]] = {"$datetime": datetime, "$time": time}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "$bytes": _bytes,
    "$bytearray": lambda plain: bytearray(_bytes(plain)),
    "$int": _hexadecimal,
    "$float": _endless,
    "$tuple": lambda plain: tuple(_list(plain)),
    "$set": lambda plain: set(_list(plain)),
    "$frozenset": lambda plain: frozenset(_list(plain)),
    "$dict": _pairs,
    "$date": date.fromisoformat,
    "$timedelta": _duration,
    "$uuid": _uuid,
    "$decimal": Decimal,
    **dict.fromkeys(_MOMENTS, str),
}
