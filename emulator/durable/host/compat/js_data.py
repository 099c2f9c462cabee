"""JavaScript's data by its global names: `Object`, `Array`, `JSON`, `Date`, `Math`, arrays of bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from durable import values
from durable.errors import JsException, JsTypeError
from durable.sdk.buffers import JsBuffer
from durable.sdk.js_values import JsArray, JsDate, JsMap, JsObject, JsSet, TypedArray, as_pairs
from durable.sdk.now import now
from durable.sdk.websocket import WebSocketPair

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Object:
    """`Object.fromEntries` is what `to_js` takes as its `dict_converter`."""

    @staticmethod
    def new(entries: Mapping[str, Any] | None = None) -> JsObject:
        return JsObject(entries or {})

    @staticmethod
    def fromEntries(entries: Iterable[Any]) -> JsObject:
        # Keys are strings there, and numbers arrive as their text.
        return JsObject((_key(key), item) for key, item in as_pairs(entries))

    @staticmethod
    def keys(value: Any) -> JsArray[str]:
        return JsArray(_key(key) for key, _ in _own(value))

    @staticmethod
    def values(value: Any) -> JsArray[Any]:
        return JsArray(item for _, item in _own(value))

    @staticmethod
    def entries(value: Any) -> JsArray[Any]:
        return JsArray(JsArray([_key(key), item]) for key, item in _own(value))

    @staticmethod
    def assign(target: Any, *sources: Mapping[str, Any] | None) -> Any:
        for source in sources:
            target.update(source or {})
        return target

    @staticmethod
    def freeze(value: Any) -> Any:
        """Nothing is frozen here."""
        return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else _text(key)


def _text(value: Any) -> str:
    """`String(value)`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _own(value: Any) -> list[tuple[Any, Any]]:
    """What JavaScript calls an object's own enumerable properties."""
    if isinstance(value, (JsMap, JsSet)):
        return []
    if isinstance(value, Mapping):
        return as_pairs(cast("Mapping[object, object]", value))
    if isinstance(value, WebSocketPair):
        return list(enumerate(value.object_values()))
    return list(enumerate(cast("list[object]", value))) if isinstance(value, (list, tuple)) else []


class Array(JsArray[Any]):
    """`Array.new(1, 2)`."""

    @classmethod
    def new(cls, *items: Any) -> JsArray[Any]:
        """The items, or as many undefined ones as a single number says."""
        if len(items) == 1 and isinstance(items[0], (int, float)) and not isinstance(items[0], bool):
            return JsArray([None] * int(items[0]))
        return JsArray(items)

    @staticmethod
    def of(*items: Any) -> JsArray[Any]:
        return JsArray(items)

    @staticmethod
    def from_(items: Iterable[Any], convert: Callable[[Any, int], Any] | None = None) -> JsArray[Any]:
        """`convert(item, index)` is given both, as on the platform."""
        found = list(items.items()) if isinstance(items, JsMap) else list(items)
        return JsArray(found if convert is None else [convert(item, index) for index, item in enumerate(found)])

    @staticmethod
    def isArray(value: Any) -> bool:
        return isinstance(value, (list, tuple))


class Uint8Array(TypedArray):
    """`Uint8Array.new(16)`."""

    @classmethod
    def from_(cls, items: Iterable[int]) -> TypedArray:
        return cls.new(list(items))

    @classmethod
    def of(cls, *items: int) -> TypedArray:
        return cls.new(items)


ArrayBuffer = JsBuffer


