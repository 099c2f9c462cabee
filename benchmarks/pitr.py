"""What point-in-time recovery costs the writes of one hot object: the same load with history kept and without.

A round must see several archive cycles, or it would measure only the part between them: so its length follows from
what a short trial writes. Cycles are counted where they are visible, as numbered segments beside the object's file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from benchmarks import subjects
from benchmarks.cases import Case, drive
from benchmarks.measure import CYCLES_MIN, Bar, Measure, Series
from benchmarks.servers import Server, start

KEPT = "history kept"
NOT_KEPT = "no history"
RATIO_MIN = 0.85
"""Of the throughput without history, in `relaxed`; in `full` the disk is what takes the time."""
LOG_FRAMES = 4096
"""A log of this many pages, 16 MiB, is archived."""
TRIAL_SECONDS = 1.0
CYCLES = CYCLES_MIN + 1
"""Aimed at: one of them is cut off at either end of a round."""
ROUND_SECONDS_MAX = 60.0
LOAD = Case("pitr", "SQL upsert, one object", "http", "/sql")
"""Writes one page, and so one frame of the log, per request."""


def measure(scratch: Path, *, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Measure]:
    return [
        compare(scratch / durability, durability, rounds=rounds, seconds=seconds, say=say)
        for durability in ("relaxed", "full")
    ]


def compare(
    scratch: Path, durability: Literal["full", "relaxed"], *, rounds: int, seconds: float, say: Callable[[str], None]
) -> Measure:
    """Alternating rounds on two servers that differ in `pitr_days` only."""
    bars = (Bar(RATIO_MIN, NOT_KEPT),) if durability == "relaxed" else ()
    series = {NOT_KEPT: Series(), KEPT: Series()}
    cycles: list[int] = []
    found = Measure(f"pitr-{durability}", f"SQL upsert, {durability}, one object", "/s", series, KEPT, bars, cycles)
    with contextlib.ExitStack() as running:
        servers: dict[str, Server] = {}
        for name, days in ((NOT_KEPT, 0), (KEPT, None)):
            folder = scratch / name.replace(" ", "-")
            recipe = subjects.durable(folder, durability=durability, pitr_days=days)
            servers[name] = start(recipe, folder / "log")
            running.callback(servers[name].stop)
            servers[name].wait_answer("/hello")
        trial = Series()
        for server in servers.values():
            drive(LOAD, server, TRIAL_SECONDS, trial)
        seconds = round_seconds(min(trial.rounds), seconds)
        for number in range(rounds):
            for name, server in servers.items():
                before = segments(scratch)
                drive(LOAD, server, seconds, series[name])
                if name == KEPT:
                    cycles.append(segments(scratch) - before)
                say(f"{found.name} round {number + 1}/{rounds}: {name} {series[name].rounds[-1]:,.0f}/s")
    return found


def round_seconds(commits_per_second: float, seconds_min: float) -> float:
    """Long enough for `CYCLES` logs to fill; never longer than a patient person waits."""
    needed = CYCLES * LOG_FRAMES / max(commits_per_second, 1.0)
    return max(seconds_min, min(needed, ROUND_SECONDS_MAX))


def segments(state: Path) -> int:
    """Segments archived so far below a folder: by their numbers, because the oldest may be gone already."""
    newest: dict[Path, int] = {}
    for segment in state.rglob("*.history/*.wal"):
        if segment.stem.isdecimal():
            newest[segment.parent] = max(newest.get(segment.parent, 0), int(segment.stem) + 1)
    return sum(newest.values())
