"""SQL's `soundex`, which the platform's SQLite has and the one of our wheel is built without (sqlite.org, func.c)."""

from __future__ import annotations

from typing import Any, Final

_CODES: Final = {
    letter: str(code)
    for code, letters in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), 1)
    for letter in letters
}


def soundex(value: Any) -> str:
    """Four characters that are alike for words that sound alike: `R163` for Robert and Rupert; `?000` for no word."""
    letters = _text(value).upper()
    begin = next((index for index, letter in enumerate(letters) if "A" <= letter <= "Z"), None)
    if begin is None:
        return "?000"
    found, last = letters[begin], _CODES.get(letters[begin], "")
    for letter in letters[begin + 1 :]:
        code = _CODES.get(letter, "")
        if code and code != last:
            found += code
        last = code
    return (found + "000")[:4]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
