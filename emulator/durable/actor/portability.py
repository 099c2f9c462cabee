"""What runs here and would not, or not with the same result, on the platform: told once per line of user code.

Python values keep their meaning here where the platform's go through JavaScript. A program that is to run there
wants to know; `portability` in `[dev]` says whether it is told ("warn"), stopped ("error") or left alone ("off"), and
"auto" tells programs that are written for the platform's SDK. What each kind is about, and what to write instead, is
said at length in docs/portability.md.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import durable
from durable.actor.turn import actor_variable
from durable.errors import PortabilityError
from durable.limits import PORTABILITY_PLACES_MAX
from durable.sdk import portability

KINDS: Final[dict[str, str]] = {
    "sql-int": (
        "the platform binds numbers as REAL: typeof(?) is 'real' there, ?/2 divides without rounding, and a TEXT or"
        " untyped column keeps '1.0'. Bind float(n) for the same result here; a column of type INTEGER makes none of"
        " it a difference"
    ),
    "sql-bool": "the platform binds the TEXT 'true' or 'false'. Bind 1.0 or 0.0",
    "sql-large-int": "the platform refuses an int beyond 2**53 - 1 with a TypeError. Bind str(n)",
    "sql-bytearray": "the platform refuses a bytearray with a TypeError. Bind bytes(value)",
    "value-tuple": "the platform refuses a tuple with a TypeError. Use list(value)",
    "value-bytearray": "the platform refuses a bytearray with a TypeError. Use memoryview(bytes(value))",
    "value-bytes": (
        "on the platform it arrives as a memoryview, which has no decode(), startswith() or +. Use memoryview(value),"
        " which is the same on both, and read it with bytes(value)"
    ),
    "value-large-int": (
        "the platform makes a BigInt of it, which arrives as another type than int (JsBigInt). Use str(n) and int(text)"
    ),
    "value-keys": "on the platform the keys of a dict arrive as text: {1: 'a'} as {'1': 'a'}. Use str(key)",
    "value-timezone": (
        "on the platform it arrives as the same moment without its time zone, in local time (UTC when deployed), and"
        " without its microseconds. Use value.timestamp() or value.isoformat()"
    ),
    "value-type": (
        "the platform refuses it with a DataCloneError. Use a list for a frozenset, isoformat() for a date or a time,"
        " total_seconds() for a timedelta, and str() for a UUID or a Decimal"
    ),
    "rpc-kwargs": (
        "on the platform keyword arguments arrive as one dict behind the others: m(1, a=2) as m(1, {'a': 2}). Pass"
        " arguments by position"
    ),
    "socket-bytes": "the platform sends its repr as text, \"b'abc'\". Use ws.send(to_js(data))",
    "socket-tags": "the platform refuses a Python sequence of tags with a TypeError. Use to_js(tags)",
    "socket-attachment": (
        "the platform refuses it with a DataCloneError. Use a str such as json.dumps(value), or"
        " to_js(value, dict_converter=Object.fromEntries)"
    ),
    "thread": (
        "the platform has no threads: it raises RuntimeError, can't start new thread. Use async code; what blocks or"
        " computes for long belongs into another service"
    ),
    "process": (
        "the platform has no processes, there is nothing to start or to fork. Use a service that is asked by fetch()"
    ),
    "import-random": (
        "the platform refuses randomness while a module is imported with a RuntimeError, as its result would be the"
        " same in every copy of the worker. Ask for it in a handler, or in the constructor of the class"
    ),
    "snake-case": "the platform has the camelCase name only",
}
"""Kind of difference → what the platform does, and what to write instead."""

_STARTED_BY: Final = frozenset({"thread", "process"})
"""Kinds that are the program's own only where nothing of ours lies between it and what was started."""
_PACKAGE: Final = str(Path(durable.__file__).parent) + os.sep
_STANDARD_LIBRARY: Final = sysconfig.get_paths()["stdlib"] + os.sep
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OURS: Final = ""
Place = tuple[str, int]
"""A file, as the developer calls it, and a line."""
_NOWHERE: Final[Place] = ("", 0)


