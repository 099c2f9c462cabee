from __future__ import annotations

import pytest

from durable.errors import UserInputError
from durable_cli.sql.parameters import json_parameters, parse_parameters, parse_value
from durable_cli.sql.rows import Value


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("3", 3),
        ("-1.5", -1.5),
        ("1e3", 1000.0),
        ("true", 1),
        ("false", 0),
        ("null", None),
        ('"3"', "3"),
        ('"a=b"', "a=b"),
        ("hello", "hello"),
        ("", ""),
        ("007", "007"),
        ("NULL", "NULL"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ('{"a": 1}', '{"a": 1}'),
        ("[1, 2]", "[1, 2]"),
        ("[" * 100_000, "[" * 100_000),
        ('{"$bytes": "AP8="}', b"\x00\xff"),
        ('{"$bytes": "AP8=", "more": 1}', '{"$bytes": "AP8=", "more": 1}'),
    ],
)
def test_json_scalars_are_values_and_all_else_is_text(word: str, value: Value) -> None:
    found = parse_value(word)
    assert (found, type(found)) == (value, type(value))


def test_values_have_names_or_have_none() -> None:
    assert parse_parameters([]) == ()
    assert parse_parameters(["1", "a b", "1=2"]) == (1, "a b", "1=2")
    assert parse_parameters(["n=1", ":m=x=y", "empty="]) == {"n": 1, "m": "x=y", "empty": ""}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["n=1", "2"], "-p 2 has no name, and others have one"),
        (["n=1", "n=2"], "-p n=… is given twice"),
        (['{"$bytes": "?"}'], "is not base64"),
        (["n=1", "\x1b[2J"], r"-p \\x1b\[2J has no name"),
    ],
)
def test_what_cannot_be_meant_is_told(words: list[str], said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        parse_parameters(words)


def test_an_emulator_is_sent_json() -> None:
    assert json_parameters((1, b"\x00\xff")) == [1, {"$bytes": "AP8="}]
    assert json_parameters({"n": float("inf")}) == {"n": {"$float": "inf"}}
