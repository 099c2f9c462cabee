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
from durable.errors import ActorError, DataCloneError, OverloadedError, SqlError, StorageError
from durable.wire.messages import ErrorReport, Frame

FLAGS = ("remote", "durable_object_reset", "overloaded", "retryable")
_OF_THE_DISK = ("SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_NOMEM")
"""Result codes, with whatever follows them, that no program can bring about (sqlite.org/rescode.html)."""
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
    error: BaseException,
    *,
    is_user_file: Callable[[str], bool],
    label: str = "",
    method: str = "",
    remote: bool = False,
) -> ErrorReport:
    """Everything a developer needs about `error`; frames oldest first, those of the callee it came from last.

    `remote` says that its reader is a caller, and that the code of the actor that was called raised it.
    """
    flags = [flag for flag in FLAGS if getattr(error, flag, False) is True or (remote and flag == "remote")]
    if type(error) is OverloadedError:
        return _brief(error, label, method, flags)
    frames = _frames(error.__traceback__, is_user_file)
    text = "".join(traceback.format_exception(error, chain=not isinstance(error.__cause__, RemoteTraceback)))
    origin = error.__cause__.report if isinstance(error.__cause__, RemoteTraceback) else None
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        line = _plain((error.text or "").strip())
        frames.append(Frame(_plain(error.filename), error.lineno, "", line, is_user_file(error.filename)))
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
        traceback=_plain(text),
        label=label,
        method=method,
        flags=flags,
    )


def _brief(error: OverloadedError, label: str, method: str, flags: list[str]) -> ErrorReport:
    """Without a traceback: making one takes longer than to serve most requests, and there is no time when this happens.

    It would show who asked, who is not at fault.
    """
    return ErrorReport(
        type=type(error).__name__,
        message=_text(error),
        module=type(error).__module__,
        qualname=type(error).__qualname__,
        label=label,
        method=method,
        flags=flags,
    )


def is_the_disks(error: BaseException, *, is_open: bool) -> bool:
    """Whether no program could have brought this about; `is_open` is that of the actor's file when it was raised."""
    if isinstance(error, SqlError) and error.code.startswith(_OF_THE_DISK):
        return True
    return isinstance(error, StorageError) and not is_open


def status_of(report: ErrorReport) -> int:
    """The status for a request that this error ended: 503 says that trying again may help."""
    return 503 if {"overloaded", "retryable"}.intersection(report.flags) else 500


def raise_from_report(report: ErrorReport, *, object_id: str | None = None) -> BaseException:
    """The exception that a caller sees: same type where this process has it, the remote traceback as its cause.

    `object_id` is that of the actor it asked.
    """
    error = _same_type(report)
    if error is None:
        error = RemoteError(report.message, report.type)
    for flag in FLAGS:
        with contextlib.suppress(AttributeError, TypeError):
            setattr(error, flag, flag in report.flags)
    with contextlib.suppress(AttributeError, TypeError):
        error.durable_object_id = object_id  # type: ignore[attr-defined]
    error.__cause__ = RemoteTraceback(report)
    return error


def _same_type(report: ErrorReport) -> BaseException | None:
    found: object = sys.modules.get(report.module)
    for part in report.qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        return None
    if not report.args:
        # Errors of the gateway's own, such as HostGoneError, consist of their message.
        return found(report.message) if issubclass(found, ActorError) and report.module == "durable.errors" else None
    try:
        args, attributes = values.decode(report.args)
        if found.__module__ == "builtins":
            # Some of these keep what they say outside of `args`, and only their constructor puts it there.
            error = found(*args)
        else:
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
    attributes = {name: value for name, value in vars(error).items() if name not in FLAGS}
    # What the constructor was given: OSError keeps its file's name out of `args`.
    args = error.__reduce__()[1] if type(error).__module__ == "builtins" else error.args
    nothing: dict[str, Any] = {}
    for candidate in ((args, attributes), (args, nothing)):
        with contextlib.suppress(DataCloneError):
            return values.encode(candidate)
    return b""


def _text(error: BaseException) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception as broken:
        text = f"<its __str__ raised {type(broken).__name__}>"
    return _plain(text or "")


def _plain(text: str) -> str:
    """`text` as the wire can carry it: half a character is spelt out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _frames(trace: TracebackType | None, is_user_file: Callable[[str], bool]) -> list[Frame]:
    frames: list[Frame] = []
    for summary in traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False):
        linecache.checkcache(summary.filename)
        source = (linecache.getline(summary.filename, summary.lineno or 0)).strip()
        frames.append(
            Frame(
                _plain(summary.filename),
                summary.lineno or 0,
                summary.name,
                _plain(source),
                is_user_file(summary.filename),
            )
        )
    return frames
