"""What tests of the `durable` command share: a `dev` that never outlives its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev


@pytest.fixture
def start_dev() -> Iterator[Callable[..., Dev]]:
    """`start_dev(folder, "--quiet")` starts one; what still runs at the end of the test is killed."""
    started: list[Dev] = []

    def start(folder: Path, *words: str, **options: object) -> Dev:
        started.append(Dev(folder, *words, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.discard()
