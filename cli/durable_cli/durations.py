"""How long: `2h30m` as people type it, and as it is shown to them. Pure."""

from __future__ import annotations

import re
from typing import Final

from durable.errors import UserInputError

_UNITS_MS: Final = {"w": 7 * 86_400_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PIECE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[wdhms])")
_EXAMPLES: Final = "2h30m, 14d, 90s, 1.5h, 250ms (w, d, h, m, s, ms)"
_LETTERS_MAX: Final = 60


def parse_duration_ms(text: str, usage: str) -> int:
    """Milliseconds, at least one. Raises UserInputError with `usage` and examples."""
    body = text.strip().lower().removeprefix("+")
    shown = text if len(text) <= _LETTERS_MAX else text[:_LETTERS_MAX] + "…"
    if body.startswith("-"):
        raise UserInputError(
            f'"{shown}": the clock is advanced, not set back',
            fix="durable alarms reset goes back to the machine's time",
        )
    total, position = 0.0, 0
    for piece in _PIECE.finditer(body):
        if piece.start() != position:
            break
        total += float(piece[1]) * _UNITS_MS[piece[2]]
        position = piece.end()
    if not body or position != len(body):
        unit = " has no unit" if re.fullmatch(r"[0-9.]+", body) else " is not a duration"
        raise UserInputError(f'"{shown}"{unit}', fix=f"{usage}, such as {_EXAMPLES}")
    if not 1 <= total < 1e15:
        raise UserInputError(f'"{shown}": a duration is at least 1ms, and not beyond the year 2189', fix=usage)
    return round(total)


def shown_duration(ms: int) -> str:
    """`14d`, `2h30m`, `1.5s`: the two largest units that say something."""
    rest, pieces = abs(ms), list[str]()
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS_MS[unit])
        if count:
            pieces.append(f"{count}{unit}")
    if not pieces:
        return f"{rest / 1000:.3g}s" if rest >= 1000 else f"{rest}ms"
    if rest >= 1000:
        pieces.append(f"{rest // 1000}s")
    return "".join(pieces[:2])


def shown_offset(offset_ms: int, *, is_frozen: bool) -> str:
    """What marks the log while the clock is not the machine's: `+14d`, `-2h`, `frozen +14d`; else empty."""
    moved = f"{'-' if offset_ms < 0 else '+'}{shown_duration(offset_ms)}" if abs(offset_ms) >= 1000 else ""
    if is_frozen:
        return f"frozen {moved}".rstrip()
    return moved or (f"{offset_ms:+d}ms" if offset_ms else "")
