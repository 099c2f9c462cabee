"""`.assetsignore`: which files of a folder are not served. The patterns are those of gitignore(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    keeps: bool
    """Whether it begins with "!", and so takes back what an earlier rule left out."""
    folders_only: bool


class IgnoreRules:
    """The patterns of one file, in their order; the last that matches decides."""

    def __init__(self, text: str) -> None:
        self._rules = [rule for line in text.splitlines() if (rule := _rule(line)) is not None]

    def ignores(self, path: str) -> bool:
        """`path` is relative, `js/app.js.map`. What lies in a folder that is left out cannot be taken back."""
        parts = path.split("/")
        ends = range(1, len(parts) + 1)
        return any(self._leaves_out("/".join(parts[:end]), is_folder=end < len(parts)) for end in ends)

    def _leaves_out(self, path: str, *, is_folder: bool) -> bool:
        for rule in reversed(self._rules):
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(path):
                return not rule.keeps
        return False


def _rule(line: str) -> _Rule | None:
    line = re.sub(r"(?<!\\) +$", "", line.rstrip("\r\n"))
    keeps = line.startswith("!")
    line = line.removeprefix("!")
    if not line or (line.startswith("#") and not keeps):
        return None
    folders_only = line.endswith("/")
    line = line.rstrip("/")
    if not line:
        return None
    # A slash before the end ties a pattern to the folder of the file itself.
    anchored = "/" in line
    try:
        pattern = re.compile(("" if anchored else "(?:.*/)?") + _expression(line.lstrip("/")), re.DOTALL)
    except re.error:
        return None
    return _Rule(pattern, keeps, folders_only)


_PIECE = re.compile(r"\*\*/|/\*\*$|\*+|\?|\[!?\]?[^]]*\]|\\.|.", re.DOTALL)


def _expression(glob: str) -> str:
    return "".join(_translated(piece) for piece in _PIECE.findall(glob))


def _translated(piece: str) -> str:
    match piece:
        case "**/":
            return "(?:.*/)?"
        case "/**":
            return "/.*"
        case "?":
            return "[^/]"
        case _ if piece.startswith("*"):
            return "[^/]*"
        case _ if piece.startswith("[") and len(piece) > 2:
            inside = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
        case _ if piece.startswith("\\") and len(piece) == 2:
            return re.escape(piece[1])
        case _:
            return re.escape(piece)
