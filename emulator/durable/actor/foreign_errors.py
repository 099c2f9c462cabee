"""The types of exceptions that come from another actor, in programs written for the platform.

There a caller sees a JsException, whatever was raised. Here it is of its own type as well, so that code which catches
one or the other finds it: `ValueError("x")` arrives as a ValueError that is a PythonError, which is a JsException.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

from durable.errors import AbortError, JsException, PythonError
from durable.sdk import habits
from durable.wire.messages import ErrorReport
from durable.wire.traceback_text import traceback_text

_MADE_MAX: Final = 1024
_made: dict[tuple[type[Exception], bool], type[Exception]] = {}


def arriving_type(kind: type[Exception], *, over_http: bool) -> type[Exception]:
    """What an exception of `kind` is made of when it arrives; `over_http` for that of a `fetch`, an AbortError there.

    `kind` itself in programs that were not written for the platform, and where Python cannot make one type of both.
    """
    if not habits.platform:
        return kind
    joined = _made.get((kind, over_http))
    if joined is None:
        if len(_made) >= _MADE_MAX:
            _made.clear()
        joined = _made[kind, over_http] = _joined(kind, over_http)
    return joined


def _joined(kind: type[Exception], over_http: bool) -> type[Exception]:
    bases: list[type[Exception]] = [kind]
    if not issubclass(kind, JsException):
        bases.append(_FromPython)
    if over_http and not issubclass(kind, AbortError):
        bases.append(AbortError)
    # Named like the original: reports, and the next caller's process, go by these names.
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    while len(bases) > 1:
        # A class may refuse to be inherited from, and one like UnicodeDecodeError cannot be an OSError as well.
        with contextlib.suppress(Exception):
            return type(kind.__name__, tuple(bases), dict(names))
        del bases[-1]
    return kind


class _Traceback:
    """`error.message`, which the platform makes the whole traceback."""

    def __get__(self, error: BaseException | None, owner: type) -> Any:
        report = getattr(getattr(error, "__cause__", None), "report", None)
        return traceback_text(report) if isinstance(report, ErrorReport) else str(error)


class _FromPython(PythonError):
    message: str = _Traceback()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
