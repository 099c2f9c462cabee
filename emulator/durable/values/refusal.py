"""Says where and why a value cannot be stored or sent. Runs only after a fast walk has stumbled, so it may be slow."""

from __future__ import annotations

import enum
import inspect
import pathlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from durable.errors import DataCloneError
from durable.limits import RPC_PAYLOAD_BYTES_MAX, VALUE_DEPTH_MAX
from durable.values.row import Row
from durable.values.zones import travels

LEAVES: set[type] = {
    type(None),
    bool,
    int,
    float,
    str,
    bytes,
    bytearray,
    memoryview,
    date,
    datetime,
    time,
    timedelta,
    UUID,
    Decimal,
}
CONTAINERS: set[type] = {list, tuple, dict, Row, set, frozenset}


def register(kind: type, like: type) -> None:
    """`kind` travels as what it is like."""
    (CONTAINERS if like in CONTAINERS else LEAVES).add(kind)


class Refused(Exception):
    """Stops a fast walk; whoever started it asks `explain` for the sentence."""


def explain(value: object, takes: Callable[[Any], bool] | None = None) -> DataCloneError:
    """The error for the first thing in `value` that cannot travel: `value['a'][2]: <class 'Foo'> cannot be …`.

    `takes` says which objects travel beside values.
    """
    found = next(_problems(value, "value", (), takes), None)
    return DataCloneError(found or "the value changed while it was copied")


def check_size(size: int) -> None:
    """Raises DataCloneError for an encoded value that is too large for a call."""
    if size > RPC_PAYLOAD_BYTES_MAX:
        raise DataCloneError(
            "Serialized RPC arguments or return values are limited to 32MiB, "
            f"but the size of this value was: {size} bytes."
        )


def _problems(value: object, path: str, parents: tuple[int, ...], takes: Callable[[Any], bool] | None) -> Iterator[str]:
    kind = type(value)
    if kind in CONTAINERS:
        if id(value) in parents:
            yield f"{path} contains itself; only trees can be stored or sent"
            return
        if len(parents) >= VALUE_DEPTH_MAX:
            yield f"{path} is nested deeper than {VALUE_DEPTH_MAX} levels"
            return
        for child_path, child in _children(value, path):
            yield from _problems(child, child_path, (*parents, id(value)), takes)
    elif kind is str:
        try:
            cast("str", value).encode()
        except UnicodeEncodeError as error:
            yield (
                f"{path}: the text has a lone surrogate at index {error.start} and is not valid Unicode;"
                ' clean it with text.encode("utf-8", "replace").decode()'
            )
    elif isinstance(value, datetime | time) and kind in LEAVES:
        if not travels(value.tzinfo):
            yield (
                f"{path}: the time zone {value.tzinfo!r} cannot be stored or sent;"
                " use datetime.timezone or zoneinfo.ZoneInfo"
            )
    elif kind not in LEAVES and not (takes is not None and takes(value)):
        yield f"{path}: {kind!r} cannot be stored or sent; {_advice(value)}"


def _children(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            yield f"the key {_short(key)} of {path}", key
            yield f"{path}[{_short(key)}]", item
    elif isinstance(value, set | frozenset):
        for item in cast("set[object]", value):
            yield f"the element {_short(item)} of {path}", item
    else:
        for index, item in enumerate(cast("list[object]", value)):
            yield f"{path}[{index}]", item


def _short(value: object) -> str:
    # Only keys of built-in types are shown as they are: an arbitrary __repr__ is user code and may raise.
    text = repr(value) if type(value) in LEAVES else repr(type(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _advice(value: object) -> str:
    """What to write instead."""
    bases = type(value).__mro__
    if isinstance(value, enum.Enum):
        return "use its .value"
    if isinstance(value, BaseException):
        return "raise it, or use str(error)"
    if inspect.isawaitable(value):
        return "await it first"
    if is_dataclass(value):
        return "use dataclasses.asdict(...)"
    if isinstance(value, tuple):
        return "use tuple(...) or its ._asdict()"
    if isinstance(value, Mapping):
        return "use dict(...)"
    if isinstance(value, list | set | frozenset | int | float | str | bytes):
        plain = next(base for base in bases if base in LEAVES or base in CONTAINERS)
        return f"only exact built-in types keep their meaning, use {plain.__name__}(...)"
    if isinstance(value, pathlib.PurePath):
        return "use str(path)"
    if callable(value):
        return "functions and classes do not travel, only data does"
    return "turn it into a dict, list, str, number or bytes"
