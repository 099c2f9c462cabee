"""Which configuration file is meant: the one that was named, or the nearest one upward. Opens none of them."""

from __future__ import annotations

import os
from pathlib import Path

from durable.errors import UserInputError

__all__ = ["FILE_NAMES", "find_config"]

FILE_NAMES = ("durable.toml", "wrangler.json", "wrangler.jsonc", "wrangler.toml")
"""In order of preference within one folder; wrangler's own order for its three."""

INIT_FIX = "durable init"


def find_config(path: Path | None, start: Path | None) -> Path:
    """The absolute path of the file to read; raises `UserInputError` with what was looked for.

    A `path` that is a folder means the configuration in that folder, and not one further up.
    """
    if path is None:
        return _nearest_upward(_absolute(start if start is not None else Path(".")))
    path = _absolute(path)
    if path.is_dir():
        found = _in_folder(path)
        if found is None:
            raise UserInputError(f"no configuration in {path}: it holds no {_either(FILE_NAMES)}", fix=INIT_FIX)
        return found
    if not os.path.lexists(path):
        raise UserInputError(f"{path} does not exist", fix=INIT_FIX)
    return path


def _nearest_upward(start: Path) -> Path:
    for folder in (start, *start.parents):
        found = _in_folder(folder)
        if found is not None:
            return found
    raise UserInputError(
        f"no configuration found: looked for {_either(FILE_NAMES)} in {start} and in every folder above it",
        fix=INIT_FIX,
    )


def _in_folder(folder: Path) -> Path | None:
    # os.path.isfile answers False where a folder may not be read; Path.is_file raises.
    return next((folder / name for name in FILE_NAMES if os.path.isfile(folder / name)), None)


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path))
    except FileNotFoundError:
        raise UserInputError("the current folder no longer exists", fix="cd to a folder that does") from None


def _either(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
