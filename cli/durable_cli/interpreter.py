"""Which Python runs the user's program: theirs, not ours. The command may come from uvx or pipx.

Only finds and tells where it looked; whether our package is inside is said by the host when it starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

from durable.errors import UserInputError
from durable.supervisor.install_command import install_command


class Interpreter(Struct, frozen=True):
    """A Python and why it was taken: "--python", ".venv beside the configuration", or "the one that runs durable"."""

    path: str
    reason: str


def choose_interpreter(wanted: str | None, root: Path, *, own: str = sys.executable) -> Interpreter:
    """`wanted` is the word after --python: a path, a virtual environment's folder, or a command on the PATH.

    Symbolic links stay as they are: a virtual environment's Python *is* a link, and resolving it would leave the
    environment. Raises UserInputError when what was asked for, or a `.venv` that is there, cannot run.
    """
    if wanted is not None:
        return Interpreter(_wanted_python(wanted), "--python")
    environment = root / ".venv"
    if not environment.is_dir():
        return Interpreter(own, "the one that runs durable")
    python = environment / "bin" / "python"
    if not _runs(python):
        raise UserInputError(
            f"{environment} is there, but it has no bin/python that can run",
            fix=f"python3 -m venv --clear {environment} and install your packages again, or name another: --python P",
        )
    return Interpreter(str(python), ".venv beside the configuration")


def check_debugpy(interpreter: Interpreter) -> None:
    """Raises UserInputError when the program's Python cannot import debugpy."""
    found = subprocess.run([interpreter.path, "-c", "import debugpy"], capture_output=True, check=False)
    if found.returncode:
        raise UserInputError(
            f"--debug needs debugpy, and {interpreter.path} ({interpreter.reason}) cannot import it",
            fix=install_command(interpreter.path, "debugpy"),
        )


def _wanted_python(wanted: str) -> str:
    path = Path(wanted).expanduser()
    if path.is_dir():
        path = path / "bin" / "python"
    if os.sep in wanted or path.is_dir() or path.exists():
        if _runs(path):
            return os.path.abspath(path)
        raise UserInputError(f"--python {wanted}: {path} is not a program that can run")
    found = shutil.which(wanted)
    if found is None:
        raise UserInputError(f"--python {wanted}: no such file, and no such command on the PATH")
    return found


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
