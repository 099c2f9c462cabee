"""What JavaScript values are here: Python's own containers that also answer to their JavaScript names.

There is no JavaScript. `to_js([1, 2])` is a list that has `length` and `to_py()`, too; stored or sent, all of these
travel as what they are like, and `values.register` is told so by whoever loads a program that uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from durable.sdk import habits
from durable.sdk.buffers import JsBuffer

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JsArray(list[T]):
    """A list. Its other JavaScript methods are Python's, or better written as a comprehension."""

    @property
    def length(self) -> int:
        return len(self)

    def push(self, *items: T) -> int:
        self.extend(items)
        return len(self)

    def shift(self) -> T | None:
        return self.pop(0) if self else None

    def unshift(self, *items: T) -> int:
        self[:0] = items
        return len(self)

    def at(self, index: int) -> T | None:
        return self[index] if -len(self) <= index < len(self) else None

    def includes(self, item: object) -> bool:
        return item in self

    def indexOf(self, item: T) -> int:
        return self.index(item) if item in self else -1

    def join(self, separator: str = ",") -> str:
        return separator.join("" if item is None else str(item) for item in self)

    def slice(self, start: int | None = None, end: int | None = None) -> JsArray[T]:
        return JsArray(self[start:end])

    def concat(self, *others: Iterable[T]) -> JsArray[T]:
        return JsArray([*self, *(item for other in others for item in other)])

    def to_py(self, **options: Any) -> list[Any]:
        return [to_py(item) for item in self]

    def object_values(self) -> JsArray[T]:
        return JsArray(self)

    def object_keys(self) -> JsArray[str]:
        return JsArray(str(index) for index in range(len(self)))

    def object_entries(self) -> JsArray[Any]:
        return JsArray(JsArray([str(index), item]) for index, item in enumerate(self))


