"""Exceptions as values: from what user code raised to an `ErrorReport`, and back to an exception of the same type."""

from __future__ import annotations

import contextlib
import linecache
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from durable import values
from durable.errors import ActorError, DataCloneError
from durable.wire.messages import ErrorReport, Frame

FLAGS = ("remote", "durable_object_reset", "overloaded", "retryable")
_FRAMES_MAX = 60
"""Frames of one report; a recursion error has a thousand that say the same."""


class RemoteError(ActorError):
    """An exception of a type this process does not have; `type_name` is what it was called there."""

    def __init__(self, message: str, type_name: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name


class RemoteTraceback(Exception):
    """The cause attached to an exception that came from another actor: its report, printed as its text."""

    def __init__(self, report: ErrorReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return f"\n{self.report.traceback}"


def report_error(
    error: BaseException, *, is_user_file: Callable[[str], bool], label: str = "", method: str = ""
) -> ErrorReport:
    """Everything a developer needs about `error`; frames oldest first, those of the callee it came from last."""
    frames = _frames(error.__traceback__, is_user_file)
    text = "".join(traceback.format_exception(error, chain=not isinstance(error.__cause__, RemoteTraceback)))
    origin = error.__cause__.report if isinstance(error.__cause__, RemoteTraceback) else None
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        frames.append(Frame(error.filename, error.lineno, "", (error.text or "").strip(), is_user_file(error.filename)))
    if origin is not None:
        frames = frames + origin.frames
        text = origin.traceback.rstrip() + "\n\n" + text
        label, method = origin.label or label, origin.method or method
    return ErrorReport(
        type=type(error).__name__,
        message=_text(error),
        module=type(error).__module__,
        qualname=type(error).__qualname__,
        args=_encoded_args(error),
        frames=frames[-_FRAMES_MAX:],
        traceback=text.encode("utf-8", "backslashreplace").decode(),
        label=label,
        method=method,
        flags=[flag for flag in FLAGS if getattr(error, flag, False) is True],
    )


def raise_from_report(report: ErrorReport, *, object_id: str | None = None) -> BaseException:
    """The exception that a caller sees: same type where this process has it, the remote traceback as its cause."""
    error = _same_type(report)
    if error is None:
        error = RemoteError(report.message, report.type)
    flags = set(report.flags)
    if "durable_object_reset" not in flags:
        flags.add("remote")
    for flag in FLAGS:
        with contextlib.suppress(AttributeError, TypeError):
            setattr(error, flag, flag in flags)
    with contextlib.suppress(AttributeError, TypeError):
        error.durable_object_id = object_id  # type: ignore[attr-defined]
    error.__cause__ = RemoteTraceback(report)
    return error


def _same_type(report: ErrorReport) -> BaseException | None:
    found: object = sys.modules.get(report.module)
    for part in report.qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Exception)) or not report.args:
        return None
    try:
        args, attributes = values.decode(report.args)
        error = found.__new__(found, *args)
        error.args = args
        for name, value in attributes.items():
            setattr(error, name, value)
        str(error)
    except Exception:
        # A constructor or __str__ that wants more than its arguments: the message still says it all.
        return None
    return error


def _encoded_args(error: BaseException) -> bytes:
    attributes = {name: value for name, value in vars(error).items() if not name.startswith("_") and name not in FLAGS}
    nothing: dict[str, Any] = {}
    for candidate in ((error.args, attributes), (error.args, nothing)):
        with contextlib.suppress(DataCloneError):
            return values.encode(candidate)
    return b""


def _text(error: BaseException) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception as broken:
        text = f"<its __str__ raised {type(broken).__name__}>"
    return (text or "").encode("utf-8", "backslashreplace").decode()


def _frames(trace: TracebackType | None, is_user_file: Callable[[str], bool]) -> list[Frame]:
    frames: list[Frame] = []
    for summary in traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False):
        linecache.checkcache(summary.filename)
        source = (linecache.getline(summary.filename, summary.lineno or 0)).strip()
        frames.append(
            Frame(summary.filename, summary.lineno or 0, summary.name, source, is_user_file(summary.filename))
        )
    return frames
