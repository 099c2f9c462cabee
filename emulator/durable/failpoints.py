"""Named places where a test makes the product stop, fail or be looked at. Costs one look at an empty dict when unset.

Armed in this process by `arm`, in a started one by DURABLE_FAILPOINTS="rotation.log_moved=kill@2,restore.planned=kill":
the action, and at which pass it comes (the first, when nothing is said). Knows nothing of the places themselves.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator
from typing import Final

ENVIRONMENT_VARIABLE: Final = "DURABLE_FAILPOINTS"

_armed: dict[str, Callable[[], None]] = {}


def failpoint(name: str) -> None:
    """Do what is armed under `name`, if anything is."""
    if _armed and (action := _armed.get(name)) is not None:
        action()


@contextlib.contextmanager
def arm(name: str, action: Callable[[], None]) -> Generator[None]:
    """Have `action` called at every pass of `name`, in whatever thread that is."""
    _armed[name] = action
    try:
        yield
    finally:
        _armed.pop(name, None)


def arm_from_environment() -> None:
    """Arm what the environment asks for. Raises ValueError for what is not `name=kill` or `name=kill@N`."""
    for entry in filter(None, os.environ.get(ENVIRONMENT_VARIABLE, "").split(",")):
        name, _, order = entry.partition("=")
        action, _, passes = order.partition("@")
        if not name or action != "kill" or not (passes or "1").isdecimal():
            raise ValueError(f"{ENVIRONMENT_VARIABLE} takes name=kill or name=kill@3, got {entry!r}")
        _armed[name] = _killer(int(passes or "1"))


def _killer(passes: int) -> Callable[[], None]:
    left = passes

    def kill() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            # Nothing is flushed and nobody is told, as when the power goes or the kernel runs out of memory.
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
