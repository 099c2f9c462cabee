"""What the Tab key of the SQL shell offers, beside the names of the object: what the authorizer lets SQL use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import apsw

from durable.storage.sql.authorizer import FUNCTIONS, PRAGMAS_NAMED, PRAGMAS_NUMBERED, PRAGMAS_PLAIN, PRAGMAS_SWITCH

_WITHOUT_PARENTHESES: Final = frozenset({"current_date", "current_time", "current_timestamp"})

PRAGMAS: Final[dict[str, tuple[str, ...] | None]] = {
    **{f"{name}(": None for name in PRAGMAS_NAMED},
    **{f"{name}=": ("on", "off") for name in PRAGMAS_SWITCH},
    **dict.fromkeys(PRAGMAS_PLAIN | PRAGMAS_NUMBERED | {"table_list"}),
}
"""As apsw's shell takes them: with the sign that follows, and what stands after it."""


def corpora(names: Iterable[str]) -> list[list[str]]:
    """Lists of words, the first ones offered first; names that would not be shown as they are are left out."""
    functions = (name for name in FUNCTIONS if name.isidentifier() and not name.startswith("sqlite_"))
    return [
        sorted(name for name in names if name.isprintable()),
        sorted(f"{word} " for word in apsw.keywords),
        sorted(name if name in _WITHOUT_PARENTHESES else f"{name}(" for name in functions),
        ["rowid", "sqlite_schema"],
    ]
