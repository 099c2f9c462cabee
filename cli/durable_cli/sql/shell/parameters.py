"""Values of `.parameter set NAME VALUE`, read as SQL writes them. Runs no SQL."""

from __future__ import annotations

import re
from typing import Final

from durable.errors import UserInputError
from durable_cli.sql.rows import Value

_TEXT: Final = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
_BYTES: Final = re.compile(r"[xX]'((?:[0-9a-fA-F]{2})*)'")
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}")
_FLOAT: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def literal(text: str) -> Value:
    """`7`, `1.5`, `NULL`, `'it''s'` or `x'00ff'`; what is none of them is text. Raises UserInputError."""
    text = text.strip()
    if found := _TEXT.fullmatch(text):
        return found[1].replace("''", "'")
    if found := _BYTES.fullmatch(text):
        return bytes.fromhex(found[1])
    if text.lower() == "null":
        return None
    if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if "'" in text:
        raise UserInputError("a quote in text is written twice, and quotes stand around it", fix="'it''s'")
    return text
