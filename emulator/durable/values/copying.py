"""Copies a value as a journey through the codec would, without the bytes: the price of a call inside one process."""

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

ATOMS: frozenset[type] = frozenset({type(None), bool, int, float, bytes, date, timedelta, UUID, Decimal})
"""Immutable and complete in themselves: the original is as good as a copy."""


def copy(value: Any) -> Any:
    """A copy that shares nothing mutable with `value`; raises DataCloneError where `encode` would."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in ATOMS or (kind is str and value.isascii()):
        return value
    try:
        return _copy(value, 0)
    except (Refused, RecursionError):
        raise explain(value) from None


def _copy(value: Any, depth: int) -> Any:
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in ATOMS:
        return value
    copier = _COPIERS.get(kind)  # pyright: ignore[reportUnknownArgumentType]
    if copier is None or depth >= VALUE_DEPTH_MAX:
        raise Refused
    return copier(value, depth + 1)


def _copy_text(value: str, depth: int) -> str:
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
    return [item if type(item) in ATOMS else _copy(item, depth) for item in value]


def _copy_tuple(value: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
    return tuple([item if type(item) in ATOMS else _copy(item, depth) for item in value])


def _copy_dict(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    return {_copy(key, depth): item if type(item) in ATOMS else _copy(item, depth) for key, item in value.items()}


def _copy_set(value: set[Any], depth: int) -> set[Any]:
    return {_copy(item, depth) for item in value}


def _copy_frozenset(value: frozenset[Any], depth: int) -> frozenset[Any]:
    return frozenset([_copy(item, depth) for item in value])


_COPIERS: dict[type, Callable[[Any, int], Any]] = {
    str: _copy_text,
    list: _copy_list,
    tuple: _copy_tuple,
    dict: _copy_dict,
    Row: _copy_dict,
    set: _copy_set,
    frozenset: _copy_frozenset,
    bytearray: lambda value, depth: bytearray(value),
    memoryview: lambda value, depth: bytes(value),
    datetime: _copy_moment,
    time: _copy_moment,
}
