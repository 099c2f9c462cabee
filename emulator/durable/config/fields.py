"""Typed reading of one table of a document: got and expected in every complaint, and the place it came from.

Must not know which keys exist.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import cast

from msgspec import Struct

from durable.config.document import Document, KeyPath, dotted
from durable.config.nearest import did_you_mean
from durable.config.schema import ConfigWarning, Location
from durable.errors import ConfigError

__all__ = ["Table", "describe_value"]

VALUE_CHARACTERS_MAX = 60
"""How much of a wrong value a sentence shows."""
UNKNOWN_KEYS_MAX = 20
"""Warnings about unknown keys of one table: looking for the nearest key costs time, reading them all costs more."""


class Table(Struct, frozen=True):
    """One table at `path` of a document; a missing one is an empty table."""

    document: Document
    path: KeyPath
    values: Mapping[str, object]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    # --- complaints ---------------------------------------------------------------------------------------------------
    def label(self, key: str) -> str:
        """`dev.port`"""
        return dotted((*self.path, key))

    def error(self, key: str, message: str, *, fix: str = "", at_key: bool = False) -> ConfigError:
        return self.document.error((*self.path, key), message, fix=fix, key=at_key)

    def location(self, key: str) -> Location:
        return self.document.location((*self.path, key))

    def wrong(self, key: str, expected: str, *, fix: str = "") -> ConfigError:
        got = describe_value(self.values[key])
        return self.error(key, f'expected "{self.label(key)}" to be {expected}, got {got}', fix=fix)

    def warning(self, key: str, message: str, hint: str = "") -> ConfigWarning:
        return ConfigWarning(message, self.document.location((*self.path, key), key=True), hint)

    def unknown_keys(self, known: Collection[str], silent: Collection[str] = ()) -> list[ConfigWarning]:
        """A warning for every key that is in neither collection; only `known` ones are suggested."""
        where = f" in {dotted(self.path)}" if self.path else ""
        unknown = [key for key in self.values if key not in known and key not in silent]
        warnings = [
            self.warning(key, f"unknown key {_shown(key)}{where}; it has no effect.", did_you_mean(key, known))
            for key in unknown[:UNKNOWN_KEYS_MAX]
        ]
        if len(unknown) > UNKNOWN_KEYS_MAX:
            more = len(unknown) - UNKNOWN_KEYS_MAX
            warnings.append(self.warning(unknown[UNKNOWN_KEYS_MAX], f"{more} more unknown keys{where}."))
        return warnings

    # --- values -------------------------------------------------------------------------------------------------------
    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if key in self.values and not isinstance(value, str):
            raise self.wrong(key, "a string")
        return cast("str | None", value)

    def whole_number(self, key: str, low: int, high: int) -> int | None:
        if key not in self.values:
            return None
        value = self.values[key]
        # bool is a subclass of int, and `port = true` is a mistake.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}")
        return value

    def seconds(self, key: str, low: float, high: float) -> float | None:
        if key not in self.values:
            return None
        value = self.values[key]
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"a number of seconds from {low:g} to {high:g}")
        return float(value)

    def choice(self, key: str, options: Collection[str]) -> str | None:
        if key not in self.values:
            return None
        value = self.values[key]
        if not isinstance(value, str) or value not in options:
            expected = " or ".join(f'"{option}"' for option in options)
            hint = did_you_mean(value, options) if isinstance(value, str) else ""
            raise self.wrong(key, expected, fix=hint)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.values.get(key, [])
        if not isinstance(values, list):
            raise self.wrong(key, "an array of strings")
        for index, value in enumerate(cast("list[object]", values)):
            if not isinstance(value, str):
                path = (*self.path, key, index)
                got = describe_value(value)
                raise self.document.error(path, f'expected "{dotted(path)}" to be a string, got {got}')
        return tuple(cast("list[str]", values))

    # --- tables -------------------------------------------------------------------------------------------------------
    def table(self, key: str) -> Table:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return Table(self.document, (*self.path, key), cast("dict[str, object]", value))

    def tables(self, key: str, *, shape: str) -> list[Table]:
        """An array of tables; `shape` shows one of them: `{ tag = "v1" }`."""
        values = self.values.get(key, [])
        if not isinstance(values, list):
            raise self.wrong(key, f"an array of tables, {shape}")
        found: list[Table] = []
        for index, value in enumerate(cast("list[object]", values)):
            path = (*self.path, key, index)
            if not isinstance(value, dict):
                got = describe_value(value)
                raise self.document.error(path, f'expected "{dotted(path)}" to be a table, {shape}, got {got}')
            found.append(Table(self.document, path, cast("dict[str, object]", value)))
        return found


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "a table"),
)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[:VALUE_CHARACTERS_MAX] + "…"


def describe_value(value: object) -> str:
    """`"8787" (a string)`"""
    if value is None:
        return "null"
    shown = _shown(value)
    kind = next((name for kind, name in _KINDS if isinstance(value, kind)), "a date or time")
    return f"{shown} ({kind})"
