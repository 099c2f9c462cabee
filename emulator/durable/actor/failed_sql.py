"""The statement that SQLite refused, found where it was run: nothing is kept of statements that succeed."""

from __future__ import annotations

import re
from collections.abc import Sized
from types import TracebackType
from typing import Any

from durable.actor.frames import plain
from durable.errors import SqlError
from durable.limits import REPORT_SQL_CHARACTERS_MAX
from durable.storage.sql import execution
from durable.wire.messages import FailedSql
from durable.wire.redaction import Redaction

_OFFSET = re.compile(r" at offset (\d+)")
_FILE = execution.__file__


def failed_sql(error: BaseException, message: str, redaction: Redaction) -> FailedSql | None:
    """The statement that `error` is about; None when it is about anything else. `message` says where in it."""
    if not isinstance(error, SqlError):
        return None
    found = _query(error.__traceback__)
    if found is None:
        return None
    query, bindings = found
    match = _OFFSET.search(message)
    at = len(query.encode(errors="replace")[: int(match[1])].decode(errors="ignore")) if match else -1
    return _shortened(query, bindings, at, redaction)


def _query(trace: TracebackType | None) -> tuple[str, int] | None:
    found: tuple[str, int] | None = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILE:
            local = trace.tb_frame.f_locals
            query: Any = local.get("query")
            bindings: Any = local.get("bindings", ())
            if isinstance(query, str) and isinstance(bindings, Sized):
                found = query, len(bindings)
        trace = trace.tb_next
    return found


def _shortened(query: str, bindings: int, at: int, redaction: Redaction) -> FailedSql:
    """Cut around the place; it is lost when there was something to hide before it."""
    if not 0 <= at <= len(query):
        at = -1
    # Twice the room on both sides: what is cut through there is not shown.
    room = REPORT_SQL_CHARACTERS_MAX
    begin = max(max(at, 0) - room // 2 - redaction.longest, 0)
    text = query[begin : begin + room + 2 * redaction.longest]
    hidden = redaction.text(text)
    at = at - begin if at >= 0 and hidden == text else -1
    cut_before = begin > 0
    if cut_before:
        hidden, at = hidden[redaction.longest :], at - redaction.longest if at >= 0 else -1
    if begin + len(text) < len(query):
        hidden = hidden[: max(len(hidden) - redaction.longest, 0)][:room] + " …"
    if cut_before:
        hidden, at = "… " + hidden, at + 2 if at >= 0 else -1
    hidden = plain(hidden.rstrip())
    return FailedSql(hidden, bindings, at if at <= len(hidden) else -1)
