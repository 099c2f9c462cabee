"""Copies a value as a journey through the codec would, without the bytes: the price of a call inside one process.

What a copy would weigh as bytes is not known, but `load` says whether it can be much: see `may_be_heavy`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from durable.limits import VALUE_DEPTH_MAX
from durable.values.refusal import Refused, explain
from durable.values.row import Row
from durable.values.zones import travels

ATOMS: frozenset[type] = frozenset({type(None), bool, int, float, date, timedelta, UUID, Decimal})
"""Immutable, small and complete in themselves: the original is as good as a copy."""


_HEAVY_TEXT = 1024
_HEAVY = 8000

_load = 0
"""Items of containers that were copied, and characters of long texts and of bytes, since it was set to 0."""
_carry: Callable[[Any], Any] | None = None
"""What copies objects that are no values, while `copy_with` runs."""


def copy(value: Any) -> Any:
    """A copy that shares nothing mutable with `value`; raises DataCloneError where `encode` would."""
    try:
        return plain_copy(value)
    except (Refused, RecursionError):
        raise explain(value) from None


def plain_copy(value: Any) -> Any:
    """The same, raising `Refused` or RecursionError: for whoever can do more with the value than to give up."""
    global _load
    _load = 0
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in ATOMS or (kind is str and value.isascii() and len(value) <= _HEAVY_TEXT):
        return value
    return _copy(value, 0)


def copy_with(value: Any, carry: Callable[[Any], Any], takes: Callable[[Any], bool]) -> Any:
    """The same; `carry` gives a copy of what is no value, of every object that it `takes`; others it refuses."""
    global _carry, _load
    # Kept and put back: what `carry` reads of user code's own objects may copy something itself.
    outer, _carry = _carry, carry
    _load = 0
    try:
        return _copy(value, 0)
    except (Refused, RecursionError):
        raise explain(value, takes) from None
    finally:
        _carry = outer


def may_be_heavy() -> bool:
    """Whether the last copy may be more than 32 MiB as bytes: a short text has at most 4 KiB, an item is no smaller."""
    return _load > _HEAVY


def _copy(value: Any, depth: int) -> Any:
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in ATOMS:
        return value
    copier = _COPIERS.get(kind)  # pyright: ignore[reportUnknownArgumentType]
    if depth >= VALUE_DEPTH_MAX:
        raise Refused
    if copier is None:
        if _carry is None:
            raise Refused
        return _carry(value)
    return copier(value, depth + 1)


def _weigh(size: int) -> None:
    global _load
    _load += size


def _copy_bytes(value: bytes | bytearray | memoryview, depth: int) -> bytes:
    _weigh(len(value))
    return bytes(value)


def _copy_bytearray(value: bytearray, depth: int) -> bytearray:
    _weigh(len(value))
    return bytearray(value)


def _copy_text(value: str, depth: int) -> str:
    if len(value) > _HEAVY_TEXT:
        _weigh(len(value))
    # ASCII is the common case and known to the string object; only other text can hold a lone surrogate.
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused from None
    return value


def _copy_moment(value: datetime | time, depth: int) -> datetime | time:
    if not travels(value.tzinfo):
        raise Refused
    return value


def _copy_list(value: list[Any], depth: int) -> list[Any]:
    global _load
    _load += len(value)
    return [item if type(item) in ATOMS else _copy(item, depth) for item in value]


def _copy_tuple(value: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
    global _load
    _load += len(value)
    return tuple([item if type(item) in ATOMS else _copy(item, depth) for item in value])


def _copy_dict(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    global _load
    _load += 2 * len(value)
    return {_copy(key, depth): item if type(item) in ATOMS else _copy(item, depth) for key, item in value.items()}


def _copy_set(value: set[Any], depth: int) -> set[Any]:
    _weigh(len(value))
    return {_copy(item, depth) for item in value}


def _copy_frozenset(value: frozenset[Any], depth: int) -> frozenset[Any]:
    _weigh(len(value))
    return frozenset([_copy(item, depth) for item in value])


_COPIERS: dict[type, Callable[[Any, int], Any]] = {
    str: _copy_text,
    list: _copy_list,
    tuple: _copy_tuple,
    dict: _copy_dict,
    Row: _copy_dict,
    set: _copy_set,
    frozenset: _copy_frozenset,
    bytes: _copy_bytes,
    bytearray: _copy_bytearray,
    memoryview: _copy_bytes,
    datetime: _copy_moment,
    time: _copy_moment,
}


def register(kind: type, like: type) -> None:
    """A copy of an object of `kind` is one of what it is like."""
    _COPIERS[kind] = _COPIERS.get(like) or (lambda value, depth: _copy(like(value), depth))


def arrive_as(dicts: type[dict[Any, Any]], blobs: type[bytes]) -> None:
    """The types of every dict and of all bytes in a copy."""

    def copy_dict_as(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        return dicts(_copy_dict(value, depth))

    def copy_bytes_as(value: Any, depth: int) -> bytes:
        return blobs(_copy_bytes(value, depth))

    _COPIERS[dict] = _COPIERS[Row] = _COPIERS[dicts] = _copy_dict if dicts is dict else copy_dict_as
    _COPIERS[bytes] = _COPIERS[memoryview] = _COPIERS[blobs] = _copy_bytes if blobs is bytes else copy_bytes_as
