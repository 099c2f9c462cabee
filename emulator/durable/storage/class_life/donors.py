"""Where the worker that a transfer names keeps its objects: in this project, where it was typed, or next to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from durable import limits
from durable.config.discover import FILE_NAMES
from durable.config.load import load, read_document
from durable.config.schema import Config
from durable.errors import MigrationError, UserInputError
from durable.storage.class_life.applying import FindDonor
from durable.storage.class_life.transfer import Donor
from durable.storage.migration_plan import TransferClass

__all__ = ["donors_of"]

STATE_FOLDER: Final = Path(".durable") / "state"


def donors_of(config: Config, state: Path, folder: Path | None) -> FindDonor:
    """For the plans of one project, whose own state is given; `folder` is that of the other project, or its file."""

    def find(step: TransferClass) -> Donor:
        name = step.source_script
        own = _environment_of(config.path, name)
        if own is not None and own.environment == config.environment:
            raise MigrationError(
                f"{step.source} is to come from the worker {name}, which is this one", fix="say it in renamed_classes"
            )
        if own is not None:
            return Donor(state, own.environment)
        files = _files_in(folder) if folder is not None else _neighbours(config.root)
        names: list[str] = []
        for file in files:
            found = _environment_of(file, name, names)
            if found is not None:
                return Donor(found.root / STATE_FOLDER, found.environment)
        raise _unknown(step, folder, names)

    return find


def _unknown(step: TransferClass, folder: Path | None, names: list[str]) -> MigrationError:
    name = step.source_script
    if folder is None:
        return MigrationError(
            f"it is not known where the worker {name} keeps its objects; no folder beside this one has a worker "
            "of that name",
            fix="durable migrate --from FOLDER, with the folder of its project",
        )
    known = f"; its workers are {', '.join(sorted(set(names)))}" if names else ""
    return MigrationError(f"{folder} is not the project of the worker {name}{known}", fix="--from FOLDER")


def _environment_of(file: Path, name: str, names: list[str] | None = None) -> Config | None:
    """The project's configuration in the environment that goes by this name; appends the names it goes by."""
    try:
        environments = read_document(file).data.get("env")
        known = list(cast("dict[str, object]", environments)) if isinstance(environments, dict) else []
        for environment in (None, *known):
            found = load(file, environment=environment)
            if names is not None:
                names.append(found.name)
            if found.name == name:
                return found
    except (UserInputError, OSError):
        # A neighbour that cannot be read is not ours to complain about.
        return None
    return None


def _files_in(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder.absolute()]
    return [folder.absolute() / name for name in FILE_NAMES if (folder / name).is_file()][:1]


def _neighbours(root: Path) -> Iterator[Path]:
    try:
        folders = sorted(each for each in root.parent.iterdir() if each != root and each.is_dir())
    except OSError:
        return
    for folder in folders[: limits.NEIGHBOUR_PROJECTS_MAX]:
        try:
            yield from _files_in(folder)
        except OSError:
            continue
