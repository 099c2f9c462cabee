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

_NATIVE: frozenset[type] = frozenset({type(None), bool, float, str, bytes})
_encode = msgspec.msgpack.Encoder().encode


def encode(value: Any) -> bytes:
    """The bytes of `value`; raises DataCloneError naming the place of what cannot be kept."""
    try:
        if type(value) in _NATIVE:
            return VERSION + _encode(value)
        return VERSION + _encode(_plain(value, 0))
    except (Refused, RecursionError, UnicodeEncodeError):
        raise explain(value) from None


def decode(data: bytes | bytearray | memoryview) -> Any:
    """The value of bytes that `encode` wrote; raises CorruptValueError for any others."""
    view = memoryview(data)
    if bytes(view[:1]) != VERSION:
        raise CorruptValueError(
            f"these {len(view)} bytes are not a stored value: they begin with {bytes(view[:1])!r}, not {VERSION!r}"
        )
    try:
        return _decode(view[1:])
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
    if pack is None or depth >= VALUE_DEPTH_MAX:
        raise Refused
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


# --- in ---------------------------------------------------------------------------------------------------------------
def _unpack(code: int, payload: memoryview) -> Any:
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
