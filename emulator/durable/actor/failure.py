"""Exceptions as values: from what user code raised to an `ErrorReport`, and back to an exception of the same type."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

from msgspec import Struct

from durable import values
from durable.actor.arguments import shown_arguments
from durable.actor.failed_sql import failed_sql
from durable.actor.foreign_errors import arriving_type
from durable.actor.frames import frames_of, plain, user_frame
from durable.errors import ActorError, DataCloneError, JsException, OverloadedError, SqlError, StorageError
from durable.limits import REPORT_ERRORS_MAX, REPORT_FRAMES_MAX
from durable.wire.messages import ErrorReport, Frame, RelatedError
from durable.wire.redaction import Redaction
from durable.wire.traceback_text import traceback_text

FLAGS = ("remote", "durable_object_reset", "overloaded", "retryable")
_OF_THE_DISK = ("SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_NOMEM")
"""Result codes, with whatever follows them, that no program can bring about (sqlite.org/rescode.html)."""
_GIVEN, _TOLD = "_durable_given", "_durable_told"
"""What an exception carries of ours, in its `__dict__`: arguments until the report is made, and the report's id."""
_CAMEL_FLAGS = {"durableObjectReset": "durable_object_reset", "durableObjectId": "durable_object_id"}
"""The platform's names, for exceptions whose class does not know them."""
_UNSENT = frozenset([*FLAGS, *_CAMEL_FLAGS, "durable_object_id", _GIVEN, _TOLD])
_NOTHING_HIDDEN = Redaction()
_numbers = itertools.count(1)


