"""The timeline of an object as aligned lines. Pure; whatever an object's code or a client said is escaped.

12:00:01.204    3.2 ms  request    GET /room/general  200
12:00:01.205   0.05 ms  sql        SELECT text FROM messages  12 rows
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from durable_cli.console import Ink, printable

WHAT_CHARACTERS_MAX: Final = 100
OUTCOME_CHARACTERS_MAX: Final = 120
_FINE: Final = ("", "ok", "done", "stale")
"""Outcomes that nobody has to look at."""


def timeline_text(answer: Mapping[str, Any], ink: Ink, *, of_one: bool) -> str:
    """`of_one`: all lines are about one object, which they need not name."""
    events: Sequence[Mapping[str, Any]] = answer["events"]
    lines = [_line(event, ink, names=not of_one) for event in events]
    if answer["left_out"]:
        lines.insert(0, ink.paint("… and more before these: --limit shows them", "dim"))
    for host in answer["silent_hosts"]:
        lines.append(ink.paint(f"without what host {host['shard']} remembers: {printable(host['reason'])}", "yellow"))
    return "\n".join(lines) or ink.paint("nothing has happened yet", "dim")


def _line(event: Mapping[str, Any], ink: Ink, *, names: bool) -> str:
    moment = datetime.fromtimestamp(event["at_ms"] / 1000).strftime("%H:%M:%S.%f")[:-3]
    took = _took(event["duration_ms"])
    kind = f"{printable(event['kind']):<9}"
    what = printable(_what(event), length_max=WHAT_CHARACTERS_MAX)
    if names and event["class"] is not None:
        what = f"{_named(event)} {what}"
    pieces = [ink.paint(moment, "dim"), ink.paint(f"{took:>9}", "dim"), ink.paint(kind, "cyan"), what.strip()]
    return "  ".join([*pieces, *_ending(event, ink)]).rstrip()


def _what(event: Mapping[str, Any]) -> str:
    return " ".join(str(event["what"]).split())  # SQL of several lines is one line here


def _named(event: Mapping[str, Any]) -> str:
    which = f'"{event["name"]}"' if event["name"] is not None else str(event["id"] or "")[:8]
    return printable(f"{event['class']} {which}".strip(), length_max=OUTCOME_CHARACTERS_MAX)


def _ending(event: Mapping[str, Any], ink: Ink) -> list[str]:
    pieces: list[str] = []
    if "rows" in event:
        pieces.append(f"{event['rows']} row{'s' * (event['rows'] != 1)}")
    if "storage_operations" in event:
        pieces.append(f"{event['storage_operations']} storage operation{'s' * (event['storage_operations'] != 1)}")
    outcome = printable(str(event["outcome"]), length_max=OUTCOME_CHARACTERS_MAX)
    if event["kind"] in ("request", "outgoing") and outcome.isdecimal():
        pieces.append(ink.paint(outcome, "red" if outcome >= "500" else "yellow" if outcome >= "400" else "green"))
    elif outcome not in _FINE:
        pieces.append(ink.paint(outcome, "red"))
    return pieces


def _took(milliseconds: float) -> str:
    if milliseconds == 0:
        return ""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
