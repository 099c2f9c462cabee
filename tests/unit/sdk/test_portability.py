"""The walk through a value that finds what arrives as something else on the platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from types import CodeType
from typing import Any
from uuid import UUID

import pytest

from durable.actor.portability import KINDS
from durable.sdk import portability
from durable.sdk.portability import look, look_at_call


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    lines: list[tuple[str, str]] = []

    def watch(kind: str, what: str, code: CodeType | None = None) -> None:
        lines.append((kind, what))

    portability.watch = watch
    yield lines
    portability.watch = None


class JsBuffer(bytes):
    pass


class JsArray(list[Any]):
    pass


class JsObject(dict[str, Any]):
    pass


@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, -(2**53) + 1, 2**53 - 1, 1.5, "a", [1, "a"], {"a": [None]}, {1, 2}, memoryview(b"a"),
        datetime(2026, 1, 1), JsBuffer(b"a"), JsArray([1]), JsObject(a=1), [JsBuffer(b"a")], [], {},
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value)),
)  # fmt: skip
def test_what_arrives_alike_is_not_told(told: list[tuple[str, str]], value: Any) -> None:
    look(value, "it")

    assert told == []


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ((1, 2), "value-tuple", "it is a tuple"),
        ([(1,)], "value-tuple", "it holds a tuple"),
        ({"a": [{"b": ()}]}, "value-tuple", "it holds a tuple"),
        (JsArray([(1,)]), "value-tuple", "it holds a tuple"),
        (bytearray(b"a"), "value-bytearray", "it is a bytearray"),
        (b"a", "value-bytes", "it is bytes"),
        ({"a": b""}, "value-bytes", "it holds bytes"),
        (2**53, "value-large-int", "it is an int beyond 2**53 - 1"),
        (-(2**53), "value-large-int", "it is an int beyond 2**53 - 1"),
        ([2**80], "value-large-int", "it holds an int beyond 2**53 - 1"),
        ({1: "a"}, "value-keys", "it holds a dict with a key of type int"),
        ({None: "a"}, "value-keys", "it holds a dict with a key of type NoneType"),
        (datetime(2026, 1, 1, tzinfo=UTC), "value-timezone", "it is a datetime with a time zone"),
        (date(2026, 1, 1), "value-type", "it is a date"),
        ([Decimal(1)], "value-type", "it holds a Decimal"),
        ({"id": UUID(int=0)}, "value-type", "it holds a UUID"),
        (frozenset([1]), "value-type", "it is a frozenset"),
    ],
    ids=repr,
)
def test_what_arrives_as_something_else_is_told_with_its_kind(
    told: list[tuple[str, str]], value: Any, kind: str, words: str
) -> None:
    look(value, "it")

    assert told == [(kind, words)]
    assert kind in KINDS


def test_every_kind_in_a_value_is_told_once(told: list[tuple[str, str]]) -> None:
    look({"a": (b"a", b"b"), 2: (1,)}, "the value of 'k'")

    assert sorted(kind for kind, _ in told) == ["value-bytes", "value-keys", "value-tuple"]


def test_a_value_that_contains_itself_is_walked_once(told: list[tuple[str, str]]) -> None:
    value: list[Any] = [(1,)]
    value.append(value)
    look(value, "it")

    assert told == [("value-tuple", "it holds a tuple")]


def test_a_value_deeper_than_python_can_recurse_is_walked(told: list[tuple[str, str]]) -> None:
    value: Any = b"a"
    for _ in range(100_000):
        value = [value]
    look(value, "it")

    assert told == [("value-bytes", "it holds bytes")]


def test_the_arguments_of_a_call_are_told_by_number_and_name(told: list[tuple[str, str]]) -> None:
    look_at_call("move", (1, (2, 3)), {"to": b"x"})

    assert told == [
        ("rpc-kwargs", "move() is called with to="),
        ("value-tuple", "argument 2 of move() is a tuple"),
        ("value-bytes", "to= of move() is bytes"),
    ]


def test_a_call_with_many_keywords_names_a_few(told: list[tuple[str, str]]) -> None:
    look_at_call("move", (), dict.fromkeys("abcde"))

    assert told == [("rpc-kwargs", "move() is called with a=, b=, c=, …")]


def test_a_portable_call_is_not_told(told: list[tuple[str, str]]) -> None:
    look_at_call("move", (1, "a", {"b": 2}), {})

    assert told == []


def test_a_function_that_is_called_has_no_name(told: list[tuple[str, str]]) -> None:
    look_at_call("", ((1,),), {"a": 1})

    assert [what for _, what in told] == [
        "a function of another object is called with a=",
        "argument 1 of a function of another object is a tuple",
    ]
