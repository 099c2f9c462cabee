"""A thread that watches the loop's thread from outside: which line of user code keeps all others waiting, how long.

It looks at the stack now and then and is told nothing by the loop, so that turns cost nothing for being watched. Every
callback of the loop is a frame of its own: when two looks find the same one, one step has lasted from the first look to
the second. What is found is said when the loop runs again, through the loop.

It sees nothing while C code holds the interpreter's lock; it then learns of the step when that is over, and the gateway
asks faulthandler meanwhile.
"""

from __future__ import annotations

import asyncio
import linecache
import sys
import threading
from collections.abc import Callable
from time import monotonic, process_time, sleep
from types import CodeType, FrameType
from typing import Any

from msgspec import Struct

from durable.actor.actor import Actor
from durable.actor.turn import TurnDriver
from durable.host.worker import Worker
from durable.limits import (
    BLOCKED_MILLISECONDS,
    BLOCKED_PLACES_TOLD_MAX,
    LOOP_LOOK_AGAIN_SECONDS,
    LOOP_LOOK_SECONDS,
)
from durable.wire.messages import Frame, LoopBlocked

_LOOP_CODE: frozenset[CodeType] = frozenset({
    asyncio.Runner.run.__code__,
    asyncio.BaseEventLoop.run_until_complete.__code__,
    asyncio.BaseEventLoop.run_forever.__code__,
    vars(asyncio.BaseEventLoop)["_run_once"].__code__,
})  # fmt: skip
_DEBUGGERS = ("/pdb.py", "/bdb.py", "/pydevd.py", "/pydevd_frame.py", "/durable/host/debugger.py")
_FIXES: tuple[tuple[str, str], ...] = (
    ("sleep(", "use await asyncio.sleep"),
    ("subprocess.", "use await asyncio.create_subprocess_exec"),
    ("os.system(", "use await asyncio.create_subprocess_shell"),
    ("requests.", "use await fetch(), or await asyncio.to_thread"),
    ("urlopen(", "use await fetch(), or await asyncio.to_thread"),
    ("httpx.", "use httpx.AsyncClient or await fetch()"),
    (".sql.", "an index, or smaller steps with an await between them"),
)
_ANY_FIX = "use await asyncio.to_thread for what takes long"


class Step(Struct):
    """One callback of the loop that was found running at two looks or more."""

    entry: FrameType
    began_at: float
    """Between the look before and the first that found it: half-way is off by half a look at most."""
    label: str = ""
    place: Frame | None = None
    """The innermost line of the user's, as of the last look."""
    is_debugged: bool = False
    watched: bool = False
    """The loop was asked to say when it is over."""


