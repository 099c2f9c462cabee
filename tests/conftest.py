"""The order in which the suite is run, and what its size must not cost every single test."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

LONG = (
    "tests/faults/test_chaos.py",
    "tests/acceptance/test_main_job.py",
    "tests/acceptance/test_wheel_install.py",
    "tests/faults/test_host_kill.py",
    "tests/acceptance/test_templates.py",
    "tests/faults/test_power_cut.py",
    "tests/faults/test_io_errors.py",
)
"""Files with a test of many seconds, the longest first."""


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None]:
    """What collecting makes stays until the end: no collection of garbage has to walk through it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: at the end it would run alone, while the other workers have nothing left to do."""
    places = {file: place for place, file in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))
