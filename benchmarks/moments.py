"""Times that a developer waits for: from the command to the first answer, from a save to the new code."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Series
from benchmarks.servers import Recipe, Unavailable, start

QUIET_SECONDS = 1.3
"""Between two saves, as a person saves: tools that collect saves react at once to the first after a quiet second."""

ASK_AGAIN_SECONDS = 0.002


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


def saves(recipe: Recipe, source: Path, scratch: Path, *, times: int) -> Series:
    """Milliseconds from writing `source` to the first answer of `/version` by the new code."""
    series = Series()
    scratch.mkdir(parents=True, exist_ok=True)
    dice = random.Random(20)
    text = source.read_text()
    server = start(recipe, scratch / "log")
    try:
        server.wait_answer("/version")
        for number in range(1, times + 1):
            time.sleep(QUIET_SECONDS + dice.random() * 0.2)
            wanted = f"version-{number}"
            saved = time.perf_counter()
            source.write_text(text.replace("version-0", wanted))
            wait_version(server.port, wanted.encode(), server.log)
            series.rounds.append((time.perf_counter() - saved) * 1000)
    finally:
        server.stop()
    return series


def wait_version(port: int, wanted: bytes, log: Path, *, seconds: float = 20.0) -> None:
    """Ask on one kept connection: asking faster, or connecting each time, would slow down what is being waited for."""
    deadline = time.perf_counter() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    while time.perf_counter() < deadline:
        try:
            connection.request("GET", "/version")
            if connection.getresponse().read() == wanted:
                connection.close()
                return
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request connects again
        time.sleep(ASK_AGAIN_SECONDS)
    raise Unavailable(f"{wanted.decode()} did not appear within {seconds:g} s:\n{log.read_text()[-2000:]}")
