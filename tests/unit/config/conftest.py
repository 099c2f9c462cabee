"""A project in a temporary folder, written as text and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable.config import Config, load
from durable.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[..., ConfigError]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a main.py, which is also the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "main.py").write_text("")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def load_text(project: Path) -> Load:
    """Write `durable.toml` (or another file) and load it."""

    def load_it(text: str, *, file: str = "durable.toml", **options: Any) -> Config:
        (project / file).write_text(text)
        return load(project / file, **options)

    return load_it


@pytest.fixture
def refused(load_text: Load) -> Refusal:
    """The same for a file that has to be refused; returns the complaint."""

    def load_it(text: str, **options: Any) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            load_text(text, **options)
        return caught.value

    return load_it
