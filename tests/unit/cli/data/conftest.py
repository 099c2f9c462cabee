from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.data.stored_objects import Stored


@pytest.fixture
def stored(typed, project: Path) -> Stored:
    assert typed("migrate").code == 0
    return Stored(project)


@pytest.fixture
def objects(typed) -> Callable[..., Any]:
    """`objects("delete", "Counter", "home")`, which has to succeed; what it said."""

    def run(*words: str) -> Any:
        result = typed("objects", *words)
        assert result.code == 0, result.err
        return result

    return run
