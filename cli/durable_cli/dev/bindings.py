"""What the program finds in `env`, as a table for people. Pure. Values of secrets are never in it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from durable_cli.console import Ink, printable
from durable_cli.report import shown_path

if TYPE_CHECKING:
    from durable.config import Config

VALUE_CHARACTERS_MAX: Final = 60


def bindings_rows(config: Config, started: Collection[str] = ()) -> list[tuple[str, str, str]]:
    """Name, kind and what it is: `("env.ROOMS", "Durable Object", "ChatRoom")`.

    `started` are the names of the workers that run together with this one.
    """

    def of(worker: str) -> str:
        return worker if worker in started or worker == config.name else f"{worker} [not started]"

    rows = [
        (
            f"env.{binding.name}",
            "Durable Object",
            binding.class_name
            if binding.script_name in (None, config.name)
            else f"{binding.class_name} of {of(binding.script_name)}",
        )
        for binding in config.bindings
    ]
    rows += [
        (
            f"env.{service.name}",
            "service",
            f"{service.entrypoint} of {of(service.service)}" if service.entrypoint else of(service.service),
        )
        for service in config.services
    ]
    if config.assets is not None and config.assets.binding:
        rows.append((f"env.{config.assets.binding}", "assets", shown_path(str(config.assets.directory))))
    rows += [
        (f"env.{name}", "variable", json.dumps(value, ensure_ascii=False, default=str))
        for name, value in config.vars.items()
        if name not in config.secrets
    ]
    rows += [(f"env.{name}", "secret", "(hidden)") for name in config.secrets]
    rows += [(f"env.{each.name}", "not served", each.key) for each in config.unserved]
    return rows


def bindings_table(config: Config, ink: Ink, started: Collection[str] = ()) -> str:
    """Aligned lines, or a sentence when there is nothing."""
    rows = bindings_rows(config, started)
    if not rows:
        return "The program has no bindings."
    rows = [(printable(name), kind, printable(what, length_max=VALUE_CHARACTERS_MAX)) for name, kind, what in rows]
    name_width = max(len(name) for name, _, _ in rows)
    kind_width = max(len(kind) for _, kind, _ in rows)
    return "\n".join(
        f"  {ink.paint(name.ljust(name_width), 'cyan')}  {ink.paint(kind.ljust(kind_width), 'dim')}  {what}"
        for name, kind, what in rows
    )