class LoopMonitor:
    """Watches the thread that made it, from `start` until the process ends."""

    def __init__(
        self,
        call_soon_threadsafe: Callable[..., Any],
        *,
        own_file: Callable[[str], str | None],
        say: Callable[[LoopBlocked], None],
        show: Callable[[str], None],
        now: Callable[[], float] = monotonic,
    ) -> None:
        """`own_file` tells the user's files, and their paths as the user knows them; `say` is called in the loop,
        `show` anywhere: whose code blocks at this moment, "" when none does any more.
        """
        self._thread_id = threading.get_ident()
        self._call_soon_threadsafe = call_soon_threadsafe
        self._own_file = own_file
        self._say = say
        self._show = show
        self._now = now
        self._step: Step | None = None
        self._looked_at = now()
        self._busy_seconds = process_time()
        self._told: set[tuple[str, int]] = set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="durable-loop-monitor", daemon=True).start()

    def _run(self) -> None:
        seconds = LOOP_LOOK_SECONDS
        while True:
            # Not an Event: waiting for one with a time limit takes five times the processor time.
            sleep(seconds)
            seconds = self.look(sys._current_frames().get(self._thread_id))  # pyright: ignore[reportPrivateUsage]

    def look(self, top: FrameType | None) -> float:
        """Take in what the loop's thread runs at this moment; returns in how many seconds to look again."""
        now, gap = self._now(), self._now() - self._looked_at
        busy_seconds, self._busy_seconds = self._busy_seconds, process_time()
        entry = None if top is None or top.f_code in _LOOP_CODE else _entry(top)
        step = self._step
        if entry is None or step is None or step.entry is not entry:
            if step is not None and step.label:
                self._show("")
            self._step = step = None if entry is None else Step(entry, now - min(gap, LOOP_LOOK_SECONDS) / 2)
            if step is not None and gap > 2 * LOOP_LOOK_SECONDS and self._busy_seconds - busy_seconds > gap / 2:
                # C code held the interpreter's lock all the while: the step is as old as the last look.
                step.began_at = self._looked_at
                self._still_there(step, top)
            again = step is not None
        else:
            self._still_there(step, top)
            again = False
        self._looked_at = now
        return LOOP_LOOK_AGAIN_SECONDS if again else LOOP_LOOK_SECONDS

    def _still_there(self, step: Step, top: FrameType | None) -> None:
        place, label, is_debugged = self._where(top)
        # For good: how long it takes is up to whoever sits at the prompt.
        step.is_debugged = step.is_debugged or is_debugged
        if place is None:
            return  # nothing of the user's: an import of ours, a collection, the loop waiting in Python
        step.place = place
        if label and label != step.label:
            step.label = label
            self._show(label)
        if not step.watched and not step.is_debugged:
            step.watched = True
            self._call_soon_threadsafe(self._over, step)

    def _over(self, step: Step) -> None:
        """In the loop, right after the step."""
        milliseconds = (self._now() - step.began_at) * 1000
        place = step.place
        if place is None or step.is_debugged or milliseconds < BLOCKED_MILLISECONDS:
            return
        key = (place.file, place.line)
        if key in self._told or len(self._told) >= BLOCKED_PLACES_TOLD_MAX:
            return
        self._told.add(key)
        source = place.source
        fix = next((fix for word, fix in _FIXES if word in source), _ANY_FIX)
        self._say(LoopBlocked(step.label, place, milliseconds, fix))

    def _where(self, top: FrameType | None) -> tuple[Frame | None, str, bool]:
        """The innermost line of the user's, whose it is, and whether a debugger holds it."""
        place: Frame | None = None
        label = ""
        frame = top
        while frame is not None and frame.f_code not in _LOOP_CODE:
            file = frame.f_code.co_filename
            if file.endswith(_DEBUGGERS):
                return place, label, True
            if place is None and (name := self._own_file(file)) is not None:
                source = linecache.getline(file, frame.f_lineno).strip()
                place = Frame(name, frame.f_lineno, frame.f_code.co_name, source, True)
            label = label or _label(frame)
            frame = frame.f_back
        return place, label, False


def _entry(top: FrameType) -> FrameType | None:
    """The outermost frame above the loop's own: the callback. None while the loop waits."""
    entry, below = top, top.f_back
    while below is not None and below.f_code not in _LOOP_CODE:
        entry, below = below, below.f_back
    # asyncio's own loop waits in Python code.
    return None if entry.f_code.co_filename.endswith("/selectors.py") else entry


# What they are called is their own affair; that all code of an actor or a worker is entered through them is ours.
_STEPS = {vars(TurnDriver)[name].__code__ for name in ("send", "_step_with")}
_CALLS = {vars(Actor)[name].__code__ for name in ("construct", "_call_at_once")}
_SERVES = {vars(Worker)[name].__code__ for name in ("_serve", "_serve_scheduled")}


def _label(frame: FrameType) -> str:
    """Whose code runs above this frame, when it is one of the doors into it."""
    code = frame.f_code
    actor: Any = None
    if code in _CALLS:
        actor = frame.f_locals.get("self")
    elif code in _STEPS:
        actor = getattr(frame.f_locals.get("self"), "_actor", None)
    elif code in _SERVES:
        return "Default"
    return actor.label if isinstance(actor, Actor) else ""
