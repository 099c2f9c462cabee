"""`--at`: a bookmark, a moment or some time ago, as people type it. Knows no object."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from msgspec import Struct

from durable.errors import UserInputError
from durable.storage.history.bookmark import looks_like_bookmark

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_PIECE: Final = re.compile(
    r"(\d+(?:\.\d+)?)\s*(s|seconds?|secs?|m|minutes?|mins?|h|hours?|d|days?|w|weeks?)(?![a-z])\s*", re.IGNORECASE
)
_MS_MIN: Final = 100_000_000_000
"""March 1973; a smaller number was meant as seconds, or as something else."""
_EXAMPLES: Final = (
    "--at -10m, --at '2 hours ago', --at 2026-01-31T12:00:00 (local time), --at 2026-01-31T12:00:00Z,"
    " --at 1769860800000 (milliseconds), or a bookmark"
)


class At(Struct, frozen=True):
    """One of the two; a negative `moment_ms` is that long ago."""

    bookmark: str = ""
    moment_ms: int | None = None


def parse_at(text: str) -> At:
    """Raises UserInputError with examples."""
    text = text.strip()
    if looks_like_bookmark(text):
        return At(bookmark=text.lower())
    moment = _ago_ms(text)
    if moment is None:
        moment = _wall_ms(text)
    if moment is None:
        raise UserInputError(f'--at "{text[:80]}": not a moment and not a bookmark', fix=_EXAMPLES)
    return At(moment_ms=moment)


def _ago_ms(text: str) -> int | None:
    """`-90s`, `-1h30m`, `10 minutes ago`; what is not marked as past is none."""
    body = text[1:] if text.startswith("-") else text[: -len("ago")].rstrip() if text.lower().endswith("ago") else ""
    total, position = 0.0, 0
    for piece in _PIECE.finditer(body):
        if piece.start() != position:
            return None
        total += float(piece[1]) * _UNITS_MS[piece[2][0].lower()]
        position = piece.end()
    return -max(1, round(total)) if body and position == len(body) else None


def _wall_ms(text: str) -> int | None:
    if text.isdecimal():
        if int(text) < _MS_MIN:
            raise UserInputError(f"--at {text}: that is {text} milliseconds since 1970", fix=_EXAMPLES)
        return int(text)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None


def shown_moment(ms: object) -> str:
    """`2026-01-31 12:00:00.123`, local time."""
    if not isinstance(ms, int):
        return "an unknown moment"
    return datetime.fromtimestamp(ms / 1000).isoformat(sep=" ", timespec="milliseconds")


def shown_bytes(size: object) -> str:
    """`12 KiB`"""
    if not isinstance(size, int):
        return "an unknown size"
    amount, unit = float(size), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"
