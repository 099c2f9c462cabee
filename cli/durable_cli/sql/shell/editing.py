"""Editing lines of the SQL shell: readline with completion, a history only its owner can read, statements as one entry.

Where readline is missing, lines are typed plainly. Must not know what the lines mean.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

try:
    import readline
except ImportError:
    readline = None  # type: ignore[assignment]

HISTORY_FILE: Final = "sql_history"
HISTORY_ENTRIES_MAX: Final = 1_000
"""Lines that are kept from one shell to the next."""

Completer = Callable[[str, int], str | None]


@contextmanager
def editing(history: Path, complete: Completer) -> Generator[bool]:
    """Completion and history for `input()`; gives whether readline edits the lines."""
    if readline is None:
        yield False
        return
    before = readline.get_completer()
    readline.set_completer(complete)
    # libedit, on macOS, has commands of its own.
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    readline.set_auto_history(True)
    with suppress(OSError):
        readline.read_history_file(history)
    try:
        yield True
    finally:
        readline.set_completer(before)
        _keep(history)


def _keep(history: Path) -> None:
    """Best effort: a folder that takes no file is no reason to end with an error."""
    if readline is None:
        return
    with suppress(OSError):
        history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The mode is set before the first line is in it: statements hold what the object holds.
        descriptor = os.open(history, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        readline.set_history_length(HISTORY_ENTRIES_MAX)
        readline.write_history_file(history)
        os.chmod(history, 0o600)


def history_length() -> int:
    return readline.get_current_history_length() if readline is not None else 0


def join_history(since: int, statement: str) -> None:
    """Make the lines that were entered after entry `since` one, which is edited as a whole: `statement`."""
    if readline is None or history_length() <= since + 1:
        return
    for index in range(history_length() - 1, since - 1, -1):
        readline.remove_history_item(index)
    readline.add_history(statement)
