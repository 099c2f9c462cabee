"""The time that a developer waits for first: from the command to the first answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Series
from benchmarks.servers import Recipe, start


def cold_starts(recipe_of: Callable[[Path], Recipe], scratch: Path, *, times: int, path: str = "/hello") -> Series:
    """Milliseconds from the command to the first 200, on fresh state each time."""
    series = Series()
    for number in range(times):
        folder = scratch / f"start-{number}"
        folder.mkdir(parents=True)
        server = start(recipe_of(folder), folder / "log")
        try:
            series.rounds.append(server.wait_answer(path) * 1000)
        finally:
            server.stop()
    return series
