from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from durable_cli.main import main
from tests.settings import settings

CONFIG = settings("Counter", "COUNTERS")


@dataclass
class Typed:
    """What came of one command line."""

    code: int
    out: str
    err: str


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., Typed]:
    """`typed("migrate", "--json")`"""

    def run(*words: str, platform: str = "linux") -> Typed:
        code = main(words, platform=platform)
        captured = capsys.readouterr()
        return Typed(code, captured.out, captured.err)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, which is the current one."""
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path
