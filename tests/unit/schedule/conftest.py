"""Every test of a schedule has one object, at noon of a day that stands still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from durable.sdk import now as reading
from tests.unit.schedule.trial import START, PlatformStorage, Trial, clock


@pytest.fixture(autouse=True)
def on_virtual_time() -> Iterator[None]:
    clock.ms = START
    before = reading._readings[0]
    reading.keep_time(lambda: clock.ms)
    yield
    reading.keep_time(before)


@pytest.fixture
def trial() -> Trial:
    return Trial(PlatformStorage())
