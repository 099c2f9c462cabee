"""Raising an error from a line of a file that is no Python: in its traceback stands the file, with that line's text."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn


def raise_at(path: Path, line: int, error: Exception) -> NoReturn:
    """Whoever shows the error shows the user's line, as it would one of Python."""
    code = compile("\n" * (line - 1) + "raise error", str(path), "exec", dont_inherit=True)
    exec(code.replace(co_name=""), {"error": error})
    raise AssertionError("unreachable")
