"""Options that every command takes, with one wording."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec import Struct

if TYPE_CHECKING:
    from durable_cli.project import Project

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


class Place(Struct, frozen=True):
    """What --config, --env and --persist-to say."""

    config: Path | None = None
    environment: str | None = None
    persist_to: Path | None = None

    def open(self) -> Project:
        """Raises ConfigError, UserInputError. What is doubtful in the configuration is told."""
        from durable_cli.project import open_project

        return open_project(self.config, self.environment, self.persist_to)


_PLACE_OPTIONS: Final = {"config": ConfigOption, "env": EnvironmentOption, "persist_to": PersistOption}


def with_place(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the three options that name its project; it gets them as its first argument, a `Place`."""

    def run(
        *, config: Path | None = None, env: str | None = None, persist_to: Path | None = None, **words: object
    ) -> None:
        command(Place(config, env, persist_to), **words)

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    place = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _PLACE_OPTIONS.items()
    ]
    # What typer reads: `run` itself says nothing of the command's own words.
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*keyword, *place])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run
