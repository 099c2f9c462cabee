"""A progress bar for work through the door, as functions that are told how far it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from durable_cli.progress_bar import ProgressBar

Progress = Callable[[int, int], None]
"""Told how many objects are done, and of how many; 0: nobody knows."""


@contextmanager
def progress() -> Generator[Callable[[str], Progress]]:
    """`with progress() as phase: work(told=phase("export"))`; the bar is ended before anything else is printed."""
    bar = ProgressBar()

    def phase(name: str) -> Progress:
        def told(done: int, total: int) -> None:
            bar.show(name, done, max(done, total) if total else 0, 0)

        return told

    try:
        yield phase
    finally:
        bar.end()
