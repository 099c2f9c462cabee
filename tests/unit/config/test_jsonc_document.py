"""JSON with comments and trailing commas, its places and its complaints."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable.config.document import Malformed
from durable.config.jsonc_document import parse_jsonc

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), JSON_VALUES), st.booleans(), st.sampled_from([None, 2]))
def test_whatever_json_writes_is_read_back(value: dict[str, object], ascii_only: bool, indent: int | None) -> None:
    assert parse_jsonc(json.dumps(value, ensure_ascii=ascii_only, indent=indent))[0] == value


def test_comments_and_trailing_commas_are_passed_over() -> None:
    text = '// first\n{ /* a * b **/ "a": [1, 2,], // "b": 3\n "url": "http://x/*y*/", }\n/**/'
    assert parse_jsonc(text)[0] == {"a": [1, 2], "url": "http://x/*y*/"}


def test_places_are_those_of_the_key_and_of_the_value() -> None:
    text = '{\n  "dev": { "port" : 8787 },\n  "list": [1, {"x": 2}]\n}'
    spots = parse_jsonc(text)[1]
    assert text.startswith('"port"', spots["dev", "port"].key)
    assert text.startswith("8787", spots["dev", "port"].value)
    assert text.startswith('{"x"', spots["list", 1].value)
    assert text.startswith('"x"', spots["list", 1, "x"].key)


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("", "the file is empty; it should hold one object, { … }", 0),
        ("  // only this\n", "the file is empty; it should hold one object, { … }", 0),
        ("[1]", "the file should hold one object, { … }", 0),
        ('{"a": 1} x', "the file should end here, behind its closing }", 9),
        ('{"a": 1 "b": 2}', 'expected "," or "}", got "', 8),
        ('{"a" 1}', 'expected ":" behind the key "a", got 1', 5),
        ("{a: 1}", "expected a key in double quotes, got a", 1),
        ("{'a': 1}", "expected a key in double quotes, got '", 1),
        ('{"a": 1', 'expected "," or "}", got the end of the file', 7),
        ('{"a": 1,', 'this "{" is never closed', 0),
        ('{"a": [', 'this "[" is never closed', 6),
        ('{"a": [,]}', "expected a value, got ,", 7),
        ('{"a": tru}', "expected a value, got tru", 6),
        ('{"a": NaN}', "expected a value, got NaN", 6),
        ('{"a": 01}', "expected a value, got 01", 6),
        ('{"a": 1.}', "expected a value, got 1.", 6),
        ('{"a": 0x1}', "expected a value, got 0x1", 6),
        ('{"a": "b\n"}', "this string is not closed on its line", 6),
        ('{"a": "\\x41"}', "this string has an escape that means nothing", 6),
        ('{"a": "\\ud800"}', "this string has an escape that means nothing", 6),
        ('{"a": 1, "a": 2}', 'the key "a" appears twice in this object', 9),
        ('{"a": 1 /* open', "this comment is never closed", 8),
        ('{"a": ' + "[" * 5000, "arrays or objects are nested deeper than 64", 70),
        ('{"a": ' + "9" * 10_000 + "}", "a value of 10000 characters; at most 1024 are read", 6),
    ],
)
def test_a_mistake_is_named_where_it_stands(text: str, message: str, offset: int) -> None:
    with pytest.raises(Malformed) as caught:
        parse_jsonc(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)


def test_a_number_too_large_for_a_float_is_infinite_and_not_a_crash() -> None:
    assert parse_jsonc('{"a": 1e999}')[0] == {"a": math.inf}
