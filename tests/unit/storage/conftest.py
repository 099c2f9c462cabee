"""An object's store on a real file, closed again when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.storage.actor_store import ActorStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def object_file(tmp_path: Path) -> Path:
    return tmp_path / "Counter-0123abcd" / "ab" / ("ab" * 32 + ".sqlite")


@pytest.fixture
def open_store(object_file: Path, clock: ManualClock) -> Iterator[Callable[[], ActorStore]]:
    """Opens the object, as a new process would: call it again to see what the file holds."""
    opened: list[ActorStore] = []

    def open_again() -> ActorStore:
        for store in opened:
            store.close()
        opened[:] = [ActorStore(object_file, clock=clock, on_first_write=lambda: None)]
        return opened[0]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], ActorStore]) -> ActorStore:
    return open_store()
