"""JSONC text → values and their places: JSON (RFC 8259) with comments and trailing commas, and nothing more.

Must not know what any key means. Stricter than JavaScript's parsers in one way: a key that appears twice is an error.
"""

from __future__ import annotations

import json
import re

from durable import limits
from durable.config.document import KeyPath, Malformed, Spot

__all__ = ["parse_jsonc"]

WORD_CHARACTERS_SHOWN = 40
"""How much of a wrong word a sentence shows."""
_BLANK = re.compile(r"(?:[ \t\n\r]|//[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?(?![\w.+-])")
_WORD = re.compile(r"[\w.+$-]+|.", re.DOTALL)
_LITERALS: dict[str, object] = {"true": True, "false": False, "null": None}


def parse_jsonc(text: str) -> tuple[dict[str, object], dict[KeyPath, Spot]]:
    """The values of the object that the text holds, and where they stand; raises `Malformed`."""
    reader = _Reader(text)
    data = reader.document()
    return data, reader.spots


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.spots: dict[KeyPath, Spot] = {}

    def document(self) -> dict[str, object]:
        self._skip_blank()
        if self._at == len(self._text):
            raise Malformed("the file is empty; it should hold one object, { … }", 0)
        if not self._next_is("{"):
            raise Malformed("the file should hold one object, { … }", self._at)
        data = self._object(())
        self._skip_blank()
        if self._at < len(self._text):
            raise Malformed("the file should end here, behind its closing }", self._at)
        return data

    def _value(self, path: KeyPath) -> object:
        if len(path) > limits.CONFIG_DEPTH_MAX:
            raise Malformed(f"arrays or objects are nested deeper than {limits.CONFIG_DEPTH_MAX}", self._at)
        if self._next_is("{"):
            return self._object(path)
        if self._next_is("["):
            return self._array(path)
        if self._next_is('"'):
            return self._string()
        return self._scalar()

    def _object(self, path: KeyPath) -> dict[str, object]:
        opening = self._at
        self._at += 1
        found: dict[str, object] = {}
        while self._another("}", opening, is_first=not found):
            key_at = self._at
            if not self._next_is('"'):
                raise Malformed(f"expected a key in double quotes, got {self._shown_word()}", key_at)
            key = self._string()
            if key in found:
                raise Malformed(f'the key "{key}" appears twice in this object', key_at)
            self._skip_blank()
            if not self._next_is(":"):
                raise Malformed(f'expected ":" behind the key "{key}", got {self._shown_word()}', self._at)
            self._at += 1
            self._skip_blank()
            self.spots[(*path, key)] = Spot(key_at, self._at)
            found[key] = self._value((*path, key))
        return found

    def _array(self, path: KeyPath) -> list[object]:
        opening = self._at
        self._at += 1
        found: list[object] = []
        while self._another("]", opening, is_first=not found):
            element = (*path, len(found))
            self.spots[element] = Spot(self._at, self._at)
            found.append(self._value(element))
        return found

    def _another(self, closing: str, opening: int, *, is_first: bool) -> bool:
        """Step to the next member, over a comma; or over the closing bracket, which a comma may precede."""
        self._skip_blank()
        if not is_first and not self._next_is(closing):
            if not self._next_is(","):
                raise Malformed(f'expected "," or "{closing}", got {self._shown_word()}', self._at)
            self._at += 1
            self._skip_blank()
        if self._at == len(self._text):
            raise Malformed(f'this "{self._text[opening]}" is never closed', opening)
        if self._next_is(closing):
            self._at += 1
            return False
        return True

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise Malformed("this string is not closed on its line", self._at)
        try:
            value: str = json.loads(match[0])
            value.encode()  # refuses half of a surrogate pair, which no file or socket could take
        except ValueError:
            raise Malformed("this string has an escape that means nothing", self._at) from None
        self._at = match.end()
        return value

    def _scalar(self) -> object:
        word = self._word()
        if len(word) > limits.CONFIG_WORD_CHARACTERS_MAX:
            raise Malformed(
                f"a value of {len(word)} characters; at most {limits.CONFIG_WORD_CHARACTERS_MAX} are read", self._at
            )
        if word in _LITERALS:
            self._at += len(word)
            return _LITERALS[word]
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            raise Malformed(f"expected a value, got {self._shown_word()}", self._at)
        self._at = match.end()
        return int(match[0]) if match[1] is None and match[2] is None else float(match[0])

    def _word(self) -> str:
        match = _WORD.match(self._text, self._at)
        return "" if match is None else match[0]

    def _shown_word(self) -> str:
        """What stands here, for a sentence."""
        word = self._word()
        if len(word) > WORD_CHARACTERS_SHOWN:
            return word[:WORD_CHARACTERS_SHOWN] + "…"
        return word or "the end of the file"

    def _next_is(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        if self._text.startswith("/*", self._at):
            raise Malformed("this comment is never closed", self._at)
