"""What `-p` means: values for the `?` and `:name` of SQL, as they are typed. Knows no object.

-p 3   -p true   -p null   -p '"3"'   -p hello      for ?, one after the other; a JSON scalar, or else text
-p n=3                                              for :n
-p '"n=3"'                                          the text n=3
-p '{"$bytes": "AP8="}'                             a blob, as --json prints one
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Final, NoReturn, cast

from durable.errors import UserInputError
from durable_cli.console import printable
from durable_cli.sql.rows import Value, json_value

Parameters = tuple[Value, ...] | dict[str, Value]

_NAMED: Final = re.compile(r"[:@$]?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def parse_parameters(words: Sequence[str]) -> Parameters:
    """Raises UserInputError when values with and without a name are mixed, and for a name that comes twice."""
    matches = [_NAMED.fullmatch(word) for word in words]
    if not any(matches):
        return tuple(parse_value(word) for word in words)
    named: dict[str, Value] = {}
    for word, match in zip(words, matches, strict=True):
        if match is None:
            raise UserInputError(
                f"-p {printable(word, length_max=80)} has no name, and others have one",
                fix="-p VALUE for each ?, or -p NAME=VALUE for each :NAME; text with a = takes quotes: -p '\"a=b\"'",
            )
        name = match[1]
        if name in named:
            raise UserInputError(f"-p {name}=… is given twice", fix="leave one of them out")
        named[name] = parse_value(match[2])
    return named


def parse_value(word: str) -> Value:
    """`3` → 3, `true` → 1, `null` → None, `"3"` → text, `{"$bytes": "AP8="}` → a blob; what is no JSON is text."""
    try:
        value: object = json.loads(word, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return word
    match value:
        case bool():
            return int(value)
        case None | int() | float() | str():
            return value
        case {"$bytes": str(encoded)} if len(cast("dict[str, object]", value)) == 1:
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise UserInputError(
                    f"-p {printable(word, length_max=80)} is not base64: {error}",
                    fix="""-p '{"$bytes": "AP8="}'""",
                ) from error
        case _:
            return word


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def json_parameters(parameters: Parameters) -> object:
    """As the running emulator takes them."""
    if isinstance(parameters, dict):
        return {name: json_value(value) for name, value in parameters.items()}
    return [json_value(value) for value in parameters]
