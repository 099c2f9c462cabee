"""Where the configuration of another worker probably is: in a folder beside this one. A guess, for a message."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

from durable.config.discover import FILE_NAMES
from durable.limits import CONFIG_BYTES_MAX, NEARBY_FOLDERS_MAX

__all__ = ["find_worker"]


def find_worker(root: Path, name: str) -> Path | None:
    """The file in a folder beside `root`, or in `root` itself, that names a worker so."""
    named = re.compile(rf'(?:^|[{{,])\s*"?name"?\s*[=:]\s*["\']{re.escape(name)}["\']'.encode(), re.MULTILINE)
    with suppress(OSError), os.scandir(root.parent) as entries:
        for entry in islice(entries, NEARBY_FOLDERS_MAX):
            for file in (Path(entry.path, file_name) for file_name in FILE_NAMES):
                with suppress(OSError), file.open("rb") as opened:
                    if named.search(opened.read(CONFIG_BYTES_MAX)):
                        return file
    return None
