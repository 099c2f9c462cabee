"""Where the engine says that a program does something that Cloudflare's Workers would not do, or not alike.

A host fills `watch` in when its settings ask for it; everywhere else it stays None, and looking whether it is None is
all that the feature costs. Whoever implements a place where we go on and Workers would not writes

    if portability.watch is not None:
        portability.watch("socket-bytes", "send() of bytes")

The first word is a kind: a key of `durable.actor.portability.KINDS`, and an anchor of docs/portability.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from functools import cache
from types import CodeType
from typing import Any, Final, Protocol

INTEGER_EXACT_MAX: Final = 2**53 - 1
"""A number of JavaScript holds every integer up to here (Number.MAX_SAFE_INTEGER)."""

_ALIKE: Final = frozenset({type(None), bool, float, str, memoryview})
"""Exact types that arrive there as they do here. A subclass, such as what `to_js` makes, is nobody's mistake."""
_CONTAINERS: Final = (list, tuple, set, frozenset, dict)
_TEXT: Final = frozenset({str})
_NAMES_MAX: Final = 3
"""Keyword arguments that a message names."""


class Watch(Protocol):
    """Tells that code did `what`; raises PortabilityError where the settings want that.

    The place is the innermost line of the project's own that is running, or the function with this `code` when the
    line is over by the time we look, as it is for what a function returned.
    """

    def __call__(self, kind: str, what: str, code: CodeType | None = None) -> None: ...


watch: Watch | None = None


def look(value: Any, what: str, code: CodeType | None = None) -> None:
    """Tell of everything inside `value`, which is `what` ("the value of 'a'"), that arrives there as something else."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind not in _ALIKE and not (kind is int and -INTEGER_EXACT_MAX <= value <= INTEGER_EXACT_MAX):
        for difference, words in _differences(value).items():
            if watch is not None:
                watch(difference, f"{what} {words}", code)


def look_at_call(method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """The same for the arguments of an RPC call, before it leaves; a function that is called has no `method`."""
    called = f"{method}()" if method else "a function of another object"
    if kwargs and watch is not None:
        names = ", ".join([f"{name}=" for name in list(kwargs)[:_NAMES_MAX]] + ["…"] * (len(kwargs) > _NAMES_MAX))
        watch("rpc-kwargs", f"{called} is called with {names}")
    for number, value in enumerate(args, 1):
        look(value, f"argument {number} of {called}")
    for name, value in kwargs.items():
        look(value, f"{name}= of {called}")


@cache
def _otherwise() -> Mapping[type, tuple[str, str]]:
    """Exact type → the kind of difference that it makes, and what to call it."""
    from decimal import Decimal  # loaded here, as is the next: who only imports `durable` needs neither
    from uuid import UUID

    only_here = (frozenset, date, time, timedelta, UUID, Decimal)
    return {
        tuple: ("value-tuple", "a tuple"),
        bytes: ("value-bytes", "bytes"),
        bytearray: ("value-bytearray", "a bytearray"),
        **{kind: ("value-type", f"a {kind.__name__}") for kind in only_here},
    }


def _differences(value: Any) -> dict[str, str]:
    """Kind → what was found, once for each kind. Walks without recursion: a value too deep is for others to refuse."""
    otherwise = _otherwise()
    found: dict[str, str] = {}
    seen: set[int] = set()
    waiting: list[Any] = [value]
    verb = "is"
    while waiting:
        item = waiting.pop()
        kind = type(item)  # pyright: ignore[reportUnknownVariableType]
        if kind in otherwise:
            found.setdefault(otherwise[kind][0], f"{verb} {otherwise[kind][1]}")
        elif kind is int:
            found.setdefault("value-large-int", f"{verb} an int beyond 2**53 - 1")
        elif kind is datetime and item.tzinfo is not None:
            found.setdefault("value-timezone", f"{verb} a datetime with a time zone")
        if issubclass(kind, _CONTAINERS):
            children: Iterable[Any] = item
            if issubclass(kind, dict):
                children = item.values()
                if kind is dict and not _TEXT.issuperset(map(type, item)):
                    _look_at_keys(item, found)
            for child in children:
                inner = type(child)  # pyright: ignore[reportUnknownVariableType]
                if inner in _ALIKE or (inner is int and -INTEGER_EXACT_MAX <= child <= INTEGER_EXACT_MAX):
                    continue
                if issubclass(inner, _CONTAINERS):
                    if id(child) in seen:
                        continue
                    seen.add(id(child))
                waiting.append(child)
        verb = "holds"
    return found


def _look_at_keys(keys: Iterable[object], found: dict[str, str]) -> None:
    kind = next((type(key) for key in keys if not isinstance(key, str)), None)
    if kind is not None:
        found.setdefault("value-keys", f"holds a dict with a key of type {kind.__name__}")
