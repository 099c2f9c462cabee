"""A parsed file that remembers where each of its values stood, so that a complaint can point at it.

Must not know TOML, JSON or what any key means. Offsets count characters of the text; lines and columns count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from durable.config.schema import Location
from durable.errors import ConfigError

__all__ = ["Document", "KeyPath", "Language", "Malformed", "Spot", "dotted", "error_at"]

KeyPath = tuple[str | int, ...]
"""`("migrations", 0, "tag")`"""

Language = Literal["toml", "json"]

QUOTED_LINE_CHARACTERS_MAX = 160
"""A longer line is cut when it is quoted, and not quoted at all when the mistake lies behind the cut."""


class Spot(NamedTuple):
    """Offsets of a key and of its value; equal for a table that has only a header, and for a list's element."""

    key: int
    value: int


class Malformed(ValueError):
    """Text that is not what its language asks for, at an offset."""

    def __init__(self, message: str, offset: int, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.fix = fix


class Document(Struct, frozen=True):
    """`file` is the name to show; `data` the values; `spots` where they stood."""

    file: str
    text: str
    language: Language
    data: Mapping[str, object]
    spots: Mapping[KeyPath, Spot]

    def location(self, path: KeyPath, *, key: bool = False) -> Location:
        """Where the value at `path` (or its key) stands; for a value that is missing, where its table does."""
        for length in range(len(path), 0, -1):
            spot = self.spots.get(path[:length])
            if spot is not None:
                return _location(self.file, self.text, spot.key if key else spot.value)
        return Location(self.file, 0, 0)

    def error(self, path: KeyPath, message: str, *, key: bool = False, fix: str = "") -> ConfigError:
        """A complaint about the value at `path`, or about its key."""
        return error_at(self.text, self.location(path, key=key), message, fix=fix)

    def malformed(self, problem: Malformed) -> ConfigError:
        """The same for text that could not be parsed."""
        place = _location(self.file, self.text, problem.offset)
        return error_at(self.text, place, problem.message, fix=problem.fix)


def error_at(text: str, place: Location, message: str, *, fix: str = "") -> ConfigError:
    """A complaint about a place of `text`, with the line that stands there."""
    return ConfigError(
        message,
        file=place.file,
        line=place.line,
        column=place.column,
        source_line=_quoted_line(text, place.line, place.column),
        fix=fix,
    )


def dotted(path: KeyPath) -> str:
    """`durable_objects.bindings[0].name`"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _location(file: str, text: str, offset: int) -> Location:
    start = text.rfind("\n", 0, offset) + 1
    return Location(file, text.count("\n", 0, offset) + 1, offset - start + 1)


def _quoted_line(text: str, line: int, column: int) -> str:
    if not 0 < column <= QUOTED_LINE_CHARACTERS_MAX:
        return ""
    quoted = text.split("\n")[line - 1].rstrip()
    # One character for one, tabs too: the caret is placed by counting them, and a terminal must not obey any.
    quoted = "".join(character if character.isprintable() else " " for character in quoted)
    if len(quoted) > QUOTED_LINE_CHARACTERS_MAX:
        quoted = quoted[:QUOTED_LINE_CHARACTERS_MAX] + "…"
    return quoted
