"""How much memory a host may hold: enough to live, and said where nobody enforces it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from durable.config import Config
from durable.errors import ConfigError

TEXT = 'name = "app"\nmain = "main.py"\ncompatibility_date = "2026-11-01"\n\n[dev]\nmemory_mb = '


@pytest.mark.parametrize("megabytes", [0, 64, 4096])
def test_no_limit_and_a_limit_that_a_host_can_live_with_are_taken(
    load_text: Callable[..., Config], megabytes: int
) -> None:
    assert load_text(f"{TEXT}{megabytes}\n").dev.memory_mb == megabytes


def test_less_than_a_host_needs_to_begin_with_is_refused(refused: Callable[..., ConfigError]) -> None:
    error = refused(f"{TEXT}63\n")

    assert error.message == 'expected "dev.memory_mb" to be 0 for no limit, or at least 64, got 63 (a whole number)'
    assert error.line == 6


@pytest.mark.parametrize(("platform", "megabytes", "warned"), [("linux", 64, 0), ("darwin", 64, 1), ("darwin", 0, 0)])
def test_where_no_limit_is_enforced_the_start_says_so(
    load_text: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, platform: str, megabytes: int, warned: int
) -> None:
    monkeypatch.setattr(sys, "platform", platform)

    warnings = load_text(f"{TEXT}{megabytes}\n").warnings

    assert [warning.message for warning in warnings] == [
        "memory_mb is not enforced here: only Linux limits what a process holds"
    ] * warned