class JsObject(dict[str, Any]):
    """A dict whose items are attributes as well. One called like a method of dict is reached by `value["items"]`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # Python itself asks for these, and often
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"the object has no property {name!r}; it has {', '.join(map(str, self)) or 'none'}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        self.pop(name, None)

    def hasOwnProperty(self, name: str) -> bool:
        return name in self

    def to_py(self, **options: Any) -> dict[Any, Any]:
        return {key: to_py(item) for key, item in self.items()}

    def object_values(self) -> JsArray[Any]:
        return JsArray(self.values())

    def object_keys(self) -> JsArray[str]:
        return JsArray(self)

    def object_entries(self) -> JsArray[Any]:
        return JsArray(JsArray(pair) for pair in self.items())

    def as_object_map(self, **options: Any) -> JsObject:
        """Itself: what it does on the platform, items instead of attributes, a dict does anyway."""
        return self


class JsMap(dict[Any, Any]):
    """A dict with the names of a Map; what `to_js` makes of a dict when it is told nothing else."""

    @classmethod
    def new(cls, entries: Iterable[Any] | None = None) -> JsMap:
        return cls() if entries is None else cls(as_pairs(entries))

    def set(self, key: Any, value: Any) -> JsMap:
        self[key] = value
        return self

    def has(self, key: Any) -> bool:
        return key in self

    def delete(self, key: Any) -> bool:
        return self.pop(key, self) is not self

    def entries(self) -> Iterator[JsArray[Any]]:
        return (JsArray(pair) for pair in self.items())

    @property
    def size(self) -> int:
        return len(self)

    def forEach(self, callback: Callable[..., Any]) -> None:
        """Calls `callback(value, key, map)`, with all three as the platform does."""
        for key, value in list(self.items()):
            callback(value, key, self)

    def to_py(self, **options: Any) -> dict[Any, Any]:
        return {key: to_py(item) for key, item in self.items()}

    def as_object_map(self, **options: Any) -> JsMap:
        return self


class JsSet(set[T]):
    """A set with the names of a Set."""

    @classmethod
    def new(cls, items: Iterable[T] | None = None) -> JsSet[T]:
        return cls() if items is None else cls(items)

    def has(self, item: T) -> bool:
        return item in self

    def delete(self, item: T) -> bool:
        found = item in self
        self.discard(item)
        return found

    @property
    def size(self) -> int:
        return len(self)

    def to_py(self, **options: Any) -> set[Any]:
        return {to_py(item) for item in self}


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


class JsDate(datetime):
    """A datetime in UTC with the names of a Date, to the millisecond."""

    @classmethod
    def of(cls, milliseconds: float) -> JsDate:
        """The moment so long after 1970 began."""
        moment = _EPOCH + timedelta(milliseconds=int(milliseconds))
        return cls(*moment.timetuple()[:6], moment.microsecond, tzinfo=UTC)

    def getTime(self) -> int:
        return _milliseconds(self)

    valueOf = getTime

    def toISOString(self) -> str:
        return self.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    toJSON = toISOString

    # Where the platform runs it is UTC, so each of these is the same as its UTC twin.
    def getFullYear(self) -> int:
        return self.year

    def getMonth(self) -> int:
        """From 0, as JavaScript counts."""
        return self.month - 1

    def getDate(self) -> int:
        return self.day

    def getDay(self) -> int:
        """Of the week, from 0 for Sunday."""
        return self.isoweekday() % 7

    def getHours(self) -> int:
        return self.hour

    def getMinutes(self) -> int:
        return self.minute

    def getSeconds(self) -> int:
        return self.second

    def getMilliseconds(self) -> int:
        return self.microsecond // 1000

    getUTCFullYear, getUTCMonth, getUTCDate, getUTCDay = getFullYear, getMonth, getDate, getDay
    getUTCHours, getUTCMinutes, getUTCSeconds = getHours, getMinutes, getSeconds
    getUTCMilliseconds = getMilliseconds


class TypedArray(bytearray):
    """Bytes that can be written to, with the names of a Uint8Array."""

    @classmethod
    def new(cls, source: int | Iterable[int] | bytes = 0, offset: int = 0, length: int | None = None) -> TypedArray:
        """`length` zeros, or a copy of numbers or bytes, from `offset` on."""
        if isinstance(source, int):
            return cls(source)
        data = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else bytes(n & 255 for n in source)
        return cls(data[offset : None if length is None else offset + length])

    @property
    def length(self) -> int:
        return len(self)

    byteLength = length

    @property
    def buffer(self) -> Any:
        """The bytes, as they are now."""
        return habits.arrived(bytes(self))

    def set(self, source: Iterable[int] | bytes, offset: int = 0) -> None:
        data = bytes(source)
        self[offset : offset + len(data)] = data

    def fill(self, value: int) -> TypedArray:
        self[:] = bytes([value]) * len(self)
        return self

    def slice(self, start: int = 0, end: int | None = None) -> TypedArray:
        return type(self)(self[start:end])

    subarray = slice

    def to_bytes(self) -> bytes:
        return bytes(self)

    tobytes = to_bytes

    def to_py(self, **options: Any) -> memoryview:
        return memoryview(self)

    to_memoryview = to_py


TRAVELS_AS: Mapping[type, type] = {
    JsArray: list,
    JsObject: dict,
    JsMap: dict,
    JsSet: set,
    JsDate: datetime,
    JsBuffer: bytes,
    TypedArray: bytes,
}
"""For `values.register`: kind → what it arrives as."""


def to_py(value: Any) -> Any:
    """Python's own types, all the way down; whatever is no JavaScript value stays as it is."""
    return value.to_py() if isinstance(value, _CONVERTED) else value


_CONVERTED = (JsArray, JsObject, JsMap, JsSet, TypedArray, JsBuffer)


def as_pairs(entries: Iterable[Any]) -> list[tuple[Any, Any]]:
    """What `Map.new` and `Object.fromEntries` take: a mapping, or anything that yields pairs."""
    found = cast("Any", entries.items() if isinstance(entries, Mapping) else entries)
    return [(key, value) for key, value in found]


def as_array(items: list[T]) -> list[T]:
    """A list that the platform hands out, as the program may hold it."""
    return JsArray(items) if habits.platform else items


def as_date(milliseconds: int) -> datetime:
    """The same for a moment."""
    return JsDate.of(milliseconds) if habits.platform else _EPOCH + timedelta(milliseconds=milliseconds)
