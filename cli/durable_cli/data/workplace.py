"""Where images lie while they are made: a folder of our own beside the state, gone when the command ends."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from durable.storage.layout import make_folder
from durable_cli.project import Project


@contextmanager
def workplace(project: Project) -> Generator[Path]:
    """On the disk of the state, so that what is finished there can be renamed, and readable by its owner only."""
    make_folder(project.run)
    with tempfile.TemporaryDirectory(prefix="data-", dir=project.run.resolve()) as folder:
        yield Path(folder)
