"""Where the emulator of a state directory answers, as it wrote down itself; asks nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from durable.errors import DurableError

ADDRESS_FILE: Final = "emulator.json"
ADDRESS_BYTES_MAX: Final = 64 * 1024


class NotRunningError(DurableError):
    """No emulator answers for this state directory; the files may be opened instead, under the lock."""


@dataclass(frozen=True)
class RunningEmulator:
    """`{"pid": 4711, "url": "http://127.0.0.1:8787", "token": "…", "started_ms": 1700000000000}`"""

    pid: int
    url: str
    token: str = field(repr=False)


def find_emulator(run_folder: Path) -> RunningEmulator | None:
    """The emulator that wrote its address last; it may be gone. None when there is no address that can be read."""
    try:
        with open(run_folder / ADDRESS_FILE, "rb") as file:
            content: object = json.loads(file.read(ADDRESS_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return None
    match content:
        case {"pid": int(pid), "url": str(url), "token": str(token)} if urlsplit(url).scheme == "http":
            return RunningEmulator(pid, url, token)
        case _:
            return None
