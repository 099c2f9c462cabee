"""One thing that is wrong in a state directory: what it is, what it means, and what to do about it. Opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

DOCTOR: Final = "durable doctor --fix"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom it concerns, as far as that is known: a class by its name, an object by its id and name."""

    class_name: str | None = None
    environment: str | None = None
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """`Finding("unlisted", Subject("Room", …), "…/ab….sqlite", "is not in the index", "…", "durable doctor --fix")`

    `kind` is one word for programs: damaged, missing, unlisted, alarm, index, history, permissions, misplaced, foreign,
    state, newer, unreachable; and those that are no problem: leftover, unfinished, stray.
    """

    kind: str
    subject: Subject
    file: str
    what: str
    """The end of a sentence that begins with the file."""
    meaning: str
    remedy: str
    """What to do or to type."""
    is_problem: bool = True
    """False for what costs nothing but room, or goes away by itself."""
    mend: Callable[[], object] | None = field(default=None, repr=False, compare=False)
    """Mends it for certain, and loses nothing. Raises OSError and StorageError."""
    keep: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    """Puts a copy of what is damaged aside and returns where; the file stays as it is."""
