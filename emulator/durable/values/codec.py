"""Values as bytes: one version byte, then MessagePack. No pickle, so reading foreign bytes runs no code.

    01 | MessagePack of the value

nil, bool, int of 64 bits, float 64, str, bin, array (list) and map (dict whose keys are all str) are MessagePack's own.
What it lacks is an extension whose payload is again MessagePack, unless said otherwise:

    1  tuple       array of the items
    2  set         array of the items
    3  frozenset   array of the items
    4  int         beyond 64 bits: big-endian two's complement
    5  datetime    [ISO text without zone, zone, fold]; zone is nil, microseconds east of UTC, or an IANA name
    6  date        ISO text, ASCII
    7  time        as datetime
    8  timedelta   [days, seconds, microseconds]
    9  UUID        its 16 bytes
    10 Decimal     its text, ASCII
    11 dict        with other keys: array [key, value, key, value, …]
    12 bytearray   its bytes
    13 reference   to an object that travels beside the value; only after the version byte 02, which storage never has

A memoryview arrives as bytes, a row as a dict. An object that occurs twice arrives as two copies.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from durable.errors import CorruptValueError
from durable.limits import VALUE_DEPTH_MAX
from durable.values.refusal import Refused, explain
from durable.values.row import Row
from durable.values.zones import travels, zone_from_plain, zone_to_plain

VERSION: Final = b"\x01"
VERSION_WITH_REFERENCES: Final = b"\x02"
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1

TUPLE: Final = 1
SET: Final = 2
FROZENSET: Final = 3
BIG_INT: Final = 4
DATETIME: Final = 5
DATE: Final = 6
TIME: Final = 7
TIMEDELTA: Final = 8
UUID_BYTES: Final = 9
DECIMAL: Final = 10
ANY_KEYS: Final = 11
BYTEARRAY: Final = 12
REFERENCE: Final = 13

_NATIVE: frozenset[type] = frozenset({type(None), bool, float, str, bytes})
_encode = msgspec.msgpack.Encoder().encode

arrived: Callable[[Any], Any] | None = None
"""What is done to a decoded value; see `durable.values.arrivals`."""

_refer: Callable[[Any], Any] | None = None
"""What describes objects that are no values, while `encode_with` runs."""
_resolve: Callable[[Any], Any] | None = None
"""The opposite, while `decode_with` runs."""


def encode(value: Any) -> bytes:
    """The bytes of `value`; raises DataCloneError naming the place of what cannot be kept."""
    try:
        return plain_encode(value)
    except (Refused, RecursionError, UnicodeEncodeError):
        raise explain(value) from None


def plain_encode(value: Any) -> bytes:
    """The same, raising `Refused`, RecursionError or UnicodeEncodeError: for whoever can do more than to give up."""
    if type(value) in _NATIVE:
        return VERSION + _encode(value)
    return VERSION + _encode(_plain(value, 0))


def encode_with(value: Any, refer: Callable[[Any], Any], takes: Callable[[Any], bool]) -> bytes:
    """The same for `decode_with`; `refer` says in plain values what every object is that it `takes`."""
    global _refer
    outer, _refer = _refer, refer
    try:
        return VERSION_WITH_REFERENCES + _encode(_plain(value, 0))
    except (Refused, RecursionError, UnicodeEncodeError):
        raise explain(value, takes) from None
    finally:
        _refer = outer


def decode(data: bytes | bytearray | memoryview) -> Any:
    """The value of bytes that `encode` wrote; raises CorruptValueError for any others."""
    view = memoryview(data)
    if bytes(view[:1]) != VERSION:
        raise CorruptValueError(
            f"these {len(view)} bytes are not a stored value: they begin with {bytes(view[:1])!r}, not {VERSION!r}"
        )
    return _value_of(view)


def decode_with(data: bytes | bytearray | memoryview, resolve: Callable[[Any], Any]) -> Any:
    """The value of bytes that `encode` or `encode_with` wrote; `resolve` takes what `refer` said."""
    global _resolve
    view = memoryview(data)
    if bytes(view[:1]) != VERSION_WITH_REFERENCES:
        return decode(data)
    outer, _resolve = _resolve, resolve
    try:
        return _value_of(view)
    finally:
        _resolve = outer


def _value_of(view: memoryview) -> Any:
    try:
        value = _decode(view[1:])
        return value if arrived is None else arrived(value)
    except MemoryError:
        raise
    except Exception as error:  # garbage fails in as many ways as there are constructors
        raise CorruptValueError(f"these {len(view)} bytes are not a stored value: {error}") from error


# --- out --------------------------------------------------------------------------------------------------------------
def _plain(value: Any, depth: int) -> Any:
    """`value` in terms that MessagePack knows."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _NATIVE:
        return value
    if kind is int:
        return value if INT_MIN <= value <= INT_MAX else _big_int(value)
    pack = _PACKERS.get(kind)  # pyright: ignore[reportUnknownArgumentType]
    if depth >= VALUE_DEPTH_MAX:
        raise Refused
    if pack is None:
        if _refer is None:
            raise Refused
        return msgspec.msgpack.Ext(REFERENCE, _encode(_refer(value)))
    return pack(value, depth + 1)


