"""TOML text → values and their places. The parser is tomli; this file bounds what it is given and finds the places.

tomli tells no positions of what it has parsed, so a second, simple scan walks the text and notes where each key and
value begins. It relies on tomli having accepted the text: it reads well-formed TOML only.

Must not know what any key means.
"""

from __future__ import annotations

import re

import tomli

from durable import limits
from durable.config.document import KeyPath, Malformed, Spot

__all__ = ["parse_toml"]


def parse_toml(text: str) -> tuple[dict[str, object], dict[KeyPath, Spot]]:
    """The values and where they stand; raises `Malformed`."""
    _refuse_excess(text)
    try:
        data: dict[str, object] = tomli.loads(text)
    except RecursionError:
        raise Malformed("arrays or tables are nested too deeply", 0) from None
    except tomli.TOMLDecodeError as error:
        raise _malformed(text, str(error)) from None
    except ValueError as error:  # a number that int() or float() refuses
        raise Malformed(str(error), 0) from None
    return data, _Places(text).found()


# --- before parsing ---------------------------------------------------------------------------------------------------
_TOKEN = re.compile(r"""[#"'\[\]{}.=,\n]|[^#"'\[\]{}.=,\s]++""")


def _refuse_excess(text: str) -> None:
    """Find what would make a parser slow or recurse without end, in one pass that neither recurses nor backtracks.

    tomli 2.5 has bounds of its own. The parser of Python 3.11, its ancestor, takes 6.5 s for a key of 20 000 parts and
    overflows the stack on 5 000 brackets.
    """
    depth = parts = at = 0
    while (match := _TOKEN.search(text, at)) is not None:
        token, start, at = match[0], match.start(), match.end()
        if token == "#":
            at = _end_of_line(text, start)
        elif token in "\"'":
            end = _end_of_string(text, start)
            if end is None:
                return  # the parser stops here too, and says so
            at = end
        elif token in "[{":
            depth, parts = depth + 1, 0
            if depth > limits.CONFIG_DEPTH_MAX:
                raise Malformed(f"arrays or tables are nested deeper than {limits.CONFIG_DEPTH_MAX}", start)
        elif token in "]}":
            depth = max(0, depth - 1)
        elif token == ".":
            parts += 1
            if parts >= limits.CONFIG_DEPTH_MAX:
                raise Malformed(f"this key has more than {limits.CONFIG_DEPTH_MAX} parts", start)
        elif token in "=,\n":
            parts = 0
        elif len(token) > limits.CONFIG_WORD_CHARACTERS_MAX:
            what = "number" if token.strip("+-_0123456789") == "" else "word without quotes"
            raise Malformed(
                f"a {what} of {len(token)} characters; at most {limits.CONFIG_WORD_CHARACTERS_MAX} are read", start
            )


# --- after a failure --------------------------------------------------------------------------------------------------
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BARE_PAIR = re.compile(r"""\s*([\w.-]+)\s*=\s*([^"'\[{#\n]*?)\s*(?:#.*)?$""")


def _malformed(text: str, sentence: str) -> Malformed:
    """tomli's sentence, `Invalid value (at line 1, column 8)`, as ours."""
    match = _PLACE.search(sentence)
    if match is None:
        return Malformed(sentence, 0)
    message = sentence[: match.start()].replace("a comment or newline", "the end of the line")
    if match[1] is None:
        return Malformed(f"not valid TOML: {message}, at the end of the file", len(text))
    line, column = int(match[1]), int(match[2])
    lines = text.split("\n")
    offset = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
    return Malformed(f"not valid TOML: {message}", min(offset, len(text)), _unquoted_fix(lines[line - 1]))


def _unquoted_fix(line: str) -> str:
    """The commonest mistake is text without quotes: show the line as it should be."""
    match = _BARE_PAIR.match(line) if len(line) <= 200 else None  # the pattern backtracks
    if match is None:
        return ""
    key, value = match[1], match[2]
    if value.casefold() in ("true", "false"):
        return f"{key} = {value.casefold()}"
    if re.match(r"[^\W\d]|[./~]", value):
        return f'{key} = "{value}"'
    return ""


