"""A project on disk and its configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from durable import config
from durable.config import Config
from tests.settings import settings

SETTINGS = settings("Room", "ROOMS")


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Config]:
    """`configured(more)` is the configuration of a project with these settings added."""

    def load(more: str = "", *, secrets: str = "", settings: str = SETTINGS) -> Config:
        (tmp_path / "main.py").write_text("")
        (tmp_path / "durable.toml").write_text(settings + more)
        (tmp_path / ".dev.vars").write_text(secrets)
        return config.load(tmp_path / "durable.toml")

    return load
