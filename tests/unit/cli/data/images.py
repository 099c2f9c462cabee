"""Images that tests make, and what they hold, read with the engine's own storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from durable.clock import ManualClock
from durable.storage.actor_store import ActorStore
from durable_cli.data.image_draft import ImageDraft

START_MS = 1_769_860_800_000
ALARM_MS = START_MS + 60_000


def make_image(path: Path, *statements: str, keys: dict[str, Any] | None = None, alarm_ms: int | None = None) -> Path:
    """An image as an object would leave it."""
    with ImageDraft(path) as draft:
        for statement in statements:
            draft.run(statement)
        for key, value in (keys or {}).items():
            draft.put(key, value)
        if alarm_ms is not None:
            draft.set_alarm(alarm_ms)
        return draft.finish()


def seen(path: Path, look: Callable[[ActorStore], Any]) -> Any:
    """What an object with this state would see."""
    store = ActorStore(path, clock=ManualClock(START_MS), on_first_write=lambda: None)
    try:
        return look(store)
    finally:
        store.close()


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    return seen(path, lambda store: [tuple(row) for row in store.sql.exec(query).raw()])


def keys(path: Path) -> dict[str, Any]:
    return seen(path, lambda store: store.kv.list())


def alarm(path: Path) -> int | None:
    return seen(path, lambda store: store.alarm.get())
