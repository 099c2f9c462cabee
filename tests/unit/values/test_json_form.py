"""Values as JSON that keeps their Python types."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable.values import decode, encode
from durable.values.json_form import from_json, to_json

TEXT: Any = st.text().filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))
SCALARS: Any = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.just(ZoneInfo("Europe/Berlin")))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
)
HASHABLE: Any = SCALARS | st.tuples(SCALARS, SCALARS) | st.frozensets(SCALARS, max_size=3)
VALUES: Any = st.recursive(
    HASHABLE | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.dictionaries(st.sampled_from(["$bytes", "$", "zone"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def types(value: Any) -> Any:
    """The shape of a value: what it is and what it is made of."""
    if isinstance(value, dict):
        return dict, [(types(key), types(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [types(item) for item in value]
    return type(value)


@given(VALUES)
def test_every_value_comes_back_with_its_type(value: Any) -> None:
    stored = decode(encode(value))
    back = from_json(json.loads(json.dumps(to_json(stored), allow_nan=False)))
    assert back == stored
    assert types(back) == types(stored)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"a": [1, None, True]}, {"a": [1, None, True]}),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (bytearray(b"\x00"), {"$bytearray": "AA=="}),
        (2**64, {"$int": "0x10000000000000000"}),
        (-(2**64), {"$int": "-0x10000000000000000"}),
        (math.inf, {"$float": "inf"}),
        ((1,), {"$tuple": [1]}),
        ({1}, {"$set": [1]}),
        (frozenset({1}), {"$frozenset": [1]}),
        ({1: "a", None: "b"}, {"$dict": [[1, "a"], [None, "b"]]}),
        ({"$bytes": "AP8="}, {"$dict": [["$bytes", "AP8="]]}),
        (
            datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=1))),
            {"$datetime": "2026-01-31T12:00:00+01:00"},
        ),
        (
            datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
            {"$datetime": "2026-10-25T02:30:00", "zone": "Europe/Berlin", "fold": 1},
        ),
        (date(2026, 1, 31), {"$date": "2026-01-31"}),
        (time(12), {"$time": "12:00:00"}),
        (timedelta(days=1, microseconds=2), {"$timedelta": [1, 0, 2]}),
        (UUID(int=1), {"$uuid": "00000000-0000-0000-0000-000000000001"}),
        (Decimal("1.50"), {"$decimal": "1.50"}),
    ],
)
def test_each_type_has_one_form(value: Any, plain: Any) -> None:
    assert to_json(value) == plain
    assert from_json(plain) == value


def test_what_is_no_number_stays_none() -> None:
    assert to_json(math.nan) == {"$float": "nan"}
    assert math.isnan(from_json({"$float": "nan"}))


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"$what": 1}, r'\{"\$what": …\} is not a value'),
        ({"$bytes": "AP8=", "more": 1}, r'\{"\$bytes": …\} is not a value'),
        ({"$date": "2026-01-31", "zone": "Europe/Berlin"}, "is not a value"),
        ({"$bytes": "?"}, r'\{"\$bytes": …\} holds no such value'),
        ({"$bytes": 1}, "holds no such value"),
        ({"$int": "12"}, "hexadecimal"),
        ({"$int": 12}, "hexadecimal"),
        ({"$float": "1.5"}, "nan, inf or -inf"),
        ({"$set": [[1]]}, "holds no such value"),
        ({"$tuple": 1}, "expected an array"),
        ({"$dict": [[1]]}, "holds no such value"),
        ({"$datetime": "yesterday"}, "holds no such value"),
        ({"$datetime": "2026-01-31T12:00:00", "zone": "Nowhere/Land"}, "holds no such value"),
        ({"$datetime": "2026-01-31T12:00:00", "zone": "../../etc/passwd"}, "holds no such value"),
        ({"$timedelta": [1]}, "holds no such value"),
        ({"$uuid": "1"}, "holds no such value"),
        ({"$uuid": 1}, "holds no such value"),
        ({"$decimal": "one"}, "holds no such value"),
    ],
)
def test_what_was_never_written_is_refused(plain: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json({"inside": [plain]})
