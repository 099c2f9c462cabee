"""An exception → what happened, why, and what to type next; a failure of user code → their lines first.

Pure: takes a value, gives text. Mistakes of users never show our traceback; bugs of ours always do.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from durable import errors
from durable_cli import exit_codes
from durable_cli.console import Ink, printable

if TYPE_CHECKING:
    from durable.wire.messages import ErrorReport

MESSAGE_CHARACTERS_MAX: Final = 4000
"""Text of one exception; some carry a whole document."""
AGAIN_IN_FULL_SECONDS: Final = 30.0
"""A failure that was shown in full this long ago is so again: by then it has scrolled away, or the developer looks."""
FAILURES_REMEMBERED_MAX: Final = 256
"""Failures that come again in one line; of more distinct ones the oldest are shown in full again."""


class StatementError(errors.UserInputError):
    """SQL that was typed and that SQLite refused; `quoted` is its line with a caret, when the place is known."""

    def __init__(self, message: str, *, quoted: str = "", fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.quoted = quoted


class Explanation(Struct, frozen=True):
    """The parts of one message; empty parts are left out."""

    what: str
    quoted: str = ""
    """Lines of a file with a caret below."""
    why: str = ""
    fix: str = ""
    traceback: str = ""
    code: int = exit_codes.BUG


def explain(error: BaseException) -> Explanation:
    """Every exception has an explanation; what is not known to be someone else's fault is ours."""
    error = exit_codes.unwrapped(error)
    code = exit_codes.exit_code_of(error)
    match error:
        case errors.ConfigError():
            place = shown_path(error.file) + (f":{error.line}:{error.column}" if error.line else "")
            return Explanation(
                f"{place}: {error.message}", quoted=_caret(error.source_line, error.column), fix=error.fix, code=code
            )
        case StatementError():
            return Explanation(error.message, quoted=error.quoted, fix=error.fix, code=code)
        case errors.MigrationError():
            quoted = _caret(error.source_line, error.column)
            return Explanation(error.message, quoted=quoted, fix=error.fix, code=code)
        case errors.UserInputError():
            return Explanation(error.message, fix=error.fix, code=code)
        case errors.StateInUseError():
            return Explanation(
                str(error),
                why="one process at a time may have a state directory open, or its objects would exist twice",
                fix="stop that process (Ctrl+C where it runs), or work on other data with --persist-to DIR",
                code=code,
            )
        case errors.StorageCorruptError():
            return Explanation(
                str(error),
                why="the file is not what its object wrote, so nothing was done to it",
                fix="put back a copy, or move the file away: the object then begins anew",
                code=code,
            )
        case errors.UserCodeError() | errors.StorageError():
            return Explanation(str(error), fix=str(getattr(error, "fix", "")), code=code)
        case OSError() if exit_codes.is_machine_refusal(error):
            return _machine_refusal(error)
        case _:
            return _our_bug(error)


def _machine_refusal(error: OSError) -> Explanation:
    place = error.filename if isinstance(error.filename, str) else None
    reason = error.strerror or type(error).__name__
    what = f"{shown_path(place)}: {reason[:1].lower()}{reason[1:]}" if place else reason
    return Explanation(what, why="the operating system refused it", code=exit_codes.USAGE)


def _our_bug(error: BaseException) -> Explanation:
    last = traceback.format_exception_only(error)[-1].strip()
    return Explanation(
        f"bug in durable: {last}",
        why="this is our mistake, not one in your program or configuration",
        fix=f"please report it with the lines above: {report_address()}",
        traceback="".join(traceback.format_exception(error)),
        code=exit_codes.BUG,
    )


def report_address() -> str:
    """Where bugs go, as the installed package says."""
    # Imported here: it takes 20 ms, and only a bug needs it.
    from importlib import metadata

    try:
        package = metadata.metadata("durable")
    except metadata.PackageNotFoundError:
        return "the issues of the durable project"
    addresses = dict(str(line).split(", ", 1) for line in package.get_all("Project-URL") or [] if ", " in str(line))
    return addresses.get("Issues") or addresses.get("Repository") or "the issues of the durable project"


def render(explanation: Explanation, ink: Ink) -> str:
    """The message as it stands on standard error, without a newline at its end."""
    lines: list[str] = []
    if explanation.traceback:
        lines.append(ink.paint(printable(explanation.traceback.rstrip(), keep="\n\t"), "dim"))
    lines.append(ink.paint("error:", "red", "bold") + " " + _indented(explanation.what, 7))
    if explanation.quoted:
        lines.append(explanation.quoted)
    for label, text in (("why", explanation.why), ("fix", explanation.fix)):
        if text:
            lines.append(f"  {ink.paint(label + ':', 'bold')} " + _indented(text, 7))
    return "\n".join(lines)


