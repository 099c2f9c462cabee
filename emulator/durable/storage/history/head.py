"""The head of a history: which segment is the live one, and what the object's file looked like when it began."""

from __future__ import annotations

import json
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from durable.storage.file_copy import replace_file
from durable.storage.history.bookmark import chain_of
from durable.storage.history.folder import HistoryFolder

FORMAT: Final = 1


class Head(Struct, frozen=True):
    """`{"format": 1, "segment": 7, …}`; `chain` is that of the object whose history it is."""

    chain: str
    segment: int
    began_ms: int
    size: int
    mtime_ns: int
    format: int = FORMAT


def read_head(archive: HistoryFolder) -> Head | None:
    """None also for one that cannot be used: the history then begins anew, as after any other break."""
    try:
        content: Any = json.loads(archive.head.read_bytes())
        head = Head(**content)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return head if head.format == FORMAT and head.chain == chain_of(archive.path.stem) else None


def write_head(archive: HistoryFolder, head: Head, *, sync: bool = True) -> None:
    """Durably, unless whoever calls sees to that. Raises OSError."""
    replace_file(archive.head, json.dumps(asdict(head)).encode(), sync=sync)
