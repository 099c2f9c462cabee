"""What became of evicting every object, in one line. Pure; names of objects are escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from durable_cli.console import printable

PINNED_SHOWN_MAX: Final = 3
"""Objects named in the line about those that stay in memory."""
PINNED_CHARACTERS_MAX: Final = 160


def evicted_text(answer: Mapping[str, Any]) -> str:
    """`12 objects have left memory; 1 stays: Room "a" (timer due in 14 s at main.py:12)`"""
    count, stay = answer["evicted"], answer["pinned_count"]
    if not count and not stay:
        return "no object was in memory"
    text = f"{count} object{'s have' if count != 1 else ' has'} left memory" if count else ""
    if not stay:
        return text
    named = [_pinned_text(one) for one in answer["pinned"][:PINNED_SHOWN_MAX]]
    more = f" and {stay - len(named)} more" if stay > len(named) else ""
    stays = f"{stay} {'stay' if stay != 1 else 'stays'}: {', '.join(named)}{more}"
    return f"{text or 'no object has left memory'}; {stays}"


def _pinned_text(one: Mapping[str, Any]) -> str:
    which = f'"{one["name"]}"' if one["name"] is not None else str(one["id"])[:8]
    reasons = "; ".join(str(pin["text"]) for pin in one["pins"]) or "it is busy"
    return printable(f"{one['class']} {which} ({reasons})", length_max=PINNED_CHARACTERS_MAX)
