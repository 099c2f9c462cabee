"""Where a running emulator tells tools how to reach it: `<.durable>/run/emulator.json`, for its user's eyes only."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from durable.errors import UserInputError
from durable.storage.layout import FILE_MODE, make_folder


class RunFile(Struct, frozen=True):
    """`{"pid": 4711, "url": "http://127.0.0.1:8787", "token": "…", "started_ms": 1700000000000}`"""

    path: Path

    def write(self, *, url: str, token: str, started_ms: int) -> None:
        """Written aside and renamed, so that nobody reads half of it. Raises `UserInputError` when it cannot be."""
        content = {"pid": os.getpid(), "url": url, "token": token, "started_ms": started_ms}
        aside = self.path.with_suffix(f".{os.getpid()}")
        try:
            make_folder(self.path.parent)
            aside.unlink(missing_ok=True)
            # Made anew and never through a link: what it holds lets its reader run SQL.
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file)
            aside.replace(self.path)
        except OSError as error:
            raise UserInputError(
                f"{self.path} cannot be written: {error.strerror}", fix="--persist-to DIR keeps it somewhere else"
            ) from error

    def remove(self) -> None:
        with suppress(OSError):
            self.path.unlink()
