"""Bounds before the parser, places after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from durable.config.document import KeyPath, Malformed
from durable.config.toml_document import parse_toml

SAMPLE = (
    r'''
name = "a" # [comment]
"quoted \"key\"" = 1
a."b.c".d = [1, [2, 3], {x = 1, y.z = "]"}, ] # c
day = 2020-01-01 10:00:00
text = """a
"b"""""
literal = '''.replace("\\'", "'")
    + """'''x'' '''
[dev]
port = 8787
[[migrations]]
tag = "v1"
  [migrations.sub]
  q = 1
[[migrations]]
tag = 'v2'
renamed_classes = [
  {from = "A", to = "B"}, # c
  {from = "C", to = "D"},
]
[ env . staging ]
[[env.staging.bindings]]
name = "X"
[[env.staging.bindings]]
name = "Y"
"""
)


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*path, key)
        yield from paths(inner, (*path, key))


def test_every_value_has_a_place() -> None:
    data, spots = parse_toml(SAMPLE)
    assert set(spots) == set(paths(data))


@pytest.mark.parametrize(
    ("path", "at_key", "at_value"),
    [
        (("name",), "name =", '"a" #'),
        (('quoted "key"',), '"quoted', "1\n"),
        (("a", "b.c", "d", 1, 0), "2, 3", "2, 3"),
        (("a", "b.c", "d", 2, "y", "z"), "z =", '"]"'),
        (("day",), "day", "2020-01-01 10"),
        (("literal",), "literal", "'''x"),
        (("dev",), "dev]", "dev]"),
        (("dev", "port"), "port", "8787"),
        (("migrations", 1, "tag"), "tag = 'v2'", "'v2'"),
        (("migrations", 1, "renamed_classes", 1, "to"), 'to = "D"', '"D"'),
        (("env", "staging"), "staging ]", "staging ]"),
        (("env", "staging", "bindings", 1, "name"), 'name = "Y"', '"Y"'),
    ],
)
def test_places_are_those_of_the_key_and_of_the_value(path: KeyPath, at_key: str, at_value: str) -> None:
    spot = parse_toml(SAMPLE)[1][path]
    assert SAMPLE.startswith(at_key, spot.key)
    assert SAMPLE.startswith(at_value, spot.value)


def test_a_table_that_is_named_after_its_subtable_is_placed_at_its_own_header() -> None:
    text = "[dev.sub]\nx = 1\n[dev]\nport = 1\n"
    assert text.startswith("dev]", parse_toml(text)[1]["dev",].key)


FRAGMENTS = [
    "a",
    "b",
    "=",
    ".",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    '"""',
    "'''",
    "\n",
    "\\",
    " ",
    ",",
    "#",
    "1",
    "[[",
    "= [",
]


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE)), st.integers(0, 8), st.sampled_from(FRAGMENTS)), max_size=5))
def test_whatever_the_parser_accepts_is_walked_and_whatever_it_refuses_is_refused(
    edits: list[tuple[int, int, str]],
) -> None:
    text = SAMPLE
    for at, cut, fragment in edits:
        text = text[:at] + fragment + text[at + cut :]
    try:
        expected = tomli.loads(text)
    except tomli.TOMLDecodeError:
        with pytest.raises(Malformed):
            parse_toml(text)
        return
    data, spots = parse_toml(text)
    assert data == expected
    assert set(spots) == set(paths(data))


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("a = " + "[" * 5000, "arrays or tables are nested deeper than 64", 68),
        ("a = " + "{a=" * 5000, "arrays or tables are nested deeper than 64", 4 + 64 * 3),
        (".".join(["a"] * 20_000) + " = 1", "this key has more than 64 parts", 127),
        ("[" + ".".join(["a"] * 20_000) + "]", "this key has more than 64 parts", 128),
        ('[ "a"' + " . 'b'" * 64 + "]", "this key has more than 64 parts", 384),
        ("a = " + "9" * 10_000, "a number of 10000 characters; at most 1024 are read", 4),
        ("a = " + "x" * 10_000, "a word without quotes of 10000 characters; at most 1024 are read", 4),
    ],
)
def test_excess_is_refused_before_the_parser_sees_it(
    text: str, message: str, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(text: str) -> dict[str, Any]:
        raise AssertionError("the parser was called")

    monkeypatch.setattr(tomli, "loads", never)
    with pytest.raises(Malformed) as caught:
        parse_toml(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)


def test_brackets_and_dots_inside_strings_and_comments_count_for_nothing() -> None:
    text = f'a = "{"[" * 100}{"." * 100}" # {"[" * 100}\nb = \'\'\'{"{" * 100}\'\'\'\nc = """\\"{"[" * 100}"""\n'
    assert set(parse_toml(text)[0]) == {"a", "b", "c"}


@pytest.mark.parametrize("failure", [RecursionError("too deep"), ValueError("Exceeds the limit (4300 digits)")])
def test_a_parser_that_gives_up_in_another_way_is_still_a_complaint(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str) -> dict[str, Any]:
        raise failure

    monkeypatch.setattr(tomli, "loads", fail)
    with pytest.raises(Malformed):
        parse_toml("a = 1")


@pytest.mark.parametrize(
    ("text", "message", "offset", "fix"),
    [
        ("a = 1\nmain = main.py # c\n", "not valid TOML: Invalid value", 13, 'main = "main.py"'),
        ("flag = True\n", "not valid TOML: Invalid value", 7, "flag = true"),
        ("a = \n", "not valid TOML: Invalid value", 4, ""),
        ("[dev\nport = 1", "not valid TOML: Expected ']' at the end of a table declaration", 4, ""),
        ('a = "b\n', "not valid TOML: Illegal character '\\n'", 6, ""),
        ("a = 1\n[b", "not valid TOML: Expected ']' at the end of a table declaration, at the end of the file", 8, ""),
    ],
)
def test_the_parsers_place_is_kept_and_missing_quotes_are_shown(text: str, message: str, offset: int, fix: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_toml(text)
    assert (caught.value.message, caught.value.offset, caught.value.fix) == (message, offset, fix)
