"""The pytest plugin: `durable_app` is the project of the test's folder, running, with nothing stored yet.

Loaded by every pytest run in an environment with our package, so nothing heavy is imported until a test asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from durable.testing.app import App


@pytest.fixture
def durable_app(request: pytest.FixtureRequest) -> Iterator[App]:
    """The project whose configuration is nearest upward from the test file, on fresh state for each test."""
    from durable import config
    from durable.testing.app import run

    found = config.load(start=request.path.parent)
    with run(found.path) as app:
        yield app
