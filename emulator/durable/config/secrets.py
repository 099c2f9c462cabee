"""`.dev.vars` and `.env` → secrets. No complaint of this file ever shows a value or a line.

The first that exists is read: `.dev.vars.<environment>`, `.dev.vars`. Only without either come the `.env` files, each
over the one before it: `.env`, `.env.local`, `.env.<environment>`, `.env.<environment>.local`
(developers.cloudflare.com/workers/configuration/secrets).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from durable import limits
from durable.config.fields import Table
from durable.config.schema import ConfigWarning, Location
from durable.config.text_file import read_text, shown
from durable.errors import ConfigError

__all__ = ["Secrets", "missing_secrets", "parse_dotenv", "read_secrets", "secret_files"]

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


def secret_files(root: Path, environment: str | None) -> tuple[list[Path], list[Path]]:
    """Those of which the first that exists counts, and those that are laid over each other without any of the first."""
    first, layers = [root / ".dev.vars"], [root / ".env", root / ".env.local"]
    if environment is not None:
        first.insert(0, root / f".dev.vars.{environment}")
        layers += [root / f".env.{environment}", root / f".env.{environment}.local"]
    return first, layers


def read_secrets(root: Path, environment: str | None) -> Secrets:
    """The secrets for one environment; empty when no file is there."""
    first, layers = secret_files(root, environment)
    for path in first:
        if path.exists():
            return _read(path)
    secrets: Secrets = {}
    for path in layers:
        if path.exists():
            secrets |= _read(path)
    return secrets


def missing_secrets(owner: Table, known: Collection[str]) -> list[ConfigWarning]:
    """A warning for each name of `secrets.required` that nothing sets."""
    table = owner.table("secrets")
    return [
        ConfigWarning(
            f"the secret {name} is required and not set: env.{name} is missing.",
            table.location("required"),
            f"Write {name}=… into .dev.vars beside this file.",
        )
        for name in table.texts("required")
        if name not in known
    ]


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
