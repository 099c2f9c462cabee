"""A module that is not there because a dependency of pyproject.toml is not installed: which, and what to type.

Everything else about a failed import is told as it happened.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, cast

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")

DISTRIBUTIONS = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "multipart": "python-multipart",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Packages whose modules are called otherwise, as far as programs for the platform use them."""


def explain_missing(error: BaseException, root: Path) -> None:
    """Add a note to an import error of the program whose pyproject.toml is in `root`."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return
    module = error.name.partition(".")[0]
    if module in sys.modules or _is_there(module):
        return  # a part of a package is missing, and the package is installed
    missing = {name: text for name, text in _requirements(root) if not _is_installed(name)}
    package = _normalized(DISTRIBUTIONS.get(module, module))
    if package in missing:
        said = f"{package} is among the dependencies in pyproject.toml, and not installed for {sys.executable}."
    elif missing:
        said = (
            f"{module} is not installed for {sys.executable}, and of the dependencies in pyproject.toml neither "
            f"{'is' if len(missing) == 1 else 'are'} {', '.join(missing)}."
        )
    else:
        return
    error.add_note(f"{said} Type: {_command(root, list(missing.values()))}")


def _requirements(root: Path) -> Iterator[tuple[str, str]]:
    """Normalized name and the whole text of each dependency, without those for some machines only."""
    try:
        document: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return
    project = document.get("project")
    listed = cast("dict[str, object]", project).get("dependencies") if isinstance(project, dict) else None
    for text in cast("list[object]", listed) if isinstance(listed, list) else []:
        match = _NAME.match(text) if isinstance(text, str) and ";" not in text else None
        if match is not None:
            yield _normalized(match[1]), cast("str", text).strip()


def _command(root: Path, requirements: list[str]) -> str:
    if (root / "uv.lock").exists() and Path(sys.prefix) == root / ".venv":
        return "uv sync"
    words = " ".join(shlex.quote(text) for text in requirements)
    python = shlex.quote(sys.executable)
    if _is_there("pip") or shutil.which("uv") is None:
        return f"{python} -m pip install {words}"
    return f"uv pip install --python {python} {words}"


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _normalized(name: str) -> str:
    """As packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
