"""In what types values arrive, for a program that expects others than Python's own. Process-wide; changed at load.

    values.arrive_as(Row, JsBuffer)     dicts arrive as Row, bytes as JsBuffer
    values.arrive_as(dict, bytes)       as in the beginning
    values.register(JsArray, list)      an object of JsArray travels as the list it is

Both types are subclasses that take the plain value alone: `Row({...})`, `JsBuffer(b"...")`; they travel as their bases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable.values import codec, copying, json_form, refusal


def arrive_as(dicts: type[dict[Any, Any]], blobs: type[bytes]) -> None:
    """From now on what is decoded or copied holds `dicts` for every dict and `blobs` for every bytes."""
    for kind, like in ((dicts, dict), (blobs, bytes)):
        if kind is not like:
            register(kind, like)
    copying.arrive_as(dicts, blobs)
    codec.arrived = None if dicts is dict and blobs is bytes else _walk(dicts, blobs)


def register(kind: type, like: type) -> None:
    """Have objects of `kind` travel as what they are like: one of the types that travel, or `like(value)`."""
    codec.register(kind, like)
    copying.register(kind, like)
    refusal.register(kind, like)
    json_form.register(kind, like)


def _walk(dicts: type[dict[Any, Any]], blobs: type[bytes]) -> Callable[[Any], Any]:
    """Gives the decoder's own fresh containers back with the types of `arrive_as` in them."""
    plain = frozenset({type(None), bool, int, float, str})

    def arrived(value: Any) -> Any:
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind in plain:
            return value
        if kind is dict:
            for key, item in value.items():
                if type(item) not in plain:
                    value[key] = arrived(item)
            return dicts(value)
        if kind is list:
            for index, item in enumerate(value):
                if type(item) not in plain:
                    value[index] = arrived(item)
            return value
        if kind is bytes:
            return blobs(value)
        if kind is tuple or kind is set or kind is frozenset:
            items: list[Any] = [arrived(item) for item in value]
            return tuple(items) if kind is tuple else set(items) if kind is set else frozenset(items)
        return value

    return arrived
