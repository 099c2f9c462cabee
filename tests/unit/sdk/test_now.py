"""`durable.now()`: whose time it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

import durable
from durable.sdk import now as module


@pytest.fixture(autouse=True)
def reading() -> Iterator[None]:
    before = list(module._readings)
    yield
    module._readings[:] = before


def test_it_is_the_time_of_whoever_keeps_it_to_the_millisecond() -> None:
    for ms in (1_769_860_800_123, 1_769_860_800_001, 6_900_000_000_999):
        module.keep_time(partial(int, ms))
        assert durable.now() == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        assert round(durable.now().timestamp() * 1000) == ms


def test_outside_of_an_emulator_it_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_250_999_999)
    module.keep_time(module._machine_ms)

    assert durable.now() == datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC)
