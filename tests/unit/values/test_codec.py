"""Values as bytes and back."""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable.errors import CorruptValueError, DataCloneError
from durable.limits import VALUE_DEPTH_MAX
from durable.values import Row, copy, decode, encode

Point = namedtuple("Point", "x y")


class Colour(IntEnum):
    RED = 1


@dataclass
class Person:
    name: str


class OddZone(tzinfo):
    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> str:
        return "odd"


KEPT: list[Any] = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**40, -(10**40),
    0.0, 1.0, -2.5, math.inf, -math.inf, "", "text", "naïve é 漢 \U0001f600", "nul\0inside", b"", b"\x00\xff",
    bytearray(b"ab"), [], [1, [2, [3]]], (), (1, "a", (None,)), {}, {"a": 1, "b": {"c": [1, 2]}},
    {1: "a", "1": "b"}, {(1, 2): 3, None: 4, 2.5: 5, b"k": 6, frozenset({1}): 7}, {True: "yes"},
    set(), {1, 2, 3}, {"a", (1, 2)}, frozenset(), frozenset({1, b"x"}),
    datetime(2024, 1, 2, 3, 4, 5, 678901), datetime(2024, 1, 2, tzinfo=UTC),
    datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    datetime(2024, 7, 2, 12, tzinfo=ZoneInfo("Europe/Berlin")), datetime.min, datetime.max,
    date(2024, 2, 29), time(1, 2, 3, 4), time(1, 2, tzinfo=UTC), timedelta(days=-3, microseconds=7),
    UUID("12345678-1234-5678-1234-567812345678"), Decimal("1.50"), Decimal("-Infinity"), Decimal("1E+400"),
]  # fmt: skip


@pytest.mark.parametrize("value", KEPT, ids=[f"{type(each).__name__}-{n}" for n, each in enumerate(KEPT)])
@pytest.mark.parametrize("journey", [lambda v: decode(encode(v)), copy], ids=["codec", "copy"])
def test_a_value_keeps_its_type_and_meaning(journey: Any, value: Any) -> None:
    arrived = journey(value)

    assert arrived == value
    assert type(arrived) is type(value)


@pytest.mark.parametrize("journey", [lambda v: decode(encode(v)), copy], ids=["codec", "copy"])
def test_a_zone_name_and_the_fold_of_an_ambiguous_hour_survive(journey: Any) -> None:
    moment = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))

    arrived = journey(moment)

    assert (arrived.tzinfo.key, arrived.fold, arrived.utcoffset()) == ("Europe/Berlin", 1, timedelta(hours=1))


def test_nan_survives() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert math.isnan(copy(math.nan))


@pytest.mark.parametrize("journey", [lambda v: decode(encode(v)), copy], ids=["codec", "copy"])
def test_a_memoryview_arrives_as_bytes_and_a_row_as_a_dict(journey: Any) -> None:
    arrived = journey([memoryview(b"abc"), Row(n=1)])

    assert arrived == [b"abc", {"n": 1}]
    assert [type(item) for item in arrived] == [bytes, dict]


def test_a_copy_shares_nothing_mutable_with_the_original() -> None:
    original = {"list": [1], "set": {1}, "bytes": bytearray(b"a"), "nested": ([1],)}

    arrived = copy(original)
    original["list"].append(2)  # type: ignore[attr-defined]
    original["nested"][0].append(2)  # type: ignore[index]
    original["bytes"] += b"b"  # type: ignore[operator]

    assert arrived == {"list": [1], "set": {1}, "bytes": bytearray(b"a"), "nested": ([1],)}


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
DEEP: list[Any] = []
for _ in range(VALUE_DEPTH_MAX):
    DEEP = [DEEP]

REFUSED: list[tuple[Any, str]] = [
    ({"a": [1, 2, Person("x")]}, "value['a'][2]: <class '"),
    (Person("x"), "use dataclasses.asdict(...)"),
    (Colour.RED, "use its .value"),
    ((1, Point(1, 2)), "value[1]: "),
    (Point(1, 2), "use tuple(...) or its ._asdict()"),
    (OrderedDict(a=1), "use dict(...)"),
    ({Colour.RED: 1}, "the key <enum 'Colour'> of value: <enum 'Colour'> cannot be stored or sent; use its .value"),
    ([ValueError("no")], "value[0]: <class 'ValueError'> cannot be stored or sent; raise it, or use str(error)"),
    (print, "functions and classes do not travel, only data does"),
    (1j, "value: <class 'complex'> cannot be stored or sent; turn it into a dict, list, str, number or bytes"),
    (range(3), "<class 'range'>"),
    ({"t": "\ud800"}, "value['t']: the text has a lone surrogate at index 0"),
    ({"\ud800": 1}, "the text has a lone surrogate"),
    ("\udfff", "value: the text has a lone surrogate"),
    ([CYCLE], "value[0][0] contains itself; only trees can be stored or sent"),
    (DEEP, "is nested deeper than 128 levels"),
    ({"at": datetime(2024, 1, 1, tzinfo=OddZone())}, "value['at']: the time zone <"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "words"), REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("journey", [encode, copy], ids=["codec", "copy"])
def test_what_cannot_travel_is_refused_with_its_place(journey: Any, value: Any, words: str) -> None:
    with pytest.raises(DataCloneError) as caught:
        journey(value)

    assert words in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\x02\xc0", b"\x01", b"\x01\xc0\xc0", b"\x80\x04", b"\x01\xc1", b"\x01\xd4\x63\x00", b"\x01\xc7\x01\x05\xc0",
     b"\x01\xc7\x03\x02\x91\x91\x01", b"\x01\xc7\x02\x0aXY", b"\x01\xc7\x02\x09ab", b"\x01\xc7\x02\x0b\x91\x01"],
)  # fmt: skip
def test_garbage_is_an_error_that_says_so(garbage: bytes) -> None:
    with pytest.raises(CorruptValueError, match="bytes are not a stored value"):
        decode(garbage)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64))
def test_random_bytes_either_decode_or_are_called_corrupt(data: bytes) -> None:
    with contextlib.suppress(CorruptValueError):
        decode(b"\x01" + data)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.dates() | st.datetimes() | st.times() | st.timedeltas() | st.uuids() | st.decimals(allow_nan=False)
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner) | st.tuples(inner, inner) | st.sets(SCALARS),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_copying_means_the_same_as_encoding_and_decoding(tree: Any) -> None:
    assert decode(encode(tree)) == tree == copy(tree)


def test_the_encoding_is_pinned() -> None:
    assert encode("hi").hex() == "01a26869"
    assert encode((1, "a")).hex() == "01d6019201a161"
    assert encode({"k": None}).hex() == "0181a16bc0"
    assert encode({5: 2**64}).hex() == "01c70e0b9205c70904010000000000000000"
    assert encode(date(2024, 1, 2)).hex() == "01c70a06" + b"2024-01-02".hex()


def test_a_row_answers_to_its_column_names() -> None:
    row = Row(n=1, title="x")

    assert (row.n, row["title"]) == (1, "x")
    with pytest.raises(AttributeError, match="the row has no column 'm'; its columns are n, title"):
        _ = row.m
