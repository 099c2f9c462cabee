"""`[vars]` and the `--var` flags: plain values for `env`. Secrets are read elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from durable import limits
from durable.config.document import Document, KeyPath, dotted
from durable.config.fields import Table, describe_value
from durable.config.schema import Location
from durable.errors import UserInputError

__all__ = ["Taken", "read_vars", "refuse_foreign", "refuse_taken_names", "with_overrides"]

WHOLE_NUMBER_BITS = 64
"""Whole numbers of TOML and of the messages between our processes are signed and have so many bits."""


def read_vars(owner: Table) -> dict[str, object]:
    """The variables of the top level or of one environment: JSON values only."""
    table = owner.table("vars")
    for key, value in table.values.items():
        if not key:
            raise table.error(key, "a variable needs a name", at_key=True)
        refuse_foreign(table.document, (*table.path, key), value)
    return dict(table.values)


Taken = Mapping[str, tuple[str, Location]]
"""What else is in `env`: `{"ROOMS": ("a Durable Object binding", Location("durable.toml", 5, 1))}`"""


def refuse_taken_names(owner: Table, taken: Taken) -> None:
    """`env.X` can be a binding or a variable, not both."""
    table = owner.table("vars")
    for name, (what, place) in taken.items():
        if name in table:
            message = f"env.{name} is a variable here and {what} at line {place.line}; rename one of them"
            raise table.error(name, message, at_key=True)


def with_overrides(variables: Mapping[str, object], overrides: Mapping[str, object], taken: Taken) -> dict[str, object]:
    """The variables with those of the command line laid over them."""
    for key, value in overrides.items():
        if not key:
            raise UserInputError("a variable needs a name", fix="--var NAME=value")
        if key in taken:
            raise UserInputError(f"--var {key}: env.{key} is {taken[key][0]}", fix="choose another name")
        problem = _foreign(value)
        if problem:
            raise UserInputError(f"--var {key}: {problem}")
    return {**variables, **overrides}


def refuse_foreign(document: Document, path: KeyPath, value: object) -> None:
    """Raise ConfigError for what is no JSON value, with its place."""
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            refuse_foreign(document, (*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            refuse_foreign(document, (*path, index), inner)
    else:
        problem = _foreign(value)
        if problem:
            fix = f'{path[-1]} = "{value}"' if document.language == "toml" and isinstance(path[-1], str) else ""
            raise document.error(path, f'"{dotted(path)}" {problem}', fix=fix)


def _foreign(value: object, depth: int = 0) -> str:
    """Why a value is no JSON value that both processes can carry, or the empty string."""
    if depth > limits.CONFIG_DEPTH_MAX:
        return f"is nested deeper than {limits.CONFIG_DEPTH_MAX}"
    if value is None or isinstance(value, (bool, str)):
        return ""
    if isinstance(value, int):
        fits = -(1 << WHOLE_NUMBER_BITS - 1) <= value < 1 << WHOLE_NUMBER_BITS - 1
        return "" if fits else f"does not fit into {WHOLE_NUMBER_BITS} bits; write it as a string"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"must be a JSON value, and JSON has no {value}"
    if isinstance(value, dict):
        members = cast("dict[object, object]", value)
        if not all(isinstance(key, str) for key in members):
            return "has a key that is not a string"
        return next(filter(None, (_foreign(inner, depth + 1) for inner in members.values())), "")
    if isinstance(value, list):
        return next(filter(None, (_foreign(inner, depth + 1) for inner in cast("list[object]", value))), "")
    return f"must be a JSON value, got {describe_value(value)}; write it as a string"
