"""In what types values arrive, and what travels beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from durable import values
from durable.errors import DataCloneError
from durable.values.json_form import to_json


class Blob(bytes):
    pass


class Letters(list[Any]):
    pass


class Small(int):
    pass


class Foreign:
    pass


@pytest.fixture
def arriving() -> Iterator[None]:
    values.arrive_as(values.Row, Blob)
    yield
    values.arrive_as(dict, bytes)


VALUE = {"a": {"b": b"x"}, "c": [b"y", {"d": 1}], "e": (b"z", {2: {}}), "f": {3}, "g": bytearray(b"w")}


def kinds(value: Any) -> Any:
    """The types of everything in `value`."""
    if isinstance(value, dict):
        return type(value).__name__, {key: kinds(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [kinds(item) for item in value]
    return type(value).__name__


@pytest.mark.usefixtures("arriving")
def test_what_is_decoded_and_what_is_copied_arrive_alike() -> None:
    decoded, copied = values.decode(values.encode(VALUE)), values.copy(VALUE)
    assert decoded == copied == VALUE
    assert kinds(decoded) == kinds(copied)
    assert kinds(decoded) == (
        "Row",
        {
            "a": ("Row", {"b": "Blob"}),
            "c": ("list", ["Blob", ("Row", {"d": "int"})]),
            "e": ("tuple", ["Blob", ("Row", {2: ("Row", {})})]),
            "f": "set",
            "g": "bytearray",
        },
    )
    assert values.copy(decoded) == VALUE, "what has arrived travels on"
    assert to_json(decoded["a"]) == {"b": {"$bytes": "eA=="}}


def test_without_it_everything_arrives_as_pythons_own() -> None:
    for value in (values.decode(values.encode(VALUE)), values.copy(VALUE)):
        assert type(value) is dict
        assert type(value["a"]["b"]) is bytes


def test_a_registered_type_travels_as_what_it_is_like() -> None:
    for kind, like in ((Letters, list), (Small, int)):
        values.register(kind, like)
    given = {"l": Letters([1, Letters([b"x"])]), "s": Small(2**70)}
    for found in (values.copy(given), values.decode(values.encode(given))):
        assert found == {"l": [1, [b"x"]], "s": 2**70}
        assert [type(found["l"]), type(found["l"][1]), type(found["s"])] == [list, list, int]
    assert to_json(given) == {"l": [1, [{"$bytes": "eA=="}]], "s": {"$int": hex(2**70)}}


def test_a_row_with_keys_that_are_no_text_says_what_it_has() -> None:
    row = values.Row({1: "a"})  # type: ignore[dict-item]
    with pytest.raises(AttributeError, match="its columns are 1"):
        row.nothing  # noqa: B018
    assert not hasattr(row, "__await__")
    row.b = 2
    assert row["b"] == 2


def test_objects_that_are_taken_travel_beside_the_value() -> None:
    luggage: list[Any] = []

    def pack(value: Any) -> int:
        carry(value)
        luggage.append(value)
        return len(luggage) - 1

    def carry(value: Any) -> Any:
        if not takes(value):
            raise values.Refused
        return value

    def takes(value: Any) -> bool:
        return isinstance(value, Foreign)

    first, second = Foreign(), Foreign()
    given = {"a": [first, (second,)]}
    encoded = values.encode_with(given, pack, takes)
    assert luggage == [first, second]
    assert values.decode_with(encoded, luggage.__getitem__) == given
    assert values.copy_with(given, carry, takes) == given
    with pytest.raises(DataCloneError, match=r"value\['b'\]: <class 'complex'> cannot be stored or sent"):
        values.copy_with({"a": first, "b": 1j}, carry, takes)
    with pytest.raises(DataCloneError, match="complex"):
        values.encode_with([1j], pack, takes)


def test_bytes_with_references_are_no_stored_value() -> None:
    encoded = values.encode_with([Foreign()], lambda _: 0, lambda _: True)
    with pytest.raises(ValueError, match="not a stored value"):
        values.decode(encoded)
    forged = values.codec.VERSION + encoded[1:]
    with pytest.raises(ValueError, match="extension 13 is unknown"):
        values.decode(forged)
    assert values.decode_with(values.encode([1]), lambda _: None) == [1]


@pytest.mark.parametrize(
    "value",
    ["x" * 9000, b"x" * 9000, [0] * 9000, {str(number): number for number in range(5000)}, [[0] * 90] * 100],
)
def test_what_may_be_heavy_is_told_and_what_cannot_be_is_not(value: Any) -> None:
    values.plain_copy([value])
    assert values.may_be_heavy()
    values.plain_copy([1, "short", b"x", {"a": [1, 2]}])
    assert not values.may_be_heavy()


def test_nothing_of_32_mib_is_called_light() -> None:
    """The widest values of the smallest parts: short texts of four bytes a character."""
    most = ["\U0001f600" * 1024] * 8192
    assert len(values.encode(most)) > 32 * 1024 * 1024
    values.plain_copy(most)
    assert values.may_be_heavy()