class Date(JsDate):
    """`Date.now()` and `Date.new(…)`; the time is the emulator's, which `durable alarms advance` moves."""

    @staticmethod
    def now() -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Milliseconds since 1970 began."""
        return round((now() - _EPOCH).total_seconds() * 1000)

    @classmethod
    def new(cls, first: Any = None, month: int | None = None, *rest: int) -> JsDate:
        """The time as it is, of milliseconds, of a text, or of year and month (from 0) and what may follow them."""
        if month is not None:
            return JsDate.of(cls.UTC(first, month, *rest))
        if first is None:
            return JsDate.of(cls.now())
        return JsDate.of(cls.parse(first) if isinstance(first, (str, datetime)) else first)

    @staticmethod
    def parse(text: str | datetime) -> int:
        """Milliseconds since 1970 began. Raises an Error called RangeError for a text that is no date."""
        moment = text if isinstance(text, datetime) else _moment(text)
        if moment.tzinfo is None:
            # A date alone counts as UTC in JavaScript, a date with a time as local: UTC, where the platform runs.
            moment = moment.replace(tzinfo=UTC)
        return round((moment - _EPOCH).total_seconds() * 1000)

    @staticmethod
    def UTC(
        year: int, month: int = 0, day: int = 1, hour: int = 0, minute: int = 0, second: int = 0, ms: int = 0
    ) -> int:
        # Months and days beyond their range count on, as in JavaScript.
        begin = datetime(int(year) + int(month) // 12, int(month) % 12 + 1, 1, tzinfo=UTC)
        seconds = (((day - 1) * 24 + hour) * 60 + minute) * 60 + second
        return round((begin - _EPOCH).total_seconds() * 1000) + seconds * 1000 + ms


def _moment(text: str) -> datetime:
    from email.utils import parsedate_to_datetime  # half of the standard library's mail, for who reads HTTP's dates

    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return read(text.strip())
        except (ValueError, TypeError):
            continue
    error = JsException(f"Invalid time value: {text!r} is neither an ISO date nor one of HTTP")
    error.name = "RangeError"
    raise error


class _Json:
    """`JSON`."""

    @staticmethod
    def stringify(value: Any, replacer: Any = None, space: int | str | None = None) -> str:
        """JavaScript's own form; a list of names as `replacer` chooses what objects keep. Raises for cycles."""
        separators = (",", ": ") if space else (",", ":")
        return json.dumps(_json(value, replacer, ()), ensure_ascii=False, indent=space or None, separators=separators)

    @staticmethod
    def parse(text: str | bytes) -> Any:
        """Arrays and objects of JavaScript's. Raises an Error called SyntaxError, which is a ValueError too."""
        try:
            return _with_arrays(json.loads(text))
        except json.JSONDecodeError as error:
            raise JsonSyntaxError(f"{error.msg} at position {error.pos} of the JSON text") from error


class JsonSyntaxError(JsException, ValueError):
    """A text that is not JSON."""

    name = "SyntaxError"


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return JsObject((key, _with_arrays(item)) for key, item in cast("dict[str, Any]", value).items())
    return JsArray(map(_with_arrays, cast("list[object]", value))) if isinstance(value, list) else value


def _json(value: Any, names: Any, parents: tuple[int, ...]) -> Any:
    """What JavaScript writes of `value`: no fraction for 2.0, null for nan, a date's text, an object's `names`."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return JsDate.of(Date.parse(value)).toISOString()
    if id(value) in parents:
        raise JsTypeError("Converting circular structure to JSON: the value contains itself")
    inside = (*parents, id(value))
    if isinstance(value, (JsMap, set, frozenset)):
        return {}
    if isinstance(value, Mapping):
        chosen = [pair for pair in as_pairs(cast("Any", value)) if names is None or pair[0] in names]
        return {_key(key): _json(item, names, inside) for key, item in chosen}
    if isinstance(value, (list, tuple)):
        return [_json(item, names, inside) for item in cast("list[object]", value)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {str(index): byte for index, byte in enumerate(bytes(cast("bytes", value)))}
    raise JsTypeError(f"a value of type {type(value).__name__} has no JSON form; make it a dict or a str first")


JSON: Final = _Json()


def structuredClone(value: Any) -> Any:
    """A deep copy. Raises DataCloneError for what could not be stored."""
    return values.copy(value)