class RemoteError(ActorError):
    """An exception of a type this process does not have; `type_name` is what it was called there."""

    name = "PythonError"

    def __init__(self, message: str, type_name: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name


class RemoteTraceback(Exception):
    """The cause attached to an exception that came from another actor: its report, printed as its text."""

    def __init__(self, report: ErrorReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return f"\n{traceback_text(self.report)}"


class _Reader(Struct, frozen=True):
    """How the parts of one report are made."""

    is_user_file: Callable[[str], bool]
    place: str
    redaction: Redaction

    def frames(self, error: BaseException) -> list[Frame]:
        """The error's own, and those of the actor that it came from."""
        hide = self.redaction.text
        frames = frames_of(error.__traceback__, self.is_user_file, self.place, hide)
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            frames.append(self._place_of_syntax(error, error.filename, error.lineno))
        origin = _origin(error)
        return frames if origin is None else [*frames, *origin.frames]

    def _place_of_syntax(self, error: SyntaxError, file: str, line: int) -> Frame:
        if not self.is_user_file(file):
            return Frame(plain(file), line, "", plain((error.text or "").strip()), False, place=self.place)
        begin, end = error.offset or 0, error.end_offset or 0
        if error.end_lineno not in (None, line):
            end = 0
        # Offsets count from 1 and in characters; 0 or -1 is for "not known".
        columns = (begin - 1, max(end - 1, begin)) if begin > 0 else (0, 0)
        return user_frame(file, line, "", columns, self.place, self.redaction.text, bytewise=False)

    def related(self, error: BaseException, seen: set[int], depth: int = 0) -> Iterator[RelatedError]:
        """What led to it, the nearest first, and the members of a group."""
        seen.add(id(error))
        members: tuple[BaseException, ...] = getattr(error, "exceptions", ()) if _is_group(error) else ()
        for member in members:
            yield from self._one("member", member, seen, depth + 1)
        origin = _origin(error)
        if origin is not None:
            yield from origin.related
        elif error.__cause__ is not None:
            yield from self._one("cause", error.__cause__, seen, depth)
        elif error.__context__ is not None and not error.__suppress_context__:
            yield from self._one("context", error.__context__, seen, depth)

    def _one(self, relation: str, error: BaseException, seen: set[int], depth: int) -> Iterator[RelatedError]:
        if id(error) not in seen:
            yield RelatedError(relation, _type_name(error), _text(error), self.frames(error), _notes(error), depth)
            yield from self.related(error, seen, depth)


def report_error(
    error: BaseException,
    *,
    is_user_file: Callable[[str], bool],
    label: str = "",
    method: str = "",
    remote: bool = False,
    redaction: Redaction = _NOTHING_HIDDEN,
) -> ErrorReport:
    """Everything a developer needs about `error`; frames oldest first, those of the callee it came from last.

    `remote` says that its reader is a caller, and that the code of the actor that was called raised it. Callers get
    message and attributes as they were: `redaction` is for what only people read and what is shortened here.
    """
    flags = [flag for flag in FLAGS if getattr(error, flag, False) is True or (remote and flag == "remote")]
    if type(error) is OverloadedError:
        return _brief(error, label, method, flags)
    origin = _origin(error)
    arguments = _given_arguments(error, method, is_user_file, redaction)
    reader = _Reader(is_user_file, place_of(label, method, arguments), redaction)
    frames = reader.frames(error)[-REPORT_FRAMES_MAX:]
    related = list(itertools.islice(reader.related(error, set()), REPORT_ERRORS_MAX))
    number, frames = _identified(error, origin, frames)
    kind, message, notes = _type_name(error), _text(error), _notes(error)
    sql = failed_sql(error, message, redaction)
    if origin is not None:
        label, method = origin.label or label, origin.method or method
        arguments, sql = origin.arguments, sql or origin.sql
    return ErrorReport(
        type=kind,
        message=message,
        module=type(error).__module__,
        qualname=type(error).__qualname__,
        args=_encoded_args(error),
        frames=frames,
        label=label,
        method=method,
        flags=flags,
        arguments=arguments,
        notes=notes,
        sql=sql,
        related=related,
        id=number,
    )


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)


def place_of(label: str, method: str, arguments: str = "") -> str:
    """`ChatRoom "general".say(text='hello')`; empty for the program itself."""
    place = ".".join(part for part in (label, method) if part)
    return f"{place}({arguments})" if arguments and method else place


def with_arguments(error: BaseException, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> None:
    """What the call was given that `error` ended: its report says so."""
    # Not through setattr(), which a class of the user's may refuse.
    vars(error)[_GIVEN] = args, kwargs or {}


def _given_arguments(
    error: BaseException, method: str, is_user_file: Callable[[str], bool], redaction: Redaction
) -> str:
    # Taken away: the exception may live on, and what it was given need not.
    given = vars(error).pop(_GIVEN, None)
    if given is None:
        return ""
    args, kwargs = given
    try:
        return shown_arguments(_parameters(error.__traceback__, method, is_user_file), args, kwargs, redaction)
    except Exception:
        # A container of the user's own making, whose methods fail: the report is about another failure.
        return "…"


def _parameters(trace: TracebackType | None, method: str, is_user_file: Callable[[str], bool]) -> tuple[str, ...]:
    """The names of what the user's method takes by position, when it got so far that it was called."""
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == method and is_user_file(code.co_filename):
            names = code.co_varnames[: code.co_argcount]
            return names[1:] if names[:1] == ("self",) else names
        trace = trace.tb_next
    return ()


def _origin(error: BaseException) -> ErrorReport | None:
    """What the actor that raised it reported."""
    return error.__cause__.report if isinstance(error.__cause__, RemoteTraceback) else None


def _identified(error: BaseException, origin: ErrorReport | None, frames: list[Frame]) -> tuple[str, list[Frame]]:
    """An id that is the same for one exception that several meet, such as a task's that two await; and its frames.

    Raised anew, as a constant of the program may be, an exception gets another id.
    """
    head, told = error.__traceback__, vars(error).get(_TOLD)
    if told is not None:
        number, where, earlier = told
        step = head.tb_next if head is not None else None
        # Raised anew it has all of its old traceback behind the new.
        while step is not None and _where(step) != where:
            step = step.tb_next
        if step is None:
            # asyncio gives a task's traceback to the first who awaits it, and nothing to the second.
            return number, frames if len(frames) >= len(earlier) else earlier
    number = (origin.id if origin is not None else "") or f"{os.getpid()}.{next(_numbers)}"
    vars(error)[_TOLD] = number, _where(head), frames
    return number, frames


def _where(step: TracebackType | None) -> tuple[int, int] | None:
    # Not the step itself: an exception that is kept must not keep the frames that a second await took from it.
    return None if step is None else (id(step.tb_frame.f_code), step.tb_lasti)


def _notes(error: BaseException) -> list[str]:
    notes: Any = getattr(error, "__notes__", ())
    if not isinstance(notes, list):
        return []
    return [plain(note) for note in cast("list[object]", notes) if isinstance(note, str)]


def _type_name(error: BaseException) -> str:
    return plain(error.type_name) if isinstance(error, RemoteError) and error.type_name else type(error).__name__


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


def raise_from_report(report: ErrorReport, *, object_id: str | None = None, over_http: bool = False) -> BaseException:
    """The exception that a caller sees: same type where this process has it, the remote traceback as its cause.

    `object_id` is that of the actor it asked, `over_http` whether it asked with `fetch`.
    """
    error = _same_type(report, over_http)
    if error is None:
        error = arriving_type(RemoteError, over_http=over_http)(report.message, report.type)
    facts = {flag: flag in report.flags for flag in FLAGS} | {"durable_object_id": object_id}
    if not isinstance(error, JsException):
        facts |= {camel: facts[snake] for camel, snake in _CAMEL_FLAGS.items()}
    for name, fact in facts.items():
        with contextlib.suppress(AttributeError, TypeError):
            setattr(error, name, fact)
    error.__cause__ = RemoteTraceback(report)
    return error


def _same_type(report: ErrorReport, over_http: bool) -> BaseException | None:
    found: object = sys.modules.get(report.module)
    for part in report.qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        return None
    kind = arriving_type(found, over_http=over_http)
    if not report.args:
        # Errors of the gateway's own, such as HostGoneError, consist of their message.
        return kind(report.message) if issubclass(found, ActorError) and report.module == "durable.errors" else None
    with contextlib.suppress(Exception):
        args, attributes = values.decode(report.args)
        # A class of the user's may be made in a way that a type joined with ours is not: then it arrives as itself.
        for candidate in dict.fromkeys((kind, arriving_type(found, over_http=False), found)):
            with contextlib.suppress(Exception):
                return _remade(candidate, args, attributes)
    # A constructor or __str__ that wants more than its arguments: the message still says it all.
    return None


def _remade(kind: type[Exception], args: tuple[Any, ...], attributes: Mapping[str, Any]) -> Exception:
    if kind.__module__ == "builtins":
        # Some of these keep what they say outside of `args`, and only their constructor puts it there.
        error = kind(*args)
    else:
        try:
            error = kind.__new__(kind, *args)
        except TypeError:
            # Of a type that is an OSError among others, the others' `__new__` make nothing.
            if not issubclass(kind, OSError):
                raise
            error = OSError.__new__(kind, *args)
        error.args = args
    for name, value in attributes.items():
        setattr(error, name, value)
    str(error)
    return error


def _encoded_args(error: BaseException) -> bytes:
    attributes = {name: value for name, value in vars(error).items() if name not in _UNSENT}
    # What the constructor was given: OSError keeps its file's name out of `args`.
    args = error.__reduce__()[1] if type(error).__module__ == "builtins" else error.args
    nothing: dict[str, Any] = {}
    for candidate in ((args, attributes), (args, nothing)):
        with contextlib.suppress(DataCloneError):
            return values.encode(candidate)
    return b""


def error_text(error: BaseException) -> str:
    """`ValueError: no such room`, whatever its `__str__` does."""
    text = _text(error)
    return f"{_type_name(error)}: {text}" if text else _type_name(error)


def _text(error: BaseException) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception as broken:
        text = f"<its __str__ raised {type(broken).__name__}>"
    return plain(text or "")
