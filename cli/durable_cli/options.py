"""Options that every command takes, with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", show_default=False,
        help="The configuration file. Default: the nearest durable.toml, wrangler.toml or wrangler.jsonc upward.",
    ),
]  # fmt: skip
EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--env", "-e", metavar="NAME", show_default=False, help="Environment: the [env.NAME] of the configuration."
    ),
]
PersistOption = Annotated[
    Path | None,
    typer.Option(
        "--persist-to",
        metavar="DIR",
        show_default=False,
        help="Where state lives. Default: .durable beside the configuration.",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
