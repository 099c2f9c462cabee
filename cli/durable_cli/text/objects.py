"""What `durable objects show`, `evict` and `restore` say of one object. Pure; names and failures are escaped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from durable_cli.console import printable
from durable_cli.durations import shown_duration
from durable_cli.moments import shown_bytes, shown_moment

if TYPE_CHECKING:
    from durable_cli.objects.finding import Target

_STATES: Final = {
    "active": "active: events are running",
    "pinned": "in memory, and pinned",
    "hibernated": "hibernated: not in memory, its web sockets are connected",
    "inactive": "not in memory",
    "stopped": "not in memory: no emulator runs",
}


def shown_text(answer: Mapping[str, Any], *, now: Callable[[], float] = time.time) -> str:
    """A line for each thing that is known; `now` is the machine's time, by which files were written."""
    rows = [("class", answer["class"]), ("name", answer["name"] or "-"), ("id", answer["id"])]
    if answer["created_ms"] is not None:
        rows.append(("created", shown_moment(answer["created_ms"])))
    if answer["used_ms"] is not None:
        seconds = int(now() - answer["used_ms"] / 1000)
        ago = f"{shown_duration(seconds * 1000)} ago" if seconds > 0 else "now"
        rows.append(("last used", f"{shown_moment(answer['used_ms'])} ({ago})"))
    if answer["alarm_ms"] is not None:
        rows.append(("alarm", shown_moment(answer["alarm_ms"])))
    rows.append(("size", _size_text(answer)))
    if answer["schema_version"] is not None:
        rows.append(("schema", f"version {answer['schema_version']}"))
    rows.append(("state", _state_text(answer)))
    rows += [("pinned by" if at == 0 else "", pin["text"]) for at, pin in enumerate(answer["pins"])]
    if answer["sockets"]:
        rows.append(("sockets", f"{answer['sockets']}, {answer['hibernatable_sockets']} hibernatable"))
    return "\n".join(printable(f"{label:<11}{value}") for label, value in rows)


def _size_text(answer: Mapping[str, Any]) -> str:
    if not answer["bytes"]:
        return "it has stored nothing"
    history = f", and {shown_bytes(answer['history_bytes'])} of history" if answer["history_bytes"] else ""
    return f"{shown_bytes(answer['bytes'])}{history}"


def _state_text(answer: Mapping[str, Any]) -> str:
    if answer["state"] == "failing":
        failure = answer["failure"]
        again = (
            f"not tried again for {failure['seconds']:.1f} s" if failure["seconds"] else "the next event tries again"
        )
        times = f"{failure['times']} time{'s' * (failure['times'] != 1)}"
        return f"cannot be constructed ({times}, {again}): {failure['type']}: {failure['message']}"
    if answer["state"] == "idle":
        left = max(0.0, answer["evicted_after"] - answer["idle_seconds"])
        return f"in memory, idle for {answer['idle_seconds']:.0f} s; evicted in {left:.0f} s"
    return _STATES[answer["state"]]


def one_evicted_text(answer: Mapping[str, Any], target: Target) -> str:
    """`Room "a" has left memory; 1 web socket stays connected`"""
    if not answer["evicted"]:
        return f"{target} was not in memory: it is {answer['state']}"
    sockets = answer["sockets"]
    stay = "1 web socket stays" if sockets == 1 else f"{sockets} web sockets stay"
    return f"{target} has left memory" + (f"; {stay} connected" if sockets else "")


def reach_text(answer: Mapping[str, object]) -> str:
    """From when to when an object can be restored."""
    segments = answer["segments"]
    rows = [
        ("oldest", shown_moment(answer["oldest_ms"])),
        ("newest", shown_moment(answer["newest_ms"])),
        ("bookmark", str(answer["bookmark"])),
        ("history", f"{shown_bytes(answer['bytes'])} in {segments} segment{'s' * (segments != 1)}"),
    ]
    return "\n".join(f"{label:<10}{value}" for label, value in rows)


def restored_text(answer: Mapping[str, object], target: Target) -> str:
    """What the object is now, and how to undo that."""
    return (
        f"{target} is as it was at {shown_moment(answer['moment_ms'])} ({shown_bytes(answer['bytes'])}),"
        f" bookmark {answer['restored']}\n"
        f"to undo this: {target.command('durable objects restore', '--at', str(answer['undo']))}"
    )
