"""The `[assets]` table → `Assets`: which folder is served as it is, and when the worker comes first."""

from __future__ import annotations

import keyword
import os
from pathlib import Path
from typing import cast, get_args

from durable import limits
from durable.config import keys, snippets
from durable.config.document import dotted
from durable.config.fields import Table
from durable.config.schema import Assets, ConfigWarning, HtmlHandling, NotFoundHandling
from durable.config.text_file import shown

__all__ = ["read_assets", "unread_rules"]

_RULES = ("_headers", "_redirects")
"""Files of a folder of assets that hold rules for the platform."""


def read_assets(owner: Table, root: Path, warnings: list[ConfigWarning]) -> Assets | None:
    """None without the table; a folder that is not there yet is a warning: a build may make it later."""
    if "assets" not in owner:
        return None
    table = owner.table("assets")
    warnings += table.unknown_keys(keys.ASSETS, keys.ASSETS_SILENT)
    return Assets(
        directory=_directory(table, root, warnings),
        binding=_binding(table),
        html_handling=cast(
            "HtmlHandling", table.choice("html_handling", get_args(HtmlHandling)) or "auto-trailing-slash"
        ),
        not_found_handling=cast(
            "NotFoundHandling", table.choice("not_found_handling", get_args(NotFoundHandling)) or "none"
        ),
        run_worker_first=_run_worker_first(table),
        location=table.location("directory"),
    )


def unread_rules(assets: Assets | None) -> tuple[ConfigWarning, ...]:
    """A notice for the rules of the folder that are not applied."""
    found = [] if assets is None else [name for name in _RULES if (assets.directory / name).is_file()]
    if assets is None or not found:
        return ()
    message = (
        f"{' and '.join(found)} in {shown(assets.directory)} {'is' if len(found) == 1 else 'are'} not applied here."
    )
    return (ConfigWarning(message, assets.location, "The worker can do the same with run_worker_first."),)


def _directory(table: Table, root: Path, warnings: list[ConfigWarning]) -> Path:
    text = table.text("directory")
    if text is None:
        fix = snippets.setting(table.document.language, "directory", "./public")
        raise table.error("directory", '"assets" needs "directory", the folder whose files are served', fix=fix)
    if not text or "\0" in text:
        raise table.wrong("directory", "the path of a folder")
    path = Path(os.path.abspath(root / text))
    if path.exists() and not path.is_dir():
        raise table.error("directory", f"{shown(path)} is a file; assets are the files of a folder")
    if not path.exists():
        message = f"{shown(path)} does not exist, so no assets are served."
        warnings.append(table.warning("directory", message, "They are as soon as it is there."))
    elif root.is_relative_to(path):
        message = "the folder of the assets holds this project: its code is served to everybody who asks."
        warnings.append(table.warning("directory", message, "Name a folder that holds the assets alone."))
    return path


def _binding(table: Table) -> str:
    name = table.text("binding") or ""
    if name and (not name.isidentifier() or keyword.iskeyword(name)):
        raise table.wrong("binding", "an identifier, so that the code can say env.<binding>")
    return name


def _run_worker_first(table: Table) -> bool | tuple[str, ...]:
    value = table.values.get("run_worker_first", False)
    if isinstance(value, bool):
        return value
    if not isinstance(value, list):
        raise table.wrong("run_worker_first", 'true, false or an array of paths, ["/api/*"]')
    patterns = table.texts("run_worker_first")
    if len(patterns) > limits.ASSET_PATTERNS_MAX:
        raise table.error("run_worker_first", f"{len(patterns)} patterns; at most {limits.ASSET_PATTERNS_MAX} are read")
    for index, pattern in enumerate(patterns):
        path = (*table.path, "run_worker_first", index)
        if not pattern.removeprefix("!").startswith("/"):
            raise table.document.error(path, f'expected "{dotted(path)}" to begin with "/" or "!/", got "{pattern}"')
        if len(pattern) > limits.ASSET_PATTERN_CHARACTERS_MAX:
            most = limits.ASSET_PATTERN_CHARACTERS_MAX
            raise table.document.error(path, f'"{dotted(path)}" has {len(pattern)} characters; at most {most} are read')
    if patterns and all(pattern.startswith("!") for pattern in patterns):
        raise table.error(
            "run_worker_first", 'every path begins with "!"; at least one has to say when the worker runs'
        )
    return patterns
