"""Named places where a test stops the product."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from durable.failpoints import ENVIRONMENT_VARIABLE, arm, arm_from_environment, failpoint

PROGRAM = """
from durable.failpoints import arm_from_environment, failpoint
arm_from_environment()
for number in range(5):
    failpoint("other")
    failpoint("here")
    print(number, flush=True)
"""


def test_a_point_does_nothing_until_it_is_armed_and_again_afterwards() -> None:
    passed: list[str] = []
    failpoint("here")
    with arm("here", lambda: passed.append("here")):
        failpoint("here")
        failpoint("elsewhere")
        failpoint("here")
    failpoint("here")

    assert passed == ["here", "here"]


@pytest.mark.parametrize(("value", "printed"), [("here=kill", ""), ("x=kill,here=kill@3", "0\n1\n")])
def test_a_process_is_killed_at_the_pass_that_its_environment_names(value: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, ENVIRONMENT_VARIABLE: value},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (-signal.SIGKILL, printed)


@pytest.mark.parametrize("value", ["here", "here=raise", "here=kill@x", "=kill"])
def test_an_order_that_is_not_understood_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)

    with pytest.raises(ValueError, match=r"DURABLE_FAILPOINTS takes name=kill or name=kill@3, got '"):
        arm_from_environment()
