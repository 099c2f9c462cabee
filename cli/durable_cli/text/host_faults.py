"""Lines about hosts that hang, block or die: the user's own frames first, with source. Pure; knows no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from durable.supervisor.events import BlockedLoop, HostBlocked, HostDied
from durable.wire.messages import Frame
from durable_cli.console import Ink, printable

FRAMES_SHOWN_MAX: Final = 6
"""Frames of the user's; a recursion has a hundred of them."""
_WORDS_MAX: Final = 300


def host_fault_lines(event: HostBlocked | BlockedLoop | HostDied, ink: Ink) -> str:
    match event:
        case BlockedLoop():
            return ink.paint(_blocked_loop(event), "yellow")
        case HostBlocked():
            return "\n".join([ink.paint(_blocked(event), "yellow"), *_frame_lines(event.frames, ink), _outlook(event)])
        case HostDied(pid=pid, cause=cause, frames=frames):
            heading = ink.paint(f"the host (pid {pid}) {_plain(cause)}; starting another", "red")
            # A single line of the user's is part of the cause already.
            told = sum(frame.user for frame in frames) == 1
            return "\n".join([heading, *([] if told else _frame_lines(frames, ink))])


def _blocked_loop(event: BlockedLoop) -> str:
    what = _plain(event.source or event.function)
    who = f"{_plain(event.label)}: " if event.label else ""
    milliseconds = round(event.duration_ms, -1)
    place = f"{_plain(event.file)}:{event.line}; {_plain(event.fix)}"
    return f"{who}{what} blocked every object of this process for about {milliseconds:.0f} ms: {place}"


def _blocked(event: HostBlocked) -> str:
    line = f"the host (pid {event.pid}) has not answered for {event.seconds:.1f} s"
    own = next((frame for frame in event.frames if frame.user), None)
    if own is not None:
        line += f": it is at {_plain(own.file)}:{own.line} in {_plain(own.function)}"
    elif event.no_frames_because:
        line += f": {event.no_frames_because}"
    return line + (f" ({_plain(', '.join(event.running))})" if event.running else "")


def _outlook(event: HostBlocked) -> str:
    if not event.limit_seconds:
        return "  all of its objects wait, for ever if need be: watchdog_seconds in [dev] is 0"
    return f"  all of its objects wait; it is replaced after {event.limit_seconds:g} s (watchdog_seconds in [dev])"


def _frame_lines(frames: Sequence[Frame], ink: Ink) -> list[str]:
    """The user's frames, innermost first; without any, the innermost of what there is."""
    own = [frame for frame in frames if frame.user]
    shown = (own or list(frames))[:FRAMES_SHOWN_MAX]
    lines: list[str] = []
    for frame in shown:
        lines.append(f"  {_plain(frame.file)}:{frame.line} in {_plain(frame.function)}")
        if frame.source:
            lines.append(f"    {_plain(frame.source)}")
    folded = len(own) - len(shown) if own else 0
    if folded:
        lines.append(ink.paint(f"  … {folded} more of yours", "dim"))
    return lines


def _plain(text: str) -> str:
    return printable(text, length_max=_WORDS_MAX)