def _indented(text: str, width: int) -> str:
    text = printable(text.rstrip(), keep="\n", length_max=MESSAGE_CHARACTERS_MAX)
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * width + line if line else "" for line in rest)])


def _caret(source_line: str, column: int) -> str:
    if not source_line:
        return ""
    # Tabs would put the caret in the wrong place; one blank for each keeps the columns.
    line = printable(source_line.replace("\t", " ").rstrip("\n"))
    return f"    {line}" + (f"\n    {' ' * (column - 1)}^" if column else "")


def caret_at(text: str, offset: int) -> str:
    """The line of `text` that holds byte `offset` of its UTF-8 form, with a caret below."""
    before = text.encode(errors="replace")[:offset].decode(errors="ignore")
    start = before.rfind("\n") + 1
    end = text.find("\n", start)
    return _caret(text[start : end if end >= 0 else len(text)], len(before) - start + 1)


def shown_path(path: str | Path) -> str:
    """`main.py` for a file below the current folder (editors open it from there), else the whole path."""
    text = str(path)
    try:
        below = os.path.relpath(text)
    except (OSError, ValueError):  # the current folder may be gone
        return printable(text)
    return printable(text if below.startswith("..") else below)


_STYLES: Final[Mapping[str, tuple[str, ...]]] = {
    "heading": ("red", "bold"), "exception": ("bold",), "note": ("yellow",), "label": ("yellow",),
    "place": ("cyan", "bold"), "frame": ("dim",), "gutter": ("dim",), "folded": ("dim",), "marked": ("red", "bold"),
    "caret": ("red", "bold"), "comment": ("dim",), "string": ("green",), "number": ("cyan",), "keyword": ("magenta",),
    "name": ("bold",),
}  # fmt: skip
"""How the parts of a failure look on a terminal; the others stay as they are."""


def render_failure(failure: ErrorReport, ink: Ink, *, request: str = "", verbose: bool = False, width: int = 0) -> str:
    """A failure of user code: where, the exception, then the user's frames from the raising line outwards.

    `durable.gateway.failure_layout` shows how it looks; `width` is the terminal's, 0 for lines of any length.
    """

    # Imported here: most runs never fail, and none should start later for it.
    from durable.gateway.failure_layout import failure_lines

    def paint(text: str, style: str) -> str:
        return ink.paint(printable(text, length_max=MESSAGE_CHARACTERS_MAX), *_STYLES.get(style, ()))

    request = printable(request, length_max=200)
    lines = failure_lines(
        failure, paint, request=request, width=width, verbose=verbose, coloured=ink.colour, shown_path=shown_path
    )
    return "\n".join(lines)


class FailureTeller:
    """Tells a failure in full, and in one line when it comes again while the first is still in sight."""

    def __init__(self, ink: Ink, *, verbose: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        self._ink = ink
        self._verbose = verbose
        self._now = now
        self._shown: dict[_Key, tuple[float, int]] = {}
        """When each was shown in full, and how often it came since."""

    def text(self, failure: ErrorReport, request: str, width: int = 0) -> str:
        """The report, or `error in Room "a".say, GET /room/a: ValueError: no (main.py:17, again: 3 times in all)`."""
        key, now = _key(failure), self._now()
        shown, count = self._shown.pop(key, (now - AGAIN_IN_FULL_SECONDS, 0))
        if now - shown >= AGAIN_IN_FULL_SECONDS or self._verbose:
            self._shown[key] = now, 1
            while len(self._shown) > FAILURES_REMEMBERED_MAX:
                del self._shown[next(iter(self._shown))]
            return render_failure(failure, self._ink, request=request, verbose=self._verbose, width=width)
        self._shown[key] = shown, count + 1
        return self._again(failure, request, count + 1)

    def forget(self) -> None:
        """Another program, or a cleared screen: everything is news."""
        self._shown.clear()

    def _again(self, failure: ErrorReport, request: str, count: int) -> str:
        from durable.gateway.failure_layout import heading_of

        heading = heading_of(failure) + (f", {request}" if request else "")
        message = failure.message.partition("\n")[0]
        own = [frame for frame in failure.frames if frame.user]
        place = f"{shown_path(own[-1].file)}:{own[-1].line}, " if own else ""
        text = f"{heading}: {failure.type}: {message}" if message else f"{heading}: {failure.type}"
        shown = self._ink.paint(printable(text, length_max=MESSAGE_CHARACTERS_MAX // 10), "red")
        return f"{shown} {self._ink.paint(f'({place}as above: {count} times)', 'dim')}"


_Key = tuple[str, tuple[tuple[str, int], ...]]


def _key(failure: ErrorReport) -> _Key:
    """Failures of one kind that came the same way, whatever they say and whichever object they concern."""
    return failure.type, tuple((frame.file, frame.line) for frame in failure.frames if frame.user)
