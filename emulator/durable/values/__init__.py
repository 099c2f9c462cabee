"""Values that cross an actor's edge: stored, sent over RPC, attached to a socket. They are copied, never shared.

A value keeps its Python type: None, bool, int of any size, float, str, bytes, bytearray, list, tuple, dict, set,
frozenset, datetime, date, time, timedelta, UUID and Decimal. Anything else is refused with its place in the value.
"""

from durable.values.arrivals import arrive_as, register
from durable.values.codec import decode, decode_with, encode, encode_with, plain_encode
from durable.values.copying import copy, copy_with, may_be_heavy, plain_copy
from durable.values.refusal import Refused, check_size
from durable.values.row import Row

__all__ = [
    "Refused",
    "Row",
    "arrive_as",
    "check_size",
    "copy",
    "copy_with",
    "decode",
    "decode_with",
    "encode",
    "encode_with",
    "may_be_heavy",
    "plain_copy",
    "plain_encode",
    "register",
]