# --- lexical pieces that both scans share -----------------------------------------------------------------------------
def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


# Possessive, so that a string that is never closed fails in one pass. Up to two quotes may stand directly before the
# closing three.
_STRINGS = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*+"""(?:""?)?'''
    r"""|'{3}(?:[^']|'(?!''))*+'{3}(?:''?)?"""
    r'''|"(?:[^"\\\n]|\\[^\n])*+"'''
    r"""|'[^'\n]*+'""",
    re.DOTALL,
)


def _end_of_string(text: str, at: int) -> int | None:
    """The offset behind the string that begins at `at`; None when it is never closed."""
    match = _STRINGS.match(text, at)
    if match is None or (text.startswith(('"""', "'''"), at) and match.end() - at < 6):
        return None  # in the second case the pattern took `""` of an open `"""` for an empty string
    return match.end()


# --- after parsing ----------------------------------------------------------------------------------------------------
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_SPACE = re.compile(r"[ \t]*+")
_BARE_KEY = re.compile(r"[^\s.=\]\"'#]++")
_BARE_VALUE = re.compile(r"\d{4}-\d\d-\d\d \d[^,\]}\s#]*+|[^,\]}\s#]++")


class _Places:
    """A walk over well-formed TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._spots: dict[KeyPath, Spot] = {}
        self._elements: dict[KeyPath, int] = {}
        """How many `[[name]]` headers each array of tables has had so far."""

    def found(self) -> dict[KeyPath, Spot]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._spots

    def _header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`; a name that is an array of tables means its last element."""
        is_element = self._text.startswith("[[", self._at)
        self._at += 2 if is_element else 1
        parts = self._key()
        self._at += 2 if is_element else 1
        path: KeyPath = ()
        for number, (part, offset) in enumerate(parts):
            path = (*path, part)
            self._spots.setdefault(path, Spot(offset, offset))
            is_last = number == len(parts) - 1
            if is_last and not is_element:
                # `[a.b]` may come before `[a]`; the header that names the table itself is the better place.
                self._spots[path] = Spot(offset, offset)
            elif is_last:
                self._elements[path] = self._elements.get(path, 0) + 1
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
                self._spots.setdefault(path, Spot(offset, offset))
        return path

    def _pair(self, table: KeyPath) -> None:
        parts = self._key()
        self._at += 1  # =
        self._skip(_SPACE)
        path, value = table, self._at
        for part, offset in parts[:-1]:
            path = (*path, part)
            self._spots.setdefault(path, Spot(offset, offset))
        part, offset = parts[-1]
        path = (*path, part)
        self._spots[path] = Spot(offset, value)
        self._value(path)

    def _key(self) -> list[tuple[str, int]]:
        parts: list[tuple[str, int]] = []
        while True:
            self._skip(_SPACE)
            start = self._at
            if self._text[start] in "\"'":
                self._string()
                # The parser itself decodes the escapes of a quoted name.
                parts.append((tomli.loads("name = " + self._text[start : self._at])["name"], start))
            else:
                self._skip(_BARE_KEY)
                parts.append((self._text[start : self._at], start))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        opening = self._text[self._at]
        if opening in "\"'":
            self._string()
        elif opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_BARE_VALUE)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._another("]"):
            self._spots[(*path, index)] = Spot(self._at, self._at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._another("}"):
            self._pair(path)

    def _another(self, closing: str) -> bool:
        """Step to the next element, over a comma; or over the closing bracket."""
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] == closing:
            self._at += 1
            return False
        return True

    def _string(self) -> None:
        end = _end_of_string(self._text, self._at)
        assert end is not None, "the parser has accepted this text"
        self._at = end

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