class Portability:
    """One host's answer to code that is not portable."""

    def __init__(
        self,
        log: Callable[[str, str, str], None],
        *,
        setting: str = "warn",
        own_file: Callable[[str], str | None] = lambda file: None,
    ) -> None:
        """`log` takes what a line is about, the same for the same place whoever finds it; its text; and the label of
        the object.

        With "error" PortabilityError is raised instead; with "auto" nothing is said before `settle` knows what the
        program is. `own_file` is what the developer calls a file of the project, None for any other.
        """
        self._log = log
        self._own_file = own_file
        self._setting = setting
        self._files: dict[str, str | None] = {}
        """What `_called` says of the files that were met."""
        self._told: set[tuple[str, Place]] = set()
        self._met: dict[tuple[str, int, int], CodeType | None] = {}
        """Kind, code by its id, and instruction: to find the number of a line takes longer than all the rest. The code
        is kept, so that no other one gets its id."""
        self._held: list[tuple[str, str, str]] = []
        """What happened before it was known whether anybody wants to read them."""
        self._unwatch: Callable[[], None] | None = None

    def begin(self, watch_more: Callable[[], Callable[[], None]] | None = None) -> None:
        """From now on `sdk.portability.watch` is ours; `watch_more` is called if that is of use, and what it returns
        when it is no longer."""
        portability.watch = self.differs if self.is_watching else None
        if watch_more is not None and self.is_watching:
            self._unwatch = watch_more()

    @property
    def is_watching(self) -> bool:
        return self._setting != "off"

    @property
    def refuses(self) -> bool:
        return self._setting == "error"

    def settle(self, *, is_for_platform: bool) -> None:
        """The program is imported, which decides what "auto" means."""
        if self._setting == "auto":
            self._setting = "warn" if is_for_platform else "off"
        held, self._held = self._held, []
        if self._setting == "warn":
            for line in held:
                self._log(*line)
        if not self.is_watching:
            self.end()

    def end(self) -> None:
        """Nothing is watched any more. A test may have another host in the same process, and that one's stays."""
        if portability.watch == self.differs:
            portability.watch = None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def differs(self, kind: str, what: str, code: CodeType | None = None) -> None:
        """User code did `what`, which is of a `kind` that the table knows; see `durable.sdk.portability.Watch`."""
        frame = None
        if code is None:
            frame = self._starter() if kind in _STARTED_BY else self._innermost()
            if frame is None and kind in _STARTED_BY:
                return
        running = code if frame is None else frame.f_code
        instruction = (kind, id(running), -1 if frame is None else frame.f_lasti)
        if instruction in self._met and not self.refuses:
            return
        if len(self._met) < PORTABILITY_PLACES_MAX:
            self._met[instruction] = running
        self.differs_at(self._place(running, frame), kind, what)

    def differs_at(self, place: Place, kind: str, what: str) -> None:
        """The same, where the place is known."""
        if self.refuses:
            raise PortabilityError(
                f'{what}; {KINDS[kind]}. This is an error because of portability = "error" in [dev]: {_anchor(kind)}',
                kind=kind,
            )
        if (kind, place) in self._told or len(self._told) >= PORTABILITY_PLACES_MAX:
            return
        self._told.add((kind, place))
        shown = f"{place[0]}:{place[1]}: " if place != _NOWHERE else ""
        actor = actor_variable.get()
        line = (
            f"{shown}{kind}",
            f"{shown}{what}; {KINDS[kind]}. {_anchor(kind)}",
            "" if actor is None else actor.label,
        )
        if self._setting == "auto":
            self._held.append(line)
        else:
            self._log(*line)

    # --- where ----------------------------------------------------------------------------------------------------
    def _innermost(self) -> FrameType | None:
        """The innermost frame of the project's own; else of what is neither ours nor Python's, if there is any."""
        frame: FrameType | None = _caller()
        other: FrameType | None = None
        while frame is not None:
            called = self._called(frame.f_code.co_filename)
            if called:
                return frame
            if called is None and other is None and not _is_of_python(frame.f_code.co_filename):
                other = frame
            frame = frame.f_back
        return other

    def _starter(self) -> FrameType | None:
        """The project's own frame behind a thread or a process; None for those of the engine and of nobody."""
        frame: FrameType | None = _caller()
        while frame is not None and self._called(frame.f_code.co_filename) == _OURS:
            frame = frame.f_back
        while frame is not None:
            called = self._called(frame.f_code.co_filename)
            if called is not None:
                return frame if called else None
            frame = frame.f_back
        return None

    def _place(self, code: CodeType | None, frame: FrameType | None) -> Place:
        if code is None:
            return _NOWHERE
        line = code.co_firstlineno if frame is None else frame.f_lineno
        return self._called(code.co_filename) or code.co_filename, line

    def _called(self, file: str) -> str | None:
        """What the developer calls a file of the project; `_OURS` for the engine's, None for any other."""
        try:
            return self._files[file]
        except KeyError:
            called = _OURS if file.startswith(_PACKAGE) else self._own_file(file)
            # Names like <string> may be made anew for every piece of code.
            if not file.startswith("<"):
                self._files[file] = called
            return called


def _caller() -> FrameType:
    # The public way builds a whole stack. The frames of this file are skipped like any of the package's.
    return sys._getframe(2)  # pyright: ignore[reportPrivateUsage]


def _is_of_python(file: str) -> bool:
    if file.startswith("<"):
        return True
    return file.startswith(_STANDARD_LIBRARY) and not any(folder in file for folder in _INSTALLED)


def _anchor(kind: str) -> str:
    return f"docs/portability.md#{kind}"
