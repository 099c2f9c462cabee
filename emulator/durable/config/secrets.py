"""`.dev.vars` and `.env` → secrets. No complaint of this file ever shows a value or a line.

The first that exists is read: `.dev.vars.<environment>`, `.dev.vars`. Only without either come the `.env` files, and
there `.env.<environment>` lies over `.env` (developers.cloudflare.com/workers/configuration/secrets).
"""

from __future__ import annotations

import re
from pathlib import Path

from durable import limits
from durable.config.schema import Location
from durable.config.text_file import read_text, shown
from durable.errors import ConfigError

__all__ = ["Secrets", "parse_dotenv", "read_secrets"]

Secrets = dict[str, tuple[str, Location]]
"""Value of each name, and where it stands."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_ASSIGNMENT = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_QUOTED = re.compile(r""""((?:[^"\\]|\\.)*+)"|'([^']*+)'|`([^`]*+)`""", re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"(?:^|[ \t])#")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
_ESCAPE = re.compile(r"""\\([nrt"\\])""")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def read_secrets(root: Path, environment: str | None) -> Secrets:
    """The secrets for one environment; empty when no file is there."""
    dev_vars, dot_env = root / ".dev.vars", root / ".env"
    own = [] if environment is None else [root / f".dev.vars.{environment}"]
    for path in (*own, dev_vars):
        if path.exists():
            return _read(path)
    secrets = _read(dot_env) if dot_env.exists() else {}
    if environment is not None and (root / f".env.{environment}").exists():
        secrets |= _read(root / f".env.{environment}")
    return secrets


def parse_dotenv(text: str, file: str) -> Secrets:
    """`KEY=value` lines; quotes of all three kinds may span lines, `\\n` and the like count in double quotes only."""
    found: Secrets = {}
    at = _after(_BLANK, text, 0)
    while at < len(text):
        line_start = text.rfind("\n", 0, at) + 1
        place = Location(file, text.count("\n", 0, at) + 1, at - line_start + 1)
        assignment = _ASSIGNMENT.match(text, at)
        if assignment is None:
            raise _error(place, "expected KEY=value")
        at = assignment.end()
        if text.startswith(('"', "'", "`"), at):
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                raise _error(place, f"the quote that opens the value of {assignment[1]} is never closed")
            value = _ESCAPE.sub(lambda match: _ESCAPED[match[1]], quoted[1]) if quoted[1] is not None else ""
            value = value or quoted[2] or quoted[3] or ""
            at = quoted.end()
            if not _REST.match(text, at):
                raise _error(place, f"something stands behind the closing quote of the value of {assignment[1]}")
        else:
            end = _after(_BARE, text, at)
            # "#" inside a word belongs to it: a token may hold one, and cutting it would fail far from here.
            value = _COMMENT.split(text[at:end], maxsplit=1)[0].strip()
            at = end
        if "\0" in value:
            raise _error(place, f"the value of {assignment[1]} holds a NUL character")
        found[assignment[1]] = (value, place)
        at = _after(_BLANK, text, at)
    return found


def _read(path: Path) -> Secrets:
    return parse_dotenv(read_text(path, bytes_max=limits.SECRETS_BYTES_MAX), shown(path))


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match is not None else at


def _error(place: Location, message: str) -> ConfigError:
    return ConfigError(message, file=place.file, line=place.line, column=place.column, fix='NAME="value"')