def _big_int(value: int) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _items(value: Any, depth: int) -> list[Any]:
    return [item if type(item) in _NATIVE else _plain(item, depth) for item in value]


def _pack_items(code: int) -> Callable[[Any, int], msgspec.msgpack.Ext]:
    return lambda value, depth: msgspec.msgpack.Ext(code, _encode(_items(value, depth)))


def _pack_dict(value: dict[Any, Any], depth: int) -> Any:
    packed: dict[str, Any] = {}
    for key, item in value.items():
        if type(key) is not str:
            flat = [part for pair in value.items() for part in pair]
            return msgspec.msgpack.Ext(ANY_KEYS, _encode(_items(flat, depth)))
        packed[key] = item if type(item) in _NATIVE else _plain(item, depth)
    return packed


def _pack_moment(code: int) -> Callable[[Any, int], msgspec.msgpack.Ext]:
    def pack(value: datetime | time, depth: int) -> msgspec.msgpack.Ext:
        zone = value.tzinfo
        if not travels(zone):
            raise Refused
        plain = [value.replace(tzinfo=None).isoformat(), zone_to_plain(zone), value.fold]
        return msgspec.msgpack.Ext(code, _encode(plain))

    return pack


def _pack_timedelta(value: timedelta, depth: int) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(TIMEDELTA, _encode([value.days, value.seconds, value.microseconds]))


_PACKERS: dict[type, Callable[[Any, int], Any]] = {
    list: _items,
    dict: _pack_dict,
    Row: _pack_dict,
    tuple: _pack_items(TUPLE),
    set: _pack_items(SET),
    frozenset: _pack_items(FROZENSET),
    bytearray: lambda value, depth: msgspec.msgpack.Ext(BYTEARRAY, bytes(value)),
    memoryview: lambda value, depth: bytes(value),
    datetime: _pack_moment(DATETIME),
    time: _pack_moment(TIME),
    date: lambda value, depth: msgspec.msgpack.Ext(DATE, value.isoformat().encode()),
    timedelta: _pack_timedelta,
    UUID: lambda value, depth: msgspec.msgpack.Ext(UUID_BYTES, value.bytes),
    Decimal: lambda value, depth: msgspec.msgpack.Ext(DECIMAL, str(value).encode()),
}


def register(kind: type, like: type) -> None:
    """An object of `kind` is written as what it is like."""
    _PACKERS[kind] = _PACKERS.get(like) or (lambda value, depth: _plain(like(value), depth))


# --- in ---------------------------------------------------------------------------------------------------------------
def _unpack(code: int, payload: memoryview) -> Any:
    if code == REFERENCE and _resolve is not None:
        return _resolve(_decode(payload))
    unpack = _UNPACKERS.get(code)
    if unpack is None:
        raise ValueError(f"extension {code} is unknown")
    return unpack(payload)


_decode = msgspec.msgpack.Decoder(ext_hook=_unpack).decode


def _list(payload: memoryview) -> list[Any]:
    items = _decode(payload)
    if type(items) is not list:
        raise ValueError(f"an extension holds {type(items)!r} instead of a list")
    return items  # pyright: ignore[reportUnknownVariableType]


def _unpack_datetime(payload: memoryview) -> datetime:
    text, zone, fold = _list(payload)
    return datetime.fromisoformat(text).replace(tzinfo=zone_from_plain(zone), fold=fold)


def _unpack_time(payload: memoryview) -> time:
    text, zone, fold = _list(payload)
    return time.fromisoformat(text).replace(tzinfo=zone_from_plain(zone), fold=fold)


def _unpack_timedelta(payload: memoryview) -> timedelta:
    days, seconds, microseconds = _list(payload)
    return timedelta(days, seconds, microseconds)


def _unpack_any_keys(payload: memoryview) -> dict[Any, Any]:
    flat = _list(payload)
    return dict(zip(flat[::2], flat[1::2], strict=True))


_UNPACKERS: dict[int, Callable[[memoryview], Any]] = {
    TUPLE: lambda payload: tuple(_list(payload)),
    SET: lambda payload: set(_list(payload)),
    FROZENSET: lambda payload: frozenset(_list(payload)),
    BIG_INT: lambda payload: int.from_bytes(payload, "big", signed=True),
    DATETIME: _unpack_datetime,
    DATE: lambda payload: date.fromisoformat(str(payload, "ascii")),
    TIME: _unpack_time,
    TIMEDELTA: _unpack_timedelta,
    UUID_BYTES: lambda payload: UUID(bytes=bytes(payload)),
    DECIMAL: lambda payload: Decimal(str(payload, "ascii")),
    ANY_KEYS: _unpack_any_keys,
    BYTEARRAY: bytearray,
}
