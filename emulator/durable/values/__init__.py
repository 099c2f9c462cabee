"""Values that cross an actor's edge: stored, sent over RPC, attached to a socket. They are copied, never shared.

A value keeps its Python type: None, bool, int of any size, float, str, bytes, bytearray, list, tuple, dict, set,
frozenset, datetime, date, time, timedelta, UUID and Decimal. Anything else is refused with its place in the value.
"""

from durable.values.codec import decode, encode
from durable.values.copying import copy
from durable.values.row import Row

__all__ = ["Row", "copy", "decode", "encode"]
