"""A progress bar for work through the door, as functions that are told how far it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from durable_cli.progress_bar import ProgressBar

Told = Callable[..., None]
"""`told(3)`, or `told(3, 10)` where the end is known."""


@contextmanager
def progress() -> Generator[Callable[[str], Told]]:
    """`with progress() as phase: work(told=phase("export"))`; the bar is ended before anything else is printed."""
    bar = ProgressBar()

    def phase(name: str) -> Told:
        def told(done: int, total: int = 0) -> None:
            bar.show(name, done, max(done, total) if total else 0, 0)

        return told

    try:
        yield phase
    finally:
        bar.end()
