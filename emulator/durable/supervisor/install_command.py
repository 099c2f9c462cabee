"""What to type so that an interpreter gets a package. Environments that uv makes have no pip."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path


def install_command(python: str, requirement: str) -> str:
    """`requirement` as pip takes it: `durable==1.0`."""
    if _is_made_by_uv(python):
        return f"uv pip install --python {shlex.quote(python)} {shlex.quote(requirement)}"
    return f"{shlex.quote(python)} -m pip install {shlex.quote(requirement)}"


def _is_made_by_uv(python: str) -> bool:
    """As its pyvenv.cfg says, with uv's version."""
    with suppress(OSError, UnicodeDecodeError):
        lines = (Path(python).parent.parent / "pyvenv.cfg").read_text("utf-8").splitlines()
        return any(line.partition("=")[0].strip() == "uv" for line in lines)
    return False
