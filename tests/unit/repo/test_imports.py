"""What a process loads at its start, asked of a fresh interpreter: start-up time is made of imports."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
import {module}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def packages_after_importing(module: str) -> set[str]:
    """Top-level names in `sys.modules` of an interpreter that ignores site-packages' start-up hooks."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_the_user_api_loads_the_standard_library_only() -> None:
    known = sys.stdlib_module_names | {"durable", "__main__", "__mp_main__"}

    strangers = packages_after_importing("durable") - packages_after_importing("sys") - known

    assert not strangers


@pytest.mark.parametrize("heavy", ["aiohttp", "rich", "tomli", "typer", "watchfiles"])
def test_a_host_starts_without_what_only_the_gateway_needs(heavy: str) -> None:
    assert heavy not in packages_after_importing("durable.host.__main__")


@pytest.mark.parametrize("heavy", ["aiohttp", "apsw", "watchfiles"])
def test_the_command_line_answers_before_the_engine_is_loaded(heavy: str) -> None:
    assert heavy not in packages_after_importing("durable_cli.main")
