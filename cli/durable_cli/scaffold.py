"""Templates: which there are, whether one may be copied to a place, and the copy. Prints nothing, asks nothing.

Nothing that exists is overwritten unless that is asked for, no symbolic link is followed, and a template is found by
comparing whole names with what is in the folder, so that no name can lead out of it.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from durable.config.nearest import did_you_mean
from durable.errors import NotFoundError, UserInputError
from durable.limits import WORKER_NAME_CHARACTERS_MAX

DEFAULT_TEMPLATE: Final = "counter"
PLACEHOLDER: Final = "{{name}}"
"""Stands for the project's name, in the files below only: elsewhere it may be what the template is about."""
NAMED_FILES: Final = frozenset({"durable.toml", "README.md"})


_LEFT_BEHIND: Final = frozenset(
    {
        "__pycache__",
        ".durable",
        ".venv",
        ".dev.vars",
        ".env",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".DS_Store",
    }
)
"""What running a template leaves in it, and pip's byte code: never part of the template."""


@dataclass(frozen=True)
class Template:
    """A folder that holds a durable.toml; `summary` is the first paragraph of its README, as one line."""

    name: str
    folder: Path
    summary: str


@dataclass(frozen=True)
class Copied:
    """What was written: the folder, the project's name, paths inside the folder."""

    target: Path
    project: str
    files: tuple[Path, ...]


def templates_folder() -> Path:
    """`_templates` inside the installed package; beside the sources in a checkout."""
    installed = Path(__file__).parent / "_templates"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "templates"


def list_templates(folder: Path) -> list[Template]:
    if not folder.is_dir():
        return []
    return [
        Template(entry.name, entry, _summary(entry / "README.md"))
        for entry in sorted(folder.iterdir())
        if (entry / "durable.toml").is_file()
    ]


def find_template(folder: Path, name: str) -> Template:
    """By exact name. Raises NotFoundError that lists the names there are."""
    templates = {template.name: template for template in list_templates(folder)}
    if name in templates:
        return templates[name]
    known = "templates: " + ", ".join(templates) if templates else f"no templates were installed in {folder}"
    raise NotFoundError(f'no template "{name}"', fix=f"{did_you_mean(name, templates)} {known}".strip())


def _summary(readme: Path) -> str:
    if not readme.is_file():
        return ""
    for paragraph in re.split(r"\n\s*\n", readme.read_text(encoding="utf-8")):
        if paragraph.strip() and not paragraph.lstrip().startswith("#"):
            return " ".join(paragraph.split())
    return ""


def project_name(folder_name: str) -> str:
    """A worker's name from a folder's: `My Chat!` → `my-chat`; `app` when nothing is left."""
    plain = unicodedata.normalize("NFKD", folder_name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:WORKER_NAME_CHARACTERS_MAX].strip("-") or "app"


def copy_template(template: Template, directory: str, *, force: bool = False) -> Copied:
    """Write the template's files into `directory`, which is made when it is missing.

    Raises UserInputError before anything is written: for a name that no folder should have, a target that is a link or
    no folder, a link on the way to a file, and, without `force`, for files that are there already (all are named).
    """
    target = _checked_target(directory)
    files = _template_files(template.folder)
    _check_places(target, files, force=force)
    project = project_name(target.name)
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        _write(template.folder / file, target / file, project, force=force)
    return Copied(target, project, tuple(files))


def _checked_target(directory: str) -> Path:
    if not directory or not directory.strip():
        raise UserInputError("the folder's name is empty", fix="durable init my-app")
    if not directory.isprintable():
        raise UserInputError(f"the folder's name holds characters that cannot be printed: {directory!r}")
    given = Path(directory).expanduser()
    if given.is_symlink():
        raise UserInputError(
            f"{directory} is a symbolic link, and init follows none", fix=f"durable init {os.path.realpath(given)}"
        )
    if given.exists() and not given.is_dir():
        raise UserInputError(f"{directory} is a file, not a folder", fix="durable init with another name")
    return given.resolve()


def _template_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_BEHIND)
        for name in sorted(names):
            path = Path(parent, name)
            if name not in _LEFT_BEHIND and path.suffix != ".pyc" and not path.is_symlink():
                found.append(path.relative_to(folder))
    return sorted(found)


def _check_places(target: Path, files: list[Path], *, force: bool) -> None:
    existing: list[str] = []
    for file in files:
        for part in [*reversed(file.parents[:-1]), file]:
            place = target / part
            if place.is_symlink():
                raise UserInputError(f"{place} is a symbolic link, and init follows none", fix=f"rm {place}")
            if place.exists() and place.is_dir() == (part == file):
                raise UserInputError(f"{place} is in the way of {file}", fix="durable init with another folder")
        if (target / file).exists():
            existing.append(str(file))
    if existing and not force:
        raise UserInputError(
            f"{target} already has {_listed(existing)}; nothing was written",
            fix="use another folder, or add --force to overwrite",
        )


def _listed(names: list[str], names_max: int = 10) -> str:
    more = f" and {len(names) - names_max} more" if len(names) > names_max else ""
    return ", ".join(names[:names_max]) + more


def _write(source: Path, place: Path, project: str, *, force: bool) -> None:
    content = source.read_bytes()
    if source.name in NAMED_FILES:
        content = content.replace(PLACEHOLDER.encode(), project.encode())
    # O_EXCL and O_NOFOLLOW make the check and the write one step: a file or link that appeared meanwhile is refused.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if force else os.O_EXCL)
    mode = 0o777 if source.stat().st_mode & stat.S_IXUSR else 0o666
    with os.fdopen(os.open(place, flags, mode), "wb") as file:
        file.write(content)
