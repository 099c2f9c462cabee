"""What the program finds in `env`, as a table for people. Pure. Values of secrets are never in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from durable_cli.console import Ink, printable

if TYPE_CHECKING:
    from durable.config import Config

VALUE_CHARACTERS_MAX: Final = 60


def bindings_rows(config: Config) -> list[tuple[str, str, str]]:
    """Name, kind and what it is: `("env.ROOMS", "Durable Object", "ChatRoom")`."""
    rows = [
        (
            f"env.{binding.name}",
            "Durable Object",
            binding.class_name
            if binding.script_name in (None, config.name)
            else f"{binding.class_name} of {binding.script_name} [not connected]",
        )
        for binding in config.bindings
    ]
    rows += [
        (f"env.{name}", "variable", json.dumps(value, ensure_ascii=False, default=str))
        for name, value in config.vars.items()
        if name not in config.secrets
    ]
    rows += [(f"env.{name}", "secret", "(hidden)") for name in config.secrets]
    return rows


def bindings_table(config: Config, ink: Ink) -> str:
    """Aligned lines, or a sentence when there is nothing."""
    rows = bindings_rows(config)
    if not rows:
        return "The program has no bindings."
    rows = [(printable(name), kind, printable(what, length_max=VALUE_CHARACTERS_MAX)) for name, kind, what in rows]
    name_width = max(len(name) for name, _, _ in rows)
    kind_width = max(len(kind) for _, kind, _ in rows)
    return "\n".join(
        f"  {ink.paint(name.ljust(name_width), 'cyan')}  {ink.paint(kind.ljust(kind_width), 'dim')}  {what}"
        for name, kind, what in rows
    )
