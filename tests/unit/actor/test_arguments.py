"""What a failed call was given, in one line that is never long and never tells a secret."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from durable.actor.arguments import shown_arguments
from durable.sdk.http import Request
from durable.wire.redaction import Redaction

SECRET = "sk-live-4f9a8b7c6d5e"


class Unshowable:
    def __repr__(self) -> str:
        raise OSError("no repr")


def shown(value: Any, name: str = "") -> str:
    redaction = Redaction()
    redaction.learn({"API_KEY": SECRET}, ["API_KEY"])
    return shown_arguments([name], (value,), {}, redaction)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("hello", "'hello'"),
        ("it's", '"it\'s"'),
        ("two\nlines", "'two\\nlines'"),
        ("x" * 100, "'" + "x" * 37 + "…'"),
        (b"\x00" * 5000, "b'" + "\\x00" * 9 + "…'"),
        (bytearray(b"ab"), "b'ab'"),
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (10**18, "1000000000000000000"),
        (Decimal("1.5"), "Decimal('1.5')"),
        (date(2026, 1, 31), "datetime.date(2026, 1, 31)"),
        (list(range(100)), "[0, 1, 2, 3, … 96 more]"),
        ((), "()"),
        (("a",), "('a')"),
        ({1}, "{1}"),
        ({"a": {"b": {"c": 1}}}, "{'a': {'b': {…}}}"),
        (Request("https://example.com/room/a?token=t", method="post"), "POST /room/a"),
        (Unshowable(), "<Unshowable, whose repr raised OSError>"),
    ],
)
def test_a_value_is_shown_shortened(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_number_that_python_refuses_to_write_is_shown() -> None:
    assert shown(1 << 100_000) == "0x100000000000000000… (100001 bits)"


def test_many_arguments_are_cut_and_counted() -> None:
    text = shown_arguments([f"name_{n}" for n in range(50)], ["x" * 30] * 50, {}, Redaction())

    assert len(text) < 300
    assert text.startswith("name_0='xxx")
    assert text.endswith("… 45 more")


def test_positional_arguments_beyond_the_named_ones_and_keywords() -> None:
    assert shown_arguments(["a"], (1, 2), {"c": 3}, Redaction()) == "a=1, 2, c=3"


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        "x" * 30 + SECRET,
        SECRET.encode(),
        [SECRET],
        {SECRET: 1},
        {"a": SECRET},
        {"a": [SECRET]},
        "é" * 30 + SECRET,
    ],
)
def test_a_secret_is_not_shown_in_any_value_nor_a_part_of_one(value: object) -> None:
    text = shown(value)

    assert SECRET[:8] not in text
    # The twin: without the secret's name nobody would know what to hide.
    assert SECRET[:4] in shown_arguments([""], (value,), {}, Redaction())


@pytest.mark.parametrize("name", ["token", "password", "api_key", "apiKey", "client_secret", "db_pwd"])
def test_a_parameter_that_sounds_secret_hides_its_value(name: str) -> None:
    assert shown("whatever", name) == f"{name}=«{name}»"
    assert shown({name: "whatever"}) == f"{{'{name}': «{name}»}}"


@pytest.mark.parametrize("name", ["key", "primary_key", "text", "keyboard", "tokens", "passenger"])
def test_a_parameter_that_sounds_harmless_is_shown(name: str) -> None:
    assert shown("whatever", name) == f"{name}='whatever'"
