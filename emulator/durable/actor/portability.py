"""What runs here and would not, or not with the same result, on the platform: told once per line of user code.

Python values keep their meaning here where the platform's go through JavaScript. A program that is to run there
wants to know; `portability` in `[dev]` says whether it is told ("warn"), stopped ("error") or left alone ("off").
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import durable
from durable.errors import PortabilityError
from durable.limits import PORTABILITY_PLACES_MAX

KINDS: Final[dict[str, str]] = {
    "sql-int": (
        "the platform binds numbers as REAL: typeof(?) is 'real' there, ?/2 divides without rounding, and a TEXT or"
        " untyped column keeps '1.0'. Bind float(n) for the same result here; a column of type INTEGER makes none of"
        " it a difference"
    ),
    "sql-bool": "the platform binds the TEXT 'true' or 'false'. Bind 1.0 or 0.0",
    "sql-large-int": "the platform refuses an int beyond 2**53 - 1 with a TypeError. Bind str(n)",
    "sql-bytearray": "the platform refuses a bytearray with a TypeError. Bind bytes(value)",
}
"""Kind of difference → what the platform does, and what to write instead."""

_PACKAGE: Final = str(Path(durable.__file__).parent)


class Portability:
    """One host's answer to code that is not portable."""

    def __init__(self, log: Callable[[str, str, str], None], *, refuses: bool) -> None:
        """`log` takes a level, a text and the label of the object; `refuses` raises PortabilityError instead."""
        self._log = log
        self._refuses = refuses
        self._told: set[tuple[str, str, int]] = set()

    def differs(self, kind: str, what: str, label: str) -> None:
        """User code did `what`, which is of a `kind` that the table knows."""
        message = f"{what}; {KINDS[kind]}"
        if self._refuses:
            raise PortabilityError(f'{message}. This is an error because of portability = "error" in [dev]', kind=kind)
        file, line = _place()
        if (kind, file, line) in self._told or len(self._told) >= PORTABILITY_PLACES_MAX:
            return
        self._told.add((kind, file, line))
        self._log("warning", f"{file}:{line}: {message}", label)


def _place() -> tuple[str, int]:
    """File and line of the code that called into this package."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # the public way builds a whole stack
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
